"""The native draws against the NumPy ones: the same bits, used only where they pay."""

import sys

import numpy as np
import pytest

from rushlight.random import (
    Generator,
    arithmetic,
    draws,
    generator,
    integers,
    masks,
    native,
    normals,
)
from rushlight.random.twister import Twister

KERNELS = (native.NORMALS, native.SHUFFLE, native.WORDS, native.KEEPS, native.UNIFORMS)
COMPILED = all(kernel.compile() for kernel in KERNELS)
needs_native = pytest.mark.skipif(not COMPILED, reason="no LLVM or no fused multiply-add here")


@needs_native
@pytest.mark.parametrize(("mean", "std"), [(0, 1), (0.37, 2.9), (0, 0.02), (-1e30, 1e-30), (5, 0)])
def test_normals(mean: float, std: float) -> None:
    rnd = np.random.default_rng(3)
    words = rnd.integers(0, 1 << 24, (20_000, 16))
    words[0] = 0
    words[1] = (1 << 24) - 1
    words[2:26] = 1 << np.arange(24)[:, None]
    u = words.astype(np.float32) * np.float32(2.0**-24)
    fast = u.copy()
    native.box_muller32(fast, mean, std)
    slow = normals._box_muller32(u, mean, std)
    assert np.array_equal(fast.view(np.uint32), slow.view(np.uint32))


@needs_native
@pytest.mark.parametrize("n", [2, 3, 17, 399, 400, 5000])
def test_permutations(n: int) -> None:
    words = np.random.default_rng(n).integers(0, 1 << 32, n - 1, np.uint32)
    jumps = words.astype(np.int64) % np.arange(n, 1, -1)
    fast = native.shuffled(n, words)
    assert np.array_equal(fast, integers._swapped(n, jumps))
    if n > 3:
        assert np.array_equal(fast, integers._shuffled(n, jumps))
    assert np.array_equal(np.sort(fast), np.arange(n))


@needs_native
def test_words() -> None:
    fast, slow = Twister(), Twister()
    fast.seed(5)
    slow.seed(5)
    numpy = np.random.RandomState(5)._bit_generator
    for count in (1, 5, 8, 610, 1, 623, 624, 625, 3, 1247, 5000, 2):
        made = np.empty(count, np.uint32)
        native.words(fast._memory, made)
        assert np.array_equal(made, numpy.random_raw(count).astype(np.uint32))
        again = np.empty(count, np.uint32)
        slow._make(again)
        assert np.array_equal(made, again)
        assert np.array_equal(fast.save(), slow.save())


@needs_native
@pytest.mark.parametrize("count", [1, 7, 8, 9, 2051])
def test_keeps(count: int) -> None:
    words = np.random.default_rng(count).integers(0, 1 << 32, 2 * count, np.uint32)
    words[:2] = ~np.uint32(0)
    low = (words[0::2].astype(np.uint64) << np.uint64(32) | words[1::2]) % np.uint64(1 << 53)
    for limit in (0, 1, int(low[-1]), int(low[-1]) + 1, 3 << 51, (1 << 53) - 1, 1 << 53):
        assert np.array_equal(native.keeps(words, limit), low < limit)


@needs_native
@pytest.mark.parametrize("count", [1, 7, 8, 4099])
@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.03, 0.03), (5.0, 5.0), (-1e30, 7.0), (1.0, 1.0000001)]
)
def test_uniforms(count: int, low: float, high: float) -> None:
    words = np.random.default_rng(count).integers(0, 1 << 32, count, np.uint32)
    words[:3] = (0, ~np.uint32(0), 1)[:count]
    low, high = arithmetic.single(low, high)
    width = float(np.float32(high) - np.float32(low))
    units = generator.unit32(words).astype(np.float64)
    slow = arithmetic.fma32(units, width, low).astype(np.float32)
    slow[slow == np.float32(high)] = low
    fast = words.view(np.float32).copy()
    native.uniforms(fast, low, high)
    assert np.array_equal(fast.view(np.uint32), slow.view(np.uint32))


def test_either_way_the_streams_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[bytes]:
        gen = Generator().manual_seed(12)
        out = [
            *(
                draws.normal(gen, n, m, s)
                for n in (16, 100, 4096, 5003)
                for m, s in ((0, 1), (1, 2))
            ),
            draws.normal(gen, 100, dtype=np.float16),
            *(draws.uniform(gen, n, *b) for n in (3, 1024, 5001) for b in ((), (-0.1, 0.1))),
            draws.uniform(gen, 40_001, 2.0, 3.0),
            *(draws.randperm(gen, n) for n in (0, 1, 2, 50, 1000)),
            *(masks.bernoulli_number(gen, n, 0.3) for n in (3, 700, 40_000)),
            draws.normal(gen, 5000),
            gen.state_bytes(),
        ]
        return [a.tobytes() for a in out]

    first = run()
    for kernel in KERNELS:
        monkeypatch.setattr(kernel, "call", None)
        monkeypatch.setattr(kernel, "_refused", True)
    assert run() == first


def test_compiling_waits_until_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = native._Kernel("shuffle", native.shuffle_text, native.SHUFFLE._type._argtypes_)
    monkeypatch.delitem(sys.modules, "llvmlite.binding", raising=False)
    monkeypatch.setattr(native.jit, "stored", lambda text: False)
    monkeypatch.setattr(native.named, "recalled", lambda name: None)
    assert not kernel.ready(1000)
    assert not kernel.ready(native._ENOUGH - 1001)
    monkeypatch.setattr(kernel, "compile", lambda: True)
    assert kernel.ready(1)


def test_what_is_on_disk_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = native._Kernel("shuffle", native.shuffle_text, native.SHUFFLE._type._argtypes_)
    monkeypatch.delitem(sys.modules, "llvmlite.binding", raising=False)
    monkeypatch.setattr(native.jit, "stored", lambda text: True)
    assert kernel.ready(1) and kernel.call is not None


def test_a_machine_without_llvm_draws_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no llvmlite")

    monkeypatch.setattr(native.jit, "compile_text", refuse)
    monkeypatch.setattr(native.named, "recalled", lambda name: None)
    kernel = native._Kernel("shuffle", native.shuffle_text, native.SHUFFLE._type._argtypes_)
    assert not kernel.compile()
    assert not kernel.ready(1 << 30)
