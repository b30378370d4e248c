"""The native draws against the NumPy ones: the same bits, used only where they pay."""

import sys

import numpy as np
import pytest

from rushlight.random import Generator, draws, integers, native, normals

COMPILED = native.NORMALS.compile() and native.SHUFFLE.compile()
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
    fast = native.box_muller32(u, mean, std)
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
            *(draws.randperm(gen, n) for n in (0, 1, 2, 50, 1000)),
            gen.state_bytes(),
        ]
        return [a.tobytes() for a in out]

    first = run()
    for kernel in (native.NORMALS, native.SHUFFLE):
        monkeypatch.setattr(kernel, "call", None)
        monkeypatch.setattr(kernel, "_refused", True)
    assert run() == first


def test_compiling_waits_until_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = native._Kernel("shuffle", native.shuffle_text, native.SHUFFLE._type._argtypes_)
    monkeypatch.delitem(sys.modules, "llvmlite.binding", raising=False)
    assert not kernel.ready(1000)
    assert not kernel.ready(native._ENOUGH - 1001)
    monkeypatch.setattr(kernel, "compile", lambda: True)
    assert kernel.ready(1)


def test_a_machine_without_llvm_draws_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no llvmlite")

    monkeypatch.setattr(native.jit, "compile_text", refuse)
    kernel = native._Kernel("shuffle", native.shuffle_text, native.SHUFFLE._type._argtypes_)
    assert not kernel.compile()
    assert not kernel.ready(1 << 30)
