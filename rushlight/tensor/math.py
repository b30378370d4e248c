"""Elementwise functions, methods and in-place forms, made from the table: one row, one name.

A row `exp` gives `torch.exp(input, *, out=None)`, `Tensor.exp()` and `Tensor.exp_()`.  Names whose
arguments are special have functions of their own below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import broadcast_shapes
from rushlight.engine import Tensor
from rushlight.engine.core import SLOW, binary, record1, record2, scaled
from rushlight.engine.record import distinct
from rushlight.graph.op import Op
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.shaping import NO_BOOL_SUB
from rushlight.tensor.install import (
    FUNCTIONS,
    Number,
    attach,
    both,
    give,
    integer,
    kind_of,
    method,
    named,
    need_tensor,
    number,
    operand,
    row,
)

apply: Callable[..., Tensor] = engine.apply
assign: Callable[[Tensor, Any], Tensor] = engine.assign
# `x.op_(tensor or number)` at once: the checks, the operation, the write.
inplace: Final[Callable[[int, Tensor, Any], Tensor]] = SLOW[0].inplace

NUMBERS: Final = frozenset((float, int))  # Python's own: no NumPy scalar among them

# Public name -> row, where they differ.
ALIASES: Final[dict[str, str]] = {
    "absolute": "abs", "negative": "neg", "fix": "trunc", "arccos": "acos",
    "arcsin": "asin", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "arctan2": "atan2", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le",
    "not_equal": "ne",
}  # fmt: skip
UNARY: Final = (
    "abs neg sign square reciprocal sqrt rsqrt exp exp2 expm1 log log1p log2 log10 tanh sigmoid "
    "sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc erfinv relu floor ceil trunc "
    "frac logical_not bitwise_not deg2rad rad2deg lgamma digamma i0 sinc isnan isinf isfinite "
    "isposinf isneginf signbit absolute negative fix arccos arcsin arctan arcsinh arccosh "
    "arctanh"
)
BINARY: Final = (
    "mul maximum minimum fmax fmin atan2 arctan2 remainder fmod floor_divide copysign logaddexp "
    "logaddexp2 xlogy hypot heaviside eq ne lt le gt ge greater greater_equal less less_equal "
    "not_equal logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
    "bitwise_left_shift bitwise_right_shift gcd lcm nextafter igamma igammac"
)
# Both operands have to be tensors; the first has to be one.
TENSORS: Final = (
    "maximum minimum fmax fmin atan2 arctan2 logaddexp logaddexp2 hypot heaviside logical_and "
    "logical_or logical_xor gcd lcm nextafter igamma igammac"
)
TENSOR_FIRST: Final = (
    "copysign fmod eq ne lt le gt ge greater greater_equal less less_equal not_equal"
)
# Functions without an in-place method, as in PyTorch.
NO_INPLACE: Final = (
    "isnan isinf isfinite isposinf isneginf signbit maximum minimum fmax fmin logaddexp logaddexp2"
)


def words(names: str) -> frozenset[str]:
    """The names in a text."""
    return frozenset(names.split())


def _unary(name: str, op: Op) -> Any:
    code = op.code

    def f(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor):
            need_tensor(input, name)
        made = record1(code, input, None)
        return made if out is None else give(made, out, name, input)

    f.__doc__ = f"`{name}` of every element."
    return f


def _binary(name: str, op: Op) -> Any:
    code = op.code

    def f(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if out is None and isinstance(input, Tensor):
            if isinstance(other, Tensor):
                return record2(code, input, other, None)
            if plain and type(other) in NUMBERS:
                return binary(code, input, other)  # type: ignore[no-any-return]
        if not isinstance(other, Tensor):
            if tensors:
                need_tensor(other, name, "other", 2)
            other = operand(other, name)
        if not isinstance(input, Tensor):
            input = operand(input, name, "input", 1)
            if first or not isinstance(other, Tensor):
                need_tensor(input, name)
        made = apply(op, input, other)
        return made if out is None else give(made, out, name, input, other)

    tensors = name in words(TENSORS)
    plain = not tensors
    first = tensors or name in words(TENSOR_FIRST)
    f.__doc__ = f"`{name}` of every pair of elements; shapes broadcast."
    return f


def _inplace(name: str, op: Op, pair: bool) -> Any:
    tensors = name[:-1] in words(TENSORS)
    code = op.code
    if pair:

        def f(self: Tensor, other: Any) -> Tensor:
            if not isinstance(other, Tensor) and type(other) not in NUMBERS:
                other = operand(other, name, position=1)
            if tensors:
                values = "values" if name == "heaviside_" else "other"
                need_tensor(other, name, values)
            return inplace(code, self, other)
    else:

        def f(self: Tensor) -> Tensor:  # type: ignore[misc]
            return engine.inplace(op, self)

    f.__doc__ = f"`{name[:-1]}`, written into the tensor."
    return f


def _install() -> None:
    for names, make in ((UNARY, _unary), (BINARY, _binary)):
        for name in names.split():
            op = row(ALIASES.get(name, name))
            if op is None:
                continue
            FUNCTIONS[name] = f = named(make(name, op), name)
            attach(name, f)
            if name not in words(NO_INPLACE):
                write = _inplace(name + "_", op, make is _binary)
                attach(name + "_", named(write, name + "_", "Tensor."))
                if make is _unary or name == "xlogy":
                    FUNCTIONS[name + "_"] = write


_install()


def inplace_of(name: str, f: Callable[..., Tensor]) -> None:
    """Attach `name`: `f` of the tensor and arguments, written into the tensor."""

    def write(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        engine.check_inplace(self)
        for v in (*args, *kwargs.values()):
            if isinstance(v, Tensor):
                distinct(self, v, False)
        made = f(self, *args, **kwargs)
        if made.dtype.rank > self.dtype.rank:
            raise RuntimeError(
                f"result type {made.dtype.typename} can't be cast to the desired output type "
                f"{self.dtype.typename}"
            )
        if tuple(made.shape) != tuple(self.shape):
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape "
                f"{list(made.shape)}"
            )
        return assign(self, made)

    write.__doc__ = f"`{name[:-1]}`, written into the tensor."
    attach(name, named(write, name, "Tensor."))


# ---------------------------------------------------------------- sums, differences, quotients
def _scaled(other: Any, alpha: Any, name: str, x: Any) -> Any:
    """`alpha * other`, after PyTorch's checks of alpha's type."""
    if type(alpha) is float and isinstance(other, Tensor) and other.dtype.rank >= 2:
        return scaled(other, alpha)
    alpha = number(alpha, name, "alpha", 3)
    if isinstance(alpha, float):
        kinds = [v.dtype for v in (x, other) if isinstance(v, Tensor)]
        if all(k.rank < 2 for k in kinds) and not isinstance(other, float):
            raise RuntimeError(
                "For integral input tensors, argument alpha must not be a floating point number."
            )
    return scaled(other, alpha) if isinstance(other, Tensor) else other * alpha


def _refuse_bool(name: str) -> None:
    if name == "sub":
        raise RuntimeError(NO_BOOL_SUB)


def _sum_like(name: str, op: Op) -> Any:
    code = op.code

    def f(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
        if not isinstance(other, Tensor):
            other = operand(other, name)
        if not isinstance(input, Tensor):
            input = operand(input, name, "input", 1)
            if not isinstance(other, Tensor):
                need_tensor(input, name)
        if other is True or other is False:
            _refuse_bool(name)
        if alpha != 1:
            other = _scaled(other, alpha, name, input)
        made = binary(code, input, other) if isinstance(input, Tensor) else apply(op, input, other)
        return made if out is None else give(made, out, name, input, other)

    f.__doc__ = f"`{name}(input, alpha * other)`; shapes broadcast."

    def write(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
        if not isinstance(other, Tensor):
            if other is True or other is False:
                _refuse_bool(name)
            other = operand(other, name + "_", position=1)
        if alpha != 1:
            other = _scaled(other, alpha, name, self)
        return inplace(code, self, other)

    write.__doc__ = f"`{name}`, written into the tensor."
    return f, write


for _names, _op in ((("add",), ew.add), (("sub", "subtract"), ew.sub)):
    _f, _write = _sum_like(_names[0], _op)
    for _n in _names:
        FUNCTIONS[_n] = named(_f, _names[0])
        setattr(Tensor, _n, _f)
        attach(_n + "_", named(_write, _names[0] + "_", "Tensor."))
for _n in ("multiply", "multiply_"):
    setattr(Tensor, _n, getattr(Tensor, _n.replace("multiply", "mul")))
FUNCTIONS["multiply"] = FUNCTIONS["mul"]


@both()
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other - alpha * input`."""
    need_tensor(input, "rsub")
    scaled = input if alpha == 1 else _scaled(input, alpha, "rsub", input)
    return apply(ew.sub, operand(other, "rsub"), scaled)


def divided(x: Any, y: Any, rounding_mode: str | None, name: str) -> Tensor:
    """True division, or rounded towards zero (`'trunc'`) or down (`'floor'`)."""
    if rounding_mode is None:
        return apply(ew.div, x, y)
    if rounding_mode == "floor":
        return apply(FLOOR_DIVIDE, x, y)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"{name} expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    kind = dt.result_type([_typed(x), _typed(y)])
    quotient = apply(ew.div, x, y) if kind.rank > 1 else None
    if quotient is not None:
        return apply(ew.trunc, quotient)
    # integers: round up by one where the floor was below a negative quotient
    floor = apply(FLOOR_DIVIDE, x, y)
    rest = apply(ew.ne, apply(FMOD, x, y), 0)
    return apply(ew.where, apply(ew.logical_and, rest, apply(ew.lt, floor, 0)), floor + 1, floor)


def _typed(x: Any) -> tuple[dt.dtype, int]:
    if isinstance(x, Tensor):
        return x.dtype, 0 if x.shape else 1
    return dt.number_type(kind_of(x)), 2


FLOOR_DIVIDE: Final = row("floor_divide")
FMOD: Final = row("fmod")


@both("div", "divide")
def div(
    input: Any,
    other: Any,
    *,
    rounding_mode: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """`input / other`, rounded as said; shapes broadcast."""
    x, y = operand(input, "div", "input", 1), operand(other, "div")
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        need_tensor(x, "div")
    return give(divided(x, y, rounding_mode, "div"), out, "div", x, y)


@both("true_divide")
def true_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """`input / other`."""
    return div(input, other, out=out)


@method("div_", "divide_")
def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """`div`, written into the tensor."""
    y = operand(other, "div_", position=1)
    if rounding_mode is None:
        return inplace(ew.div.code, self, y)
    return assign(self, divided(self, y, rounding_mode, "div"))


setattr(Tensor, "true_divide_", div_)


# ---------------------------------------------------------------- powers
def powered(x: Any, y: Any) -> Tensor:
    """`x ** y` of tensors or numbers; small exponents go the exact way, as in PyTorch."""
    if isinstance(y, Tensor):
        if not isinstance(x, Tensor) and x == 1:
            return apply(ew.pow_, 1.0 if isinstance(x, float) else 1, y)
        return apply(ew.pow_, x, y)
    special = SPECIAL_POWERS.get(y)
    if x.dtype.rank < 2:
        if isinstance(y, float):
            return powered(apply(ew.cast, x, arg=dt.Defaults.float), y)
        if x.dtype.kind == "b" and not isinstance(y, bool):
            x = apply(ew.cast, x, arg=dt.int64)
        if not isinstance(y, complex) and y < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
    return apply(ew.pow_, x, y) if special is None else special(x)


SPECIAL_POWERS: Final[dict[Any, Callable[[Any], Tensor]]] = {
    1: lambda x: apply(ew.copy, x),
    2: lambda x: apply(ew.square, x),
    3: lambda x: apply(ew.cube, x),
    0.5: lambda x: apply(ew.sqrt, x),
    -0.5: lambda x: apply(ew.rsqrt, x),
    -1: lambda x: apply(ew.reciprocal, x),
    -2: lambda x: apply(ew.reciprocal, apply(ew.square, x)),
}


SQUARE: Final[int] = ew.square.code


@both("pow")
def pow_(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`input ** exponent`; `RuntimeError` for integers to negative integers."""
    if (
        exponent.__class__ is int
        and exponent == 2
        and out is None
        and isinstance(input, Tensor)
        and input.dtype.kind != "b"
    ):
        return record1(SQUARE, input, None)
    x, y = operand(input, "pow", "input", 1), operand(exponent, "pow", "exponent")
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        need_tensor(x, "pow")
    return give(powered(x, y), out, "pow", x, y)


inplace_of("pow_", pow_)


@both()
def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`pow` in float64, or complex128."""
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        need_tensor(input, "float_power")
    x, y = operand(input, "float_power", "input", 1), operand(exponent, "float_power", "exponent")
    imaginary = any(
        v.dtype.kind == "c" if isinstance(v, Tensor) else isinstance(v, complex) for v in (x, y)
    )
    kind = dt.complex128 if imaginary else dt.float64
    wide = [
        apply(ew.cast, v, arg=kind) if isinstance(v, Tensor) else kind_of_number(v)
        for v in (x, y)
        for kind_of_number in (complex if imaginary else float,)
    ]
    return give(powered(*wide), out, "float_power")


def _float_power_(self: Tensor, exponent: Any) -> Tensor:
    """`float_power`, written into a float64 tensor."""
    if self.dtype is not dt.float64:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self.dtype.typename} but the operation's "
            "result requires dtype Double"
        )
    return assign(self, float_power(self, exponent))


setattr(Tensor, "float_power_", _float_power_)


@both("round")
def round_(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """The nearest integer, halves to even; or to a number of decimals."""
    need_tensor(input, "round")
    if not decimals:
        return give(apply(ew.round_, input), out, "round")
    decimals = integer(decimals, "round", "decimals")
    if input.dtype.rank < 2:
        raise NotImplementedError(f"\"round_cpu\" not implemented for '{input.dtype.typename}'")
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        made = apply(ew.div, apply(ew.round_, scaled(input, scale)), scale, arg=ew.SCALED)
    else:
        made = scaled(apply(ew.round_, apply(ew.div, input, scale, arg=ew.SCALED)), scale)
    return give(made, out, "round")


inplace_of("round_", round_)

# ---------------------------------------------------------------- Python's operators


OPERANDS: Final = (int, float, complex, Tensor)


def _invert(self: Tensor) -> Tensor:
    if self.dtype.rank > 1:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return FUNCTIONS["bitwise_not"](self)  # type: ignore[no-any-return]


def _operator(f: Callable[[Any, Any], Tensor]) -> Any:
    def forward(self: Tensor, other: Any) -> Any:
        if not isinstance(other, OPERANDS) and not _scalar(other):
            return NotImplemented
        return f(self, other)

    return forward


def _scalar(x: Any) -> bool:
    return hasattr(x, "dtype") and getattr(x, "shape", None) == () and not hasattr(x, "rec")


def _reflected(f: Callable[[Any, Any], Tensor]) -> Any:
    forward = _operator(lambda self, other: f(other, self))

    def reflected(self: Tensor, other: Any) -> Any:
        if not isinstance(self, Tensor):
            raise TypeError(
                "descriptor of 'torch._C.TensorBase' objects doesn't apply to a "
                f"{type(self).__name__!r} object"
            )
        return forward(self, other)

    return reflected


def _rounded_down(x: Any, y: Any) -> Tensor:
    return apply(FLOOR_DIVIDE, operand(x, "floor_divide"), operand(y, "floor_divide"))


OPERATORS: Final[dict[str, Callable[[Any, Any], Tensor]]] = {
    "pow": pow_,
    "floordiv": _rounded_down,
    "mod": FUNCTIONS["remainder"],
    "and": FUNCTIONS["bitwise_and"],
    "or": FUNCTIONS["bitwise_or"],
    "xor": FUNCTIONS["bitwise_xor"],
    "lshift": FUNCTIONS["bitwise_left_shift"],
    "rshift": FUNCTIONS["bitwise_right_shift"],
}


def _install_operators() -> None:
    for name, f in OPERATORS.items():
        setattr(Tensor, f"__{name}__", named(_operator(f), f"__{name}__", "Tensor."))
        setattr(Tensor, f"__r{name}__", named(_reflected(f), f"__r{name}__", "Tensor."))
    for name in ("and", "or", "xor"):
        setattr(Tensor, f"__i{name}__", vars(Tensor)[f"bitwise_{name}_"])
    setattr(Tensor, "__imod__", vars(Tensor)["remainder_"])
    setattr(Tensor, "__ifloordiv__", vars(Tensor)["floor_divide_"])
    setattr(Tensor, "__ipow__", vars(Tensor)["pow_"])
    setattr(Tensor, "__ilshift__", vars(Tensor)["bitwise_left_shift_"])
    setattr(Tensor, "__irshift__", vars(Tensor)["bitwise_right_shift_"])
    setattr(Tensor, "__invert__", _invert)
    setattr(Tensor, "__abs__", FUNCTIONS["abs"])


_install_operators()
setattr(
    Tensor, "__rdiv__",
    named(lambda self, other: apply(ew.reciprocal, self) * other, "__rdiv__", "Tensor."),
)  # fmt: skip


@both("positive")
def positive(input: Tensor) -> Tensor:
    """The tensor itself; `RuntimeError` for bool."""
    if input.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


setattr(Tensor, "__pos__", positive)


def meet(x: Any, y: Any) -> tuple[int, ...]:
    """The shape in which two operands meet."""
    return broadcast_shapes(*(tuple(v.shape) if isinstance(v, Tensor) else () for v in (x, y)))


__all__ = ["Number", "apply", "assign", "inplace_of", "powered"]
