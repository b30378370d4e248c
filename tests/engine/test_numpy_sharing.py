"""Memory shared with NumPy: whoever writes or reads sees what eager execution would show."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import rushlight as T

SIZES = {"small": (3, 4), "large": (130, 80)}  # up to 64 KB is copied when read, more runs at once


def grid(size: str) -> Any:
    return np.arange(float(np.prod(SIZES[size]))).reshape(SIZES[size])


@pytest.mark.parametrize("size", SIZES)
def test_write_to_the_array_after_reading(size: str) -> None:
    a = grid(size)
    t = T.from_numpy(a)
    y = t * 2
    z = t.reshape(-1)[1:]
    a[...] = 5
    assert np.array_equal(y.numpy(), grid(size) * 2)
    assert np.array_equal(t.numpy(), np.full(SIZES[size], 5.0))
    assert np.array_equal(z.numpy(), np.full(a.size - 1, 5.0))


@pytest.mark.parametrize("size", SIZES)
def test_write_to_the_tensor_shows_at_once(size: str) -> None:
    a = grid(size)
    t = T.from_numpy(a)
    t[0] = 7.0
    assert (a[0] == 7).all()
    t.add_(1)
    assert a[0, 0] == 8 and a[1, 0] == grid(size)[1, 0] + 1
    v = t[1:]
    v.zero_()
    assert (a[1:] == 0).all() and (a[0] == 8).all()


@pytest.mark.parametrize("size", SIZES)
def test_numpy_of_a_result(size: str) -> None:
    t = T.from_numpy(grid(size)) * 2
    before = t + 1
    a = t.numpy()
    a *= 0
    assert np.array_equal(before.numpy(), grid(size) * 2 + 1)
    assert t.sum().item() == 0
    t.fill_(3)
    assert (a == 3).all()
    assert t.numpy().base is a.base or np.shares_memory(t.numpy(), a)


@pytest.mark.parametrize("size", SIZES)
def test_the_array_goes_away(size: str) -> None:
    """With nobody left to write, the memory is the tensor's own; a last write counts."""
    a = grid(size)
    t = T.from_numpy(a)
    y = t * 2
    a[...] = 1.5
    del a
    gc.collect()
    z = t * 2
    assert np.array_equal(y.numpy(), grid(size) * 2)
    assert (z.numpy() == 3).all()
    t.add_(1)
    assert (t * 2).numpy()[0, 0] == 5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", ["transposed", "stepped", "row"])
def test_strided_arrays(size: str, layout: str) -> None:
    a = grid(size)
    part = {"transposed": a.T, "stepped": a[:, ::2], "row": a[1]}[layout]
    t = T.from_numpy(part)
    assert tuple(t.shape) == part.shape
    assert tuple(t.stride()) == tuple(s // 8 for s in part.strides)
    want = part * 3
    y = t * 3
    a += 1
    assert np.array_equal(y.numpy(), want)
    assert np.array_equal(t.numpy(), part)
    t.mul_(2)
    assert np.array_equal(part, (want / 3 + 1) * 2)
    t.detach()[0] = -1.0
    assert (part[0] == -1).all()


@pytest.mark.parametrize("size", SIZES)
def test_values_saved_for_a_gradient(size: str) -> None:
    a = grid(size) / grid(size).size
    w = T.ones(SIZES[size], dtype=T.float64).requires_grad_()
    t = T.from_numpy(a)
    loss = ((w * t) ** 2).sum()
    was = a.copy()
    a[...] = 100
    loss.backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 2 * was**2)
    loss = (w * t).sum()
    loss.item()
    a[...] = -1
    loss.backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * was**2 + 100)


def test_in_a_loop_that_is_recognised() -> None:
    """The same stretch every turn, with the array changed between and within turns."""
    a = np.zeros(3)
    t = T.from_numpy(a)
    total = T.zeros(3, dtype=T.float64)
    want = np.zeros(3)
    for i in range(8):
        a[0] = i
        total += t * 2
        want += a * 2
        a[1] += 0.5
        t[2] += 1.0
        assert a[2] == i + 1
        if i % 3 == 2:
            assert total.tolist() == want.tolist()
    assert total.tolist() == want.tolist()


def test_arrays_are_refused_like_pytorch_does() -> None:
    with pytest.raises(ValueError, match="negative"):
        T.from_numpy(np.arange(3.0)[::-1])
    with pytest.raises(TypeError):
        T.from_numpy([1.0, 2.0])
    with pytest.raises(TypeError):
        T.from_numpy(np.array(["a"]))
    with pytest.raises(RuntimeError, match="requires grad"):
        T.ones(2, requires_grad=True).numpy()


def test_memory_of_other_owners() -> None:
    """Memory that NumPy does not own stays shared for good."""
    raw = bytearray(np.arange(4.0).tobytes())
    a = np.frombuffer(raw, dtype=np.float64)
    t = T.from_numpy(a)
    y = t + 1
    del a
    raw[0:8] = np.float64(9).tobytes()
    assert y.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert t.tolist() == [9.0, 1.0, 2.0, 3.0]
    t.mul_(2)
    assert np.frombuffer(raw, dtype=np.float64).tolist() == [18.0, 2.0, 4.0, 6.0]


def test_empty_and_single() -> None:
    for shape in ((0,), (0, 3), (2, 0), ()):
        a = np.zeros(shape)
        t = T.from_numpy(a)
        t.add_(1)
        assert t.numpy().shape == shape
        assert a.tolist() == np.ones(shape).tolist()


def test_gradient_through_a_part_of_a_repeated_view() -> None:
    x = T.from_numpy(np.arange(3.0).reshape(1, 3)).requires_grad_()
    wide = x.expand(5, 3)
    (wide.narrow(1, 1, 1) + wide.narrow(1, 2, 1) * 2).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 5.0, 10.0]]
