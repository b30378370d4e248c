"""Memory: alignment, reuse, views that outlive their buffer, bounds, refusals."""

from collections.abc import Iterator

import numpy as np
import pytest

from rushlight.runtime import buffer
from rushlight.runtime.buffer import Buffer, size_class

FLOAT = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def empty_pool() -> Iterator[None]:
    buffer.trim()
    yield
    buffer.trim()


@pytest.mark.parametrize("nbytes", [0, 1, 64, 65, 4000, 65536, 70001, 1 << 22, (1 << 23) + 5])
def test_aligned_and_writable_to_the_end(nbytes: int) -> None:
    memory = Buffer(nbytes)
    assert memory.address % 64 == 0 and memory.nbytes == nbytes
    view = memory.array(np.dtype(np.uint8), (nbytes,))
    view[...] = 7
    assert view.size == nbytes and (view == 7).all()
    if nbytes:
        assert view.ctypes.data == memory.address


def test_strides_and_offset() -> None:
    memory = Buffer(24 * 4)
    memory.array(FLOAT, (24,))[:] = np.arange(24)
    turned = memory.array(FLOAT, (4, 6), (4, 16))
    assert (turned == np.arange(24).reshape(6, 4).T).all()
    assert memory.array(FLOAT, (3,), None, 40).tolist() == [10, 11, 12]
    with pytest.raises((ValueError, TypeError)):
        memory.array(FLOAT, (1 << 20,))


@pytest.mark.parametrize("nbytes", [400, 400_000])
def test_a_dead_buffer_is_used_again(nbytes: int) -> None:
    first = Buffer(nbytes)
    address = first.address
    del first
    assert Buffer(nbytes).address == address


@pytest.mark.parametrize("nbytes", [400, 400_000])
def test_a_view_keeps_its_memory(nbytes: int) -> None:
    first = Buffer(nbytes)
    address = first.address
    view = first.array(FLOAT, (nbytes // 4,))
    view[:] = 3
    part = view[10:20].reshape(2, 5)
    assert first.is_shared()
    del view, first
    others = [Buffer(nbytes) for _ in range(5)]
    for other in others:
        assert other.address != address
        other.array(FLOAT, (nbytes // 4,))[:] = 5
    assert (part == 3).all()


def test_a_buffer_whose_views_are_gone_is_used_again() -> None:
    first = Buffer(5000)
    address = first.address
    first.array(FLOAT, (100,))[:] = 1
    assert not first.is_shared()
    del first
    assert Buffer(5000).address == address


def test_two_living_buffers_never_share() -> None:
    rng = np.random.default_rng(0)
    living: list[tuple[Buffer, int]] = []
    for step in range(2000):
        if living and rng.random() < 0.5:
            memory, mark = living.pop(rng.integers(len(living)))
            view = memory.array(np.dtype(np.int32), (memory.nbytes // 4,))
            assert (view == mark).all()
            del view, memory
        else:
            memory = Buffer(int(4 * rng.integers(1, 3000)))
            memory.array(np.dtype(np.int32), (memory.nbytes // 4,))[:] = step
            living.append((memory, step))


def test_idle_memory_is_bounded() -> None:
    before = buffer.set_idle_limit(1 << 20)
    try:
        many = [Buffer(100_000) for _ in range(50)]
        del many
        assert 0 < buffer.idle_bytes() <= 1 << 20
    finally:
        buffer.set_idle_limit(before)
    buffer.trim()
    assert buffer.idle_bytes() == 0


def test_idle_memory_may_fill_what_the_peak_left() -> None:
    """What every step takes and gives back is not paged in anew; old peaks are forgotten."""
    count, size = 400, 1 << 20
    assert count * size > buffer.IDLE_LIMIT
    many = [Buffer(size) for _ in range(count)]
    made = buffer.statistics()["made"]
    del many
    assert buffer.idle_bytes() >= count * size
    many = [Buffer(size) for _ in range(count)]
    assert buffer.statistics()["made"] == made
    del many
    for _ in range(500):
        for _ in range(1000):
            Buffer(size)
        if buffer.idle_bytes() <= buffer.IDLE_LIMIT:
            break
    assert buffer.idle_bytes() <= buffer.IDLE_LIMIT
    buffer.trim()


def test_huge_blocks_go_straight_back() -> None:
    huge = Buffer(buffer.HUGE + 1)
    del huge
    assert buffer.idle_bytes() == 0


@pytest.mark.parametrize("nbytes", [1 << 50, 1 << 62, 1 << 70])
def test_refusal_in_pytorch_words(nbytes: int) -> None:
    words = (
        r"\[enforce fail at alloc_cpu.cpp\] \. DefaultCPUAllocator: can't allocate memory: "
        rf"you tried to allocate {nbytes} bytes"
    )
    with pytest.raises(RuntimeError, match=words):
        Buffer(nbytes)


def test_negative_size() -> None:
    with pytest.raises(ValueError, match="cannot have -1 bytes"):
        Buffer(-1)


def test_classes_waste_little() -> None:
    sizes = np.unique(np.geomspace(257, 1 << 30, 4000).astype(int))
    for nbytes in sizes.tolist():
        capacity = size_class(nbytes)
        assert nbytes <= capacity <= nbytes * 1.25 + 64
        assert size_class(capacity) == capacity and capacity % 64 == 0
    assert [size_class(n) for n in (0, 1, 64, 65, 256)] == [64, 64, 64, 128, 256]
