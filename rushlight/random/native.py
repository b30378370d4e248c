"""The draws that NumPy's calls make slow, as native code: normals in groups of 16, permutations.

They give the bits of `normals._box_muller32` and `integers._shuffled`, which remain for machines
without fused multiply-adds, without LLVM, and for programs that draw little: compiling starts
once LLVM is loaded anyway, or once much has been drawn.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rushlight.base.target import host
from rushlight.random import arithmetic as ar
from rushlight.runtime import jit

Array = NDArray[Any]

_ENOUGH: Final = 1 << 21  # values after which loading LLVM pays
_V: Final = "<8 x float>"
_I: Final = "<8 x i32>"


class _Text:
    """Straight-line LLVM text over vectors of eight."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def let(self, right: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {right}")
        return name

    def op(self, name: str, a: str, b: str, kind: str = _V) -> str:
        return self.let(f"{name} {kind} {a}, {b}")

    def fma(self, a: str, b: str, c: str) -> str:
        return self.let(f"call {_V} @llvm.fma.v8f32({_V} {a}, {_V} {b}, {_V} {c})")

    def cast(self, name: str, a: str, source: str, target: str) -> str:
        return self.let(f"{name} {source} {a} to {target}")


def _f(value: float) -> str:
    """A float32 constant in all eight places."""
    exact = struct.unpack("<Q", struct.pack("<d", float(np.float32(value))))[0]
    return "<" + ", ".join([f"float 0x{exact:016X}"] * 8) + ">"


def _i(value: int) -> str:
    return "<" + ", ".join([f"i32 {value}"] * 8) + ">"


def _log(t: _Text, u: str) -> str:
    """`arithmetic.log_cephes`."""
    bits = t.cast("bitcast", u, _V, _I)
    e = t.op("sub", t.op("lshr", bits, _i(23), _I), _i(126), _I)
    m = t.op("or", t.op("and", bits, _i(0x007FFFFF), _I), _i(0x3F000000), _I)
    m = t.cast("bitcast", m, _I, _V)
    low = t.let(f"fcmp olt {_V} {m}, {_f(ar.SQRT_HALF)}")
    twice = t.op("fadd", m, m)
    x = t.let(f"select <8 x i1> {low}, {_V} {twice}, {_V} {m}")
    x = t.op("fsub", x, _f(1.0))
    e = t.op("add", e, t.cast("sext", low, "<8 x i1>", _I), _I)
    e = t.cast("sitofp", e, _I, _V)
    z = t.op("fmul", x, x)
    y = _f(ar.LOG[0])
    for c in ar.LOG[1:]:
        y = t.fma(y, x, _f(c))
    y = t.fma(t.op("fmul", y, x), z, t.op("fmul", e, _f(ar.LN2_LOW)))
    y = t.op("fsub", y, t.op("fmul", z, _f(0.5)))
    return t.op("fadd", t.op("fadd", x, y), t.op("fmul", e, _f(ar.LN2_HIGH)))


def _sincos(t: _Text, theta: str) -> tuple[str, str]:
    """`arithmetic.sincos_cephes`."""
    j = t.cast("fptosi", t.op("fmul", theta, _f(ar.FOUR_OVER_PI)), _V, _I)
    j = t.op("and", t.op("add", j, _i(1), _I), _i(-2), _I)
    k = t.cast("sitofp", j, _I, _V)
    x = theta
    for part in ar.REDUCE:
        x = t.fma(_f(part), k, x)
    z = t.op("fmul", x, x)
    c = t.fma(t.fma(_f(ar.COS[0]), z, _f(ar.COS[1])), z, _f(ar.COS[2]))
    c = t.fma(t.op("fmul", c, z), z, t.op("fmul", z, _f(-0.5)))
    c = t.op("fadd", c, _f(1.0))
    s = t.fma(t.fma(_f(ar.SIN[0]), z, _f(ar.SIN[1])), z, _f(ar.SIN[2]))
    s = t.fma(t.op("fmul", s, z), x, x)
    swap = t.let(f"icmp ne {_I} {t.op('and', j, _i(2), _I)}, zeroinitializer")
    sine = t.let(f"select <8 x i1> {swap}, {_V} {c}, {_V} {s}")
    cosine = t.let(f"select <8 x i1> {swap}, {_V} {s}, {_V} {c}")
    turned = t.op("add", j, _i(2), _I)
    return _signed(t, sine, j), _signed(t, cosine, turned)


def _signed(t: _Text, value: str, quarter: str) -> str:
    sign = t.op("shl", t.op("and", quarter, _i(4), _I), _i(29), _I)
    bits = t.op("xor", t.cast("bitcast", value, _V, _I), sign, _I)
    return t.cast("bitcast", bits, _I, _V)


def normals_text() -> str:
    """`normals32(uniforms, out, groups, mean, std, plain)`: groups of 16, out may be uniforms."""
    t = _Text()
    u = t.let(f"load {_V}, ptr %first, align 4")
    w = t.let(f"load {_V}, ptr %second, align 4")
    log = _log(t, t.op("fsub", _f(1.0), u))
    radius = t.let(f"call {_V} @llvm.sqrt.v8f32({_V} {t.op('fmul', log, _f(-2.0))})")
    sine, cosine = _sincos(t, t.op("fmul", w, _f(ar.TWO_PI_F32)))
    for place, wave in (("%lower", cosine), ("%upper", sine)):
        n = t.op("fmul", radius, wave)
        scaled = t.fma(n, "%stds", "%means")
        n = t.let(f"select i1 %plain, {_V} {t.op('fadd', n, 'zeroinitializer')}, {_V} {scaled}")
        t.lines.append(f"  store {_V} {n}, ptr {place}, align 4")
    body = "\n".join(t.lines)
    zeros = "<8 x i32> zeroinitializer"
    return f"""\
declare {_V} @llvm.fma.v8f32({_V}, {_V}, {_V})
declare {_V} @llvm.sqrt.v8f32({_V})

define void @normals32(ptr %u, ptr %out, i64 %groups, float %mean, float %std, i32 %is_plain) {{
entry:
  %plain = icmp ne i32 %is_plain, 0
  %mean.0 = insertelement {_V} poison, float %mean, i32 0
  %means = shufflevector {_V} %mean.0, {_V} poison, {zeros}
  %std.0 = insertelement {_V} poison, float %std, i32 0
  %stds = shufflevector {_V} %std.0, {_V} poison, {zeros}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = shl i64 %i, 4
  %first = getelementptr float, ptr %u, i64 %at
  %second = getelementptr float, ptr %first, i64 8
  %lower = getelementptr float, ptr %out, i64 %at
  %upper = getelementptr float, ptr %lower, i64 8
{body}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %groups
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def shuffle_text() -> str:
    """`shuffle(words, places, n)`: swaps i with i + words[i] % (n - i), i = 0 .. n - 2; n > 1."""
    return """\
define void @shuffle(ptr %words, ptr %places, i64 %n) {
entry:
  %steps = sub i64 %n, 1
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %word.at = getelementptr i32, ptr %words, i64 %i
  %word = load i32, ptr %word.at, align 4
  %left.64 = sub i64 %n, %i
  %left = trunc i64 %left.64 to i32
  %jump.32 = urem i32 %word, %left
  %jump = zext i32 %jump.32 to i64
  %j = add i64 %i, %jump
  %a.at = getelementptr i64, ptr %places, i64 %i
  %b.at = getelementptr i64, ptr %places, i64 %j
  %a = load i64, ptr %a.at, align 8
  %b = load i64, ptr %b.at, align 8
  store i64 %a, ptr %b.at, align 8
  store i64 %b, ptr %a.at, align 8
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %steps
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


class _Kernel:
    """A native function, compiled when it pays; `ready` says whether to call it."""

    def __init__(self, name: str, text: Callable[[], str], arguments: list[Any]) -> None:
        self.name = name
        self._text = text
        self._type = ctypes.CFUNCTYPE(None, *arguments)
        self._asked = 0
        self._refused = False
        self.call: Callable[..., None] | None = None

    def ready(self, count: int) -> bool:
        """Whether `call` may be used for `count` values more."""
        if self.call is not None:
            return True
        self._asked += count
        if self._refused or (self._asked < _ENOUGH and "llvmlite.binding" not in sys.modules):
            return False
        return self.compile()

    def compile(self) -> bool:
        """Compile now; False where the machine cannot do it as well as NumPy does."""
        try:
            if not host().has_fma:
                raise RuntimeError("no fused multiply-add")
            library = jit.compile_text(self._text(), name_hint=self.name)
            self.call = self._type(library.address(self.name))
        except RuntimeError:
            self._refused = True
        return self.call is not None


_POINTER: Final = ctypes.c_void_p
NORMALS: Final = _Kernel(
    "normals32",
    normals_text,
    [_POINTER, _POINTER, ctypes.c_int64, ctypes.c_float, ctypes.c_float, ctypes.c_int32],
)
SHUFFLE: Final = _Kernel("shuffle", shuffle_text, [_POINTER, _POINTER, ctypes.c_int64])


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def box_muller32(uniforms: Array, mean: float, std: float) -> Array:
    """Contiguous float32 uniforms [groups, 16] to normals of the same shape; `NORMALS` is ready."""
    assert NORMALS.call is not None
    out = np.empty(uniforms.shape, np.float32)
    plain = mean == 0.0 and std == 1.0
    NORMALS.call(_address(uniforms), _address(out), len(uniforms), mean, std, plain)
    return out


def shuffled(n: int, words: Array) -> Array:
    """The permutation that n - 1 words give, int64 [n], n > 1; `SHUFFLE` is ready."""
    assert SHUFFLE.call is not None
    places = np.arange(n, dtype=np.int64)
    SHUFFLE.call(_address(np.ascontiguousarray(words)), _address(places), n)
    return places
