"""The draws that NumPy's calls make slow, as native code: raw words, uniforms, which values
dropout keeps, normals in groups of 16, permutations.

They give the bits of `Twister.make`, `floats._uniform`, `masks.bernoulli_number`,
`normals._box_muller32` and `integers._shuffled`, which remain for machines without fused
multiply-adds, without LLVM, and for programs that draw little: compiling starts once LLVM is loaded
anyway, or once much has been drawn.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight.base.target import host
from rushlight.random import arithmetic as ar
from rushlight.runtime import jit, named

Array = np.ndarray[Any, np.dtype[Any]]

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


_HALF_WORDS: Final = 397  # how far ahead the word lies that a new one is made with
_WORDS: Final = 624


def words_text() -> str:
    """`words(state, out, count)`: the next words of a `twister.Twister` whose memory `state` is."""
    near = _WORDS - _HALF_WORDS
    return f"""\
define internal void @refill(ptr %state) {{
entry:
  br label %first
{_twisted("first", "entry", "first.rest", 0, near // 8 * 8, _HALF_WORDS, 8)}
{_twisted("first.rest", "first", "second", near // 8 * 8, near, _HALF_WORDS, 1)}
{_twisted("second", "first.rest", "second.rest", near, near + (_HALF_WORDS - 1) // 8 * 8, -near, 8)}
{_twisted("second.rest", "second", "last", near + (_HALF_WORDS - 1) // 8 * 8, _WORDS - 1, -near, 1)}
last:
  %last.at = getelementptr i32, ptr %state, i64 {_WORDS - 1}
  %last.word = load i32, ptr %last.at, align 4
  %zeroth = load i32, ptr %state, align 4
  %last.far.at = getelementptr i32, ptr %state, i64 {_HALF_WORDS - 1}
  %last.far = load i32, ptr %last.far.at, align 4
{_mixed("last", "last.word", "zeroth", "last.far", "i32")}
  store i32 %last.new, ptr %last.at, align 4
  ret void
}}

define void @words(ptr %state, ptr %out, i64 %count) {{
entry:
  %used.at = getelementptr i32, ptr %state, i64 {_WORDS}
  br label %more
more:
  %done = phi i64 [ 0, %entry ], [ %all, %rest.done ]
  %used.32 = load i32, ptr %used.at, align 4
  %spent = icmp uge i32 %used.32, {_WORDS}
  br i1 %spent, label %refill, label %ready
refill:
  call void @refill(ptr %state)
  store i32 0, ptr %used.at, align 4
  br label %ready
ready:
  %used.now = load i32, ptr %used.at, align 4
  %used = zext i32 %used.now to i64
  %have = sub i64 {_WORDS}, %used
  %left = sub i64 %count, %done
  %fewer = icmp ult i64 %left, %have
  %take = select i1 %fewer, i64 %left, i64 %have
  %from = getelementptr i32, ptr %state, i64 %used
  %to = getelementptr i32, ptr %out, i64 %done
  %whole = and i64 %take, -8
  %some = icmp ne i64 %whole, 0
  br i1 %some, label %wide, label %wide.done
{_tempered("wide", "ready", "0", "%whole", 8)}
wide.done:
  %odd = icmp ult i64 %whole, %take
  br i1 %odd, label %rest, label %rest.done
{_tempered("rest", "wide.done", "%whole", "%take", 1)}
rest.done:
  %used.then = add i64 %used, %take
  %used.then.32 = trunc i64 %used.then to i32
  store i32 %used.then.32, ptr %used.at, align 4
  %all = add i64 %done, %take
  %again = icmp ult i64 %all, %count
  br i1 %again, label %more, label %done.all
done.all:
  ret void
}}
"""


def seeded_text() -> str:
    """`seeded(state, seed)`: the key that a seed gives, as `twister.filled` has it."""
    return f"""\
define void @seeded(ptr %state, i32 %seed) {{
entry:
  store i32 %seed, ptr %state, align 4
  br label %loop
loop:
  %i = phi i64 [ 1, %entry ], [ %next, %loop ]
  %word = phi i32 [ %seed, %entry ], [ %new, %loop ]
  %half = lshr i32 %word, 30
  %both = xor i32 %word, %half
  %times = mul i32 %both, 1812433253
  %i.32 = trunc i64 %i to i32
  %new = add i32 %times, %i.32
  %at = getelementptr i32, ptr %state, i64 %i
  store i32 %new, ptr %at, align 4
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {_WORDS}
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def _kind(lanes: int) -> tuple[str, Callable[[int], str]]:
    """The type of so many words, and how a constant of it is spelled."""
    if lanes == 1:
        return "i32", str
    return f"<{lanes} x i32>", lambda n: f"splat (i32 {n})"


def _mixed(name: str, word: str, after: str, far: str, kind: str) -> str:
    """`%name.new`: a word of the next 624, of the one in its place, the one after it and one far
    away."""
    const = _kind(1 if kind == "i32" else 8)[1]
    return f"""\
  %{name}.high = and {kind} %{word}, {const(-(1 << 31))}
  %{name}.low = and {kind} %{after}, {const((1 << 31) - 1)}
  %{name}.both = or {kind} %{name}.high, %{name}.low
  %{name}.half = lshr {kind} %{name}.both, {const(1)}
  %{name}.odd = and {kind} %{after}, {const(1)}
  %{name}.mask = sub {kind} {const(0)}, %{name}.odd
  %{name}.turn = and {kind} %{name}.mask, {const(0x9908B0DF - (1 << 32))}
  %{name}.there = xor {kind} %{far}, %{name}.half
  %{name}.new = xor {kind} %{name}.there, %{name}.turn"""


def _twisted(
    name: str, before: str, after: str, first: int, last: int, far: int, lanes: int
) -> str:
    """A loop that makes the words `first` to `last` anew, several at a time: what it reads beyond
    its own places is still old, or new long since."""
    kind, _ = _kind(lanes)
    return f"""\
{name}:
  %{name}.i = phi i64 [ {first}, %{before} ], [ %{name}.next, %{name} ]
  %{name}.at = getelementptr i32, ptr %state, i64 %{name}.i
  %{name}.after.at = getelementptr i32, ptr %{name}.at, i64 1
  %{name}.far.at = getelementptr i32, ptr %{name}.at, i64 {far}
  %{name}.word = load {kind}, ptr %{name}.at, align 4
  %{name}.after = load {kind}, ptr %{name}.after.at, align 4
  %{name}.far = load {kind}, ptr %{name}.far.at, align 4
{_mixed(name, f"{name}.word", f"{name}.after", f"{name}.far", kind)}
  store {kind} %{name}.new, ptr %{name}.at, align 4
  %{name}.next = add i64 %{name}.i, {lanes}
  %{name}.more = icmp ult i64 %{name}.next, {last}
  br i1 %{name}.more, label %{name}, label %{after}"""


def _tempered(name: str, before: str, first: str, last: str, lanes: int) -> str:
    """A loop that writes words `first` to `last` of `%from` to `%to` as they are given out."""
    kind, const = _kind(lanes)
    steps = [("lshr", 11, -1), ("shl", 7, 0x9D2C5680), ("shl", 15, 0xEFC60000), ("lshr", 18, -1)]
    lines, word = [], f"%{name}.word"
    for n, (shift, by, mask) in enumerate(steps):
        mask = mask - (1 << 32) if mask >= 1 << 31 else mask
        lines += [
            f"  %{name}.s{n} = {shift} {kind} {word}, {const(by)}",
            f"  %{name}.m{n} = and {kind} %{name}.s{n}, {const(mask)}",
            f"  %{name}.t{n} = xor {kind} {word}, %{name}.m{n}",
        ]
        word = f"%{name}.t{n}"
    body = "\n".join(lines)
    return f"""\
{name}:
  %{name}.i = phi i64 [ {first}, %{before} ], [ %{name}.next, %{name} ]
  %{name}.from = getelementptr i32, ptr %from, i64 %{name}.i
  %{name}.to = getelementptr i32, ptr %to, i64 %{name}.i
  %{name}.word = load {kind}, ptr %{name}.from, align 4
{body}
  store {kind} {word}, ptr %{name}.to, align 4
  %{name}.next = add i64 %{name}.i, {lanes}
  %{name}.more = icmp ult i64 %{name}.next, {last}
  br i1 %{name}.more, label %{name}, label %{name}.done"""


def keeps_text() -> str:
    """`keeps(words, out, count, limit)`: a byte for each pair of words, 1 where the first as the
    high half and the second as the low one, less the 11 highest bits, are below the limit."""

    def loop(name: str, before: str, first: str, last: str, lanes: int) -> str:
        pair = "i64" if lanes == 1 else f"<{lanes} x i64>"
        spell: Callable[[int], str] = str if lanes == 1 else (lambda n: f"splat (i64 {n})")
        limit = "%limit" if lanes == 1 else "%limits"
        flag, byte = ("i1", "i8") if lanes == 1 else (f"<{lanes} x i1>", f"<{lanes} x i8>")
        return f"""\
{name}:
  %{name}.i = phi i64 [ {first}, %{before} ], [ %{name}.next, %{name} ]
  %{name}.at = getelementptr i64, ptr %words, i64 %{name}.i
  %{name}.pair = load {pair}, ptr %{name}.at, align 4
  %{name}.first = shl {pair} %{name}.pair, {spell(32)}
  %{name}.second = lshr {pair} %{name}.pair, {spell(32)}
  %{name}.both = or {pair} %{name}.first, %{name}.second
  %{name}.low = and {pair} %{name}.both, {spell((1 << 53) - 1)}
  %{name}.hit = icmp slt {pair} %{name}.low, {limit}
  %{name}.byte = zext {flag} %{name}.hit to {byte}
  %{name}.to = getelementptr i8, ptr %out, i64 %{name}.i
  store {byte} %{name}.byte, ptr %{name}.to, align 1
  %{name}.next = add i64 %{name}.i, {lanes}
  %{name}.more = icmp ult i64 %{name}.next, {last}
  br i1 %{name}.more, label %{name}, label %{name}.done"""

    return f"""\
define void @keeps(ptr %words, ptr %out, i64 %count, i64 %limit) {{
entry:
  %limit.0 = insertelement <8 x i64> poison, i64 %limit, i32 0
  %limits = shufflevector <8 x i64> %limit.0, <8 x i64> poison, <8 x i32> zeroinitializer
  %whole = and i64 %count, -8
  %some = icmp ne i64 %whole, 0
  br i1 %some, label %wide, label %wide.done
{loop("wide", "entry", "0", "%whole", 8)}
wide.done:
  %odd = icmp ult i64 %whole, %count
  br i1 %odd, label %rest, label %rest.done
{loop("rest", "wide.done", "%whole", "%count", 1)}
rest.done:
  ret void
}}
"""


def uniforms_text() -> str:
    """`uniforms32(words, out, count, low, width, high)`: each word's low 24 bits as a fraction,
    times the width and plus `low` with one rounding; one that becomes `high` is `low`."""

    def loop(name: str, before: str, first: str, last: str, lanes: int) -> str:
        words, const = _kind(lanes)
        real = "float" if lanes == 1 else _V
        suffix = "f32" if lanes == 1 else "v8f32"
        flag = "i1" if lanes == 1 else "<8 x i1>"
        low, width, high = [f"%{name}{'s' * (lanes > 1)}" for name in ("low", "width", "high")]
        unit = "0x3E70000000000000" if lanes == 1 else f"splat (float 0x{0x3E70 << 48:016X})"
        return f"""\
{name}:
  %{name}.i = phi i64 [ {first}, %{before} ], [ %{name}.next, %{name} ]
  %{name}.at = getelementptr i32, ptr %words, i64 %{name}.i
  %{name}.word = load {words}, ptr %{name}.at, align 4
  %{name}.bits = and {words} %{name}.word, {const((1 << 24) - 1)}
  %{name}.whole = sitofp {words} %{name}.bits to {real}
  %{name}.unit = fmul {real} %{name}.whole, {unit}
  %{name}.value = call {real} @llvm.fma.{suffix}({real} %{name}.unit, {real} {width}, {real} {low})
  %{name}.end = fcmp oeq {real} %{name}.value, {high}
  %{name}.given = select {flag} %{name}.end, {real} {low}, {real} %{name}.value
  %{name}.to = getelementptr float, ptr %out, i64 %{name}.i
  store {real} %{name}.given, ptr %{name}.to, align 4
  %{name}.next = add i64 %{name}.i, {lanes}
  %{name}.more = icmp ult i64 %{name}.next, {last}
  br i1 %{name}.more, label %{name}, label %{name}.done"""

    wide = "\n".join(
        f"""\
  %{name}.0 = insertelement {_V} poison, float %{name}, i32 0
  %{name}s = shufflevector {_V} %{name}.0, {_V} poison, <8 x i32> zeroinitializer"""
        for name in ("low", "width", "high")
    )
    return f"""\
declare {_V} @llvm.fma.v8f32({_V}, {_V}, {_V})
declare float @llvm.fma.f32(float, float, float)

define void @uniforms32(ptr %words, ptr %out, i64 %count, float %low, float %width, float %high) {{
entry:
{wide}
  %whole = and i64 %count, -8
  %some = icmp ne i64 %whole, 0
  br i1 %some, label %wide, label %wide.done
{loop("wide", "entry", "0", "%whole", 8)}
wide.done:
  %odd = icmp ult i64 %whole, %count
  br i1 %odd, label %rest, label %rest.done
{loop("rest", "wide.done", "%whole", "%count", 1)}
rest.done:
  ret void
}}
"""


class _Kernel:
    """A native function, compiled when it pays; `ready` says whether to call it."""

    def __init__(self, name: str, text: Callable[[], str], arguments: list[Any]) -> None:
        self.name = name
        self._text = text
        self._type = ctypes.CFUNCTYPE(None, *arguments)
        self._asked = 0
        self._refused = False
        self._stored: bool | None = None  # is it on disk?  None: nobody has looked
        self.call: Callable[..., None] | None = None

    def ready(self, count: int) -> bool:
        """Whether `call` may be used for `count` values more."""
        if self.call is not None:
            return True
        self._asked += count
        if self._refused:
            return False
        if self._asked < _ENOUGH and "llvmlite.binding" not in sys.modules and not self.stored():
            return False
        return self.compile()

    def stored(self) -> bool:
        """Is it on disk, so that it takes no LLVM?"""
        if self._stored is None:
            try:
                self._stored = self._noted() or jit.stored(self._text())
            except RuntimeError:
                self._stored = False
        return self._stored

    def _noted(self) -> bool:
        return named.recalled(f"random {self.name}") is not None

    def compile(self) -> bool:
        """Compile now; False where the machine cannot do it as well as NumPy does."""
        try:
            if not host().has_fma:
                raise RuntimeError("no fused multiply-add")
            library = named.compile_named(f"random {self.name}", self._text)
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
WORDS: Final = _Kernel("words", words_text, [_POINTER, _POINTER, ctypes.c_int64])
SEEDED: Final = _Kernel("seeded", seeded_text, [_POINTER, ctypes.c_uint32])
UNIFORMS: Final = _Kernel(
    "uniforms32",
    uniforms_text,
    [_POINTER, _POINTER, ctypes.c_int64, ctypes.c_float, ctypes.c_float, ctypes.c_float],
)
KEEPS: Final = _Kernel(
    "keeps", keeps_text, [_POINTER, _POINTER, ctypes.c_int64, ctypes.c_int64]
)  # fmt: skip


def _address(array: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (
        TypeError,
        ValueError,
    ):  # read-only, or empty: to ask the array takes three times as long
        address: int = array.__array_interface__["data"][0]
        return address


def box_muller32(uniforms: Array, mean: float, std: float) -> None:
    """Makes groups of 16 contiguous float32 uniforms normals, in place; `NORMALS` is ready."""
    assert NORMALS.call is not None
    here = _address(uniforms)
    NORMALS.call(here, here, uniforms.size // 16, mean, std, mean == 0.0 and std == 1.0)


def shuffled(n: int, words: Array) -> Array:
    """The permutation that n - 1 words give, int64 [n], n > 1; `SHUFFLE` is ready."""
    assert SHUFFLE.call is not None
    places = np.arange(n, dtype=np.int64)
    SHUFFLE.call(_address(np.ascontiguousarray(words)), _address(places), n)
    return places


def words(state: Array, out: Array) -> None:
    """The next words of a twister's memory into contiguous uint32 ones, at least one; `WORDS` is
    ready."""
    assert WORDS.call is not None
    WORDS.call(_address(state), _address(out), out.size)


def seeded(state: Array, seed: int) -> None:
    """Fills the key of a twister's memory; `SEEDED` is ready."""
    assert SEEDED.call is not None
    SEEDED.call(_address(state), seed)


def uniforms(words: Array, low: float, high: float) -> None:
    """Makes contiguous words float32 uniforms in [low, high), both float32, in place; `UNIFORMS`
    is ready."""
    assert UNIFORMS.call is not None
    here = _address(words)
    width = float(np.float32(high) - np.float32(low))
    UNIFORMS.call(here, here, words.size, low, width, high)


def keeps(words: Array, limit: int) -> Array:
    """bool: which pairs of contiguous words are below the limit (of 2**53); `KEEPS` is ready."""
    assert KEEPS.call is not None
    out = np.empty(words.size // 2, np.bool_)
    KEEPS.call(_address(words), _address(out), out.size, limit)
    return out
