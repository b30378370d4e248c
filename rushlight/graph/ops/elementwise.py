"""Elementwise operations: one row each; `define` enters one, here and in the families beside.

A row: ``define(name, lower, grads, types, reference, domain)``.  ``lower(e, *x)`` says what one
element is; ``grads`` has one rule per operand, ``rule(g, out, *operands)``, or None.  ``types`` is
the promotion rule: ``promote`` (common type), ``power`` (the same, bool as int64), ``float``
(integers become the default float), ``compare`` (common type in, bool out), ``test`` (its own type
in, bool out), ``bool`` (read as bool), ``where`` (first operand bool, the others promoted),
``cast`` (to the static argument), ``part`` (the type of a complex type's parts; ``float part``: of
integers the default float), ``pair`` (the complex type of two floats).  ``domain``: for each
operand, the interval tests draw from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ...base import dtype as dt
from ...base.dtype import dtype
from ..op import ELEMENTWISE, TABLE, Op, Spec, register
from ..shaping import REFUSED, Check, check_sub
from ..shaping import elementwise as infer
from ..value import Val, again
from .core import full, zeros

R = (-3.0, 3.0)  # anywhere
P = (0.25, 3.0)  # positive
U = (0.05, 0.95)  # a probability


def refusal(kinds: str, error: type[Exception], words: str) -> Check:
    """Refuses to work in types of these kinds, in PyTorch's words; ``{type}`` is filled in."""

    def check(srcs: Sequence[Spec], ctype: dtype) -> None:
        if ctype.kind in kinds:
            raise error(words.format(type=ctype.typename))

    return check


def _unimplemented(kinds: str, name: str) -> Check:
    return refusal(kinds, NotImplementedError, f"\"{name}\" not implemented for '{{type}}'")


def _check_heaviside(srcs: Sequence[Spec], ctype: dtype) -> None:
    if len({s.dtype for s in srcs}) > 1:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


CHECKS: Final[dict[str, Check]] = {
    "sub": check_sub,
    "heaviside": _check_heaviside,
    "neg": refusal(
        "b",
        RuntimeError,
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
        "invert a mask, use the `~` or `logical_not()` operator instead.",
    ),
    "relu": refusal("b", RuntimeError, "Boolean inputs not supported for relu"),
    "abs": _unimplemented("b", "abs_cpu"),
    "floor": _unimplemented("b", "floor_vml_cpu"),
    "ceil": _unimplemented("b", "ceil_vml_cpu"),
    "trunc": _unimplemented("b", "trunc_vml_cpu"),
    "round": _unimplemented("b", "round_vml_cpu"),
    "remainder": _unimplemented("b", "remainder_cpu"),
    "fmod": _unimplemented("b", "fmod_cpu"),
    "floor_divide": _unimplemented("b", "div_floor_cpu"),
    "trunc_divide": _unimplemented("b", "div_trunc_cpu"),
    "pow": _unimplemented("b", "pow"),
    "frac": _unimplemented("bui", "frac_cpu"),
    "logaddexp": _unimplemented("bui", "logaddexp_cpu"),
    "logaddexp2": _unimplemented("bui", "logaddexp2_cpu"),
    "hypot": _unimplemented("bui", "hypot_cpu"),
    "bitwise_and": _unimplemented("f", "bitwise_and_cpu"),
    "bitwise_or": _unimplemented("f", "bitwise_or_cpu"),
    "bitwise_xor": _unimplemented("f", "bitwise_xor_cpu"),
    "bitwise_not": _unimplemented("f", "bitwise_not_cpu"),
    "bitwise_left_shift": _unimplemented("bf", "lshift_cpu"),
    "bitwise_right_shift": _unimplemented("bf", "rshift_cpu"),
}
REFUSED.update(CHECKS)
# Those that may refuse floats of one type; `sub` refuses numbers that are truth values.
NOT_FLOATS: Final = frozenset(["heaviside", *[name for name in CHECKS if "bitwise" in name]])


def define(
    name: str,
    lower: Callable[..., Any],
    *grads: Callable[..., Any] | None,
    types: str = "promote",
    reference: Callable[..., Any] | None = None,
    domain: tuple[Any, ...] = (R,),
    infix: str = "",
) -> Op:
    """Enter an elementwise operation; ``infix`` gives ``Val`` the Python operator."""
    op = register(Op(name, ELEMENTWISE, infer))
    op.types, op.lower, op.grads, op.reference, op.domain = types, lower, grads, reference, domain
    if infix:
        setattr(Val, f"__{infix}__", _function(op))
        if len(domain) == 2 and types != "compare":
            setattr(Val, f"__r{infix}__", lambda x, y: op(y, x))
    return op


def _function(op: Op) -> Callable[..., Val]:
    def call(*operands: Any) -> Val:  # a plain function: as an attribute of a class it is a method
        return op(*operands)

    return call


# ---------------------------------------------------------------- arithmetic
neg: Op = define("neg", lambda e, x: -x, lambda g, out, x: -g, reference=np.negative, infix="neg")
add: Op = define(
    "add", lambda e, x, y: x + y, lambda g, out, x, y: g, lambda g, out, x, y: g,
    reference=np.add, domain=(R, R), infix="add",
)  # fmt: skip
sub: Op = define(
    "sub", lambda e, x, y: x - y, lambda g, out, x, y: g, lambda g, out, x, y: -g,
    reference=np.subtract, domain=(R, R), infix="sub",
)  # fmt: skip
mul: Op = define(
    "mul", lambda e, x, y: x * y, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x,
    reference=np.multiply, domain=(R, R), infix="mul",
)  # fmt: skip
# The argument of a product by a number that another operation asks for (`alpha`): as in PyTorch,
# nothing is saved for its gradient, which may be asked for again.
SCALED: Final = "scaled"
div: Op = define(
    "div", lambda e, x, y: x / y,
    lambda g, out, x, y: g / y, lambda g, out, x, y: -g * ((x / y) / y),
    types="float", reference=np.true_divide, domain=(R, P), infix="truediv",
)  # fmt: skip
abs_: Op = define(
    "abs", lambda e, x: e.abs(x),
    lambda g, out, x: g * (TABLE["sgn"](x) if x.dtype.kind == "c" else sign(x)), types="part",
    reference=np.abs,
)  # fmt: skip


def _sign(e: Any, x: Any) -> Any:
    return x if x.dtype.kind == "b" else e.cast(x > 0, x.dtype) - e.cast(x < 0, x.dtype)


sign: Op = define("sign", _sign, lambda g, out, x: zeros_like(g), reference=np.sign)
square: Op = define(
    "square",
    lambda e, x: x * x,
    lambda g, out, x: g * (x * 2.0),
    types="power",
    reference=np.square,
)
cube: Op = define(
    "cube",
    lambda e, x: x * x * x,
    lambda g, out, x: g * (square(x) * 3.0),
    reference=lambda x: x**3,
)
reciprocal: Op = define(
    "reciprocal", lambda e, x: e.const(1, x.dtype) / x, lambda g, out, x: -g * (out * out),
    types="float", reference=np.reciprocal, domain=(P,),
)  # fmt: skip
sqrt: Op = define("sqrt", lambda e, x: e.sqrt(x), lambda g, out, x: g / (out * 2.0),
              types="float", reference=np.sqrt, domain=(P,))  # fmt: skip
rsqrt: Op = define(
    "rsqrt", lambda e, x: e.const(1, x.dtype) / e.sqrt(x), lambda g, out, x: (g * -0.5) * cube(out),
    types="float", reference=lambda x: 1 / np.sqrt(x), domain=(P,),
)  # fmt: skip


def _pow_grad_base(g: Val, out: Val, x: Val, y: Val) -> Val:
    if y.builder.spec(y.slot).number and x.dtype is dt.float64:
        y = full(y, arg=((), x.dtype))  # numbers alone would meet in the default float
    none = eq(y, 0.0)
    less = (where(none, 1.0, y) if again(x) else y) - 1.0  # slopes of what is not taken are finite
    return where(none, 0.0, g * (y * pow_(x, less)))


def _pow_grad_exponent(g: Val, out: Val, x: Val, y: Val) -> Val:
    size = TABLE["real"](y) if out.dtype.kind == "c" and y.dtype.kind == "c" else y
    return g * where(logical_and(eq(x, 0.0), ge(size, 0.0)), 0.0, out * log(x))


pow_: Op = define(
    "pow", lambda e, x, y: e.pow(x, y), _pow_grad_base,
    _pow_grad_exponent,
    reference=np.power, domain=(P, R),
)  # fmt: skip

# ---------------------------------------------------------------- exponentials and their kin
exp: Op = define(
    "exp", lambda e, x: e.exp(x), lambda g, out, x: g * out, types="float", reference=np.exp
)
expm1: Op = define("expm1", lambda e, x: e.expm1(x), lambda g, out, x: g * (out + 1.0),
               types="float", reference=np.expm1)  # fmt: skip
log: Op = define(
    "log",
    lambda e, x: e.log(x),
    lambda g, out, x: g / x,
    types="float",
    reference=np.log,
    domain=(P,),
)
log1p: Op = define("log1p", lambda e, x: e.log1p(x), lambda g, out, x: g / (x + 1.0),
               types="float", reference=np.log1p, domain=(P,))  # fmt: skip
tanh: Op = define("tanh", lambda e, x: e.tanh(x), lambda g, out, x: g * (1.0 - out * out),
              types="float", reference=np.tanh)  # fmt: skip
sigmoid: Op = define("sigmoid", lambda e, x: e.sigmoid(x), lambda g, out, x: g * (1.0 - out) * out,
                 types="float", reference=lambda x: 1 / (1 + np.exp(-x)))  # fmt: skip
sin: Op = define(
    "sin", lambda e, x: e.sin(x), lambda g, out, x: g * cos(x), types="float", reference=np.sin
)
cos: Op = define(
    "cos", lambda e, x: e.cos(x), lambda g, out, x: g * -sin(x), types="float", reference=np.cos
)
erf: Op = define(
    "erf", lambda e, x: e.erf(x), lambda g, out, x: g * (exp(-(x * x)) * 1.1283791670955126),
    types="float", reference=np.vectorize(math.erf, otypes="d"),
)  # fmt: skip

# ---------------------------------------------------------------- bending
# The first operand.  Beside it stands what it was chosen by, whose slope is 0 but is there: what
# PyTorch's backward of a bent line is to the line's input.
beside: Op = define(
    "beside", lambda e, v, x: v, lambda g, out, v, x: g, lambda g, out, v, x: zeros(g, x.shape),
    reference=lambda v, x: v + 0 * x, domain=(R, R),
)  # fmt: skip


def bent(v: Val, x: Val) -> Val:
    """A gradient ``v`` of a bent line, which asks ``x`` where the bends are (and reads it)."""
    return beside(v, x) if again(x) else v


relu: Op = define(
    "relu", lambda e, x: e.where(x <= 0, 0, x),
    lambda g, out, x: bent(where(out <= 0.0, 0.0, g), out),
    reference=lambda x: np.maximum(x, 0),
)  # fmt: skip


def _half(g: Val, x: Val, y: Val) -> Val:
    return where(eq(x, y), g * 0.5, g)


maximum: Op = define(
    "maximum", lambda e, x, y: e.where((x > y) | e.isnan(x), x, y),
    lambda g, out, x, y: where(x < y, 0.0, _half(g, x, y)),
    lambda g, out, x, y: where(x > y, 0.0, _half(g, x, y)),
    reference=np.maximum, domain=(R, R),
)  # fmt: skip
minimum: Op = define(
    "minimum", lambda e, x, y: e.where((x < y) | e.isnan(x), x, y),
    lambda g, out, x, y: where(x > y, 0.0, _half(g, x, y)),
    lambda g, out, x, y: where(x < y, 0.0, _half(g, x, y)),
    reference=np.minimum, domain=(R, R),
)  # fmt: skip
clamp_min: Op = define(
    "clamp_min", lambda e, x, y: e.where((x > y) | e.isnan(x), x, y),
    lambda g, out, x, y: where(x >= y, g, 0.0), lambda g, out, x, y: where(x < y, g, 0.0),
    reference=np.maximum, domain=(R, R),
)  # fmt: skip
clamp_max: Op = define(
    "clamp_max", lambda e, x, y: e.where((x < y) | e.isnan(x), x, y),
    lambda g, out, x, y: where(x <= y, g, 0.0), lambda g, out, x, y: where(x > y, g, 0.0),
    reference=np.minimum, domain=(R, R),
)  # fmt: skip
floor: Op = define(
    "floor",
    lambda e, x: x if x.dtype.rank < 2 else e.floor(x),
    lambda g, out, x: zeros_like(g),
    reference=np.floor,
)
ceil: Op = define(
    "ceil",
    lambda e, x: x if x.dtype.rank < 2 else e.ceil(x),
    lambda g, out, x: zeros_like(g),
    reference=np.ceil,
)
round_: Op = define(
    "round",
    lambda e, x: x if x.dtype.rank < 2 else e.round(x),
    lambda g, out, x: zeros_like(g),
    reference=np.round,
)
trunc: Op = define(
    "trunc",
    lambda e, x: x if x.dtype.rank < 2 else e.trunc(x),
    lambda g, out, x: zeros_like(g),
    reference=np.trunc,
)


# ---------------------------------------------------------------- choosing, comparing
where: Op = define(
    "where", lambda e, c, x, y: e.where(c, x, y), None,
    lambda g, out, c, x, y: where(c, g, 0.0), lambda g, out, c, x, y: where(c, 0.0, g),
    types="where", reference=np.where, domain=((0.0, 1.0), R, R),
)  # fmt: skip
eq: Op = define("eq", lambda e, x, y: x.eq(y), types="compare", reference=np.equal, domain=(R, R))
ne: Op = define(
    "ne", lambda e, x, y: x.ne(y), types="compare", reference=np.not_equal, domain=(R, R)
)
lt: Op = define(
    "lt", lambda e, x, y: x < y, types="compare", reference=np.less, domain=(R, R), infix="lt"
)
le: Op = define(
    "le",
    lambda e, x, y: x <= y,
    types="compare",
    reference=np.less_equal,
    domain=(R, R),
    infix="le",
)
gt: Op = define(
    "gt", lambda e, x, y: x > y, types="compare", reference=np.greater, domain=(R, R), infix="gt"
)
ge: Op = define(
    "ge",
    lambda e, x, y: x >= y,
    types="compare",
    reference=np.greater_equal,
    domain=(R, R),
    infix="ge",
)
isnan: Op = define("isnan", lambda e, x: e.isnan(x), types="test", reference=np.isnan)
logical_not: Op = define("logical_not", lambda e, x: ~x, types="bool", reference=np.logical_not)
logical_and: Op = define(
    "logical_and", lambda e, x, y: x & y, types="bool", reference=np.logical_and, domain=(R, R)
)
logical_or: Op = define(
    "logical_or", lambda e, x, y: x | y, types="bool", reference=np.logical_or, domain=(R, R)
)
logical_xor: Op = define(
    "logical_xor", lambda e, x, y: x ^ y, types="bool", reference=np.logical_xor, domain=(R, R)
)
bitwise_not: Op = define("bitwise_not", lambda e, x: ~x, reference=np.bitwise_not)
bitwise_and: Op = define(
    "bitwise_and", lambda e, x, y: x & y, reference=np.bitwise_and, domain=(R, R)
)
bitwise_or: Op = define("bitwise_or", lambda e, x, y: x | y, reference=np.bitwise_or, domain=(R, R))
bitwise_xor: Op = define(
    "bitwise_xor", lambda e, x, y: x ^ y, reference=np.bitwise_xor, domain=(R, R)
)


# ---------------------------------------------------------------- conversion, copies
def _cast_grad(g: Val, out: Val, x: Val) -> Val:
    return cast(g, arg=x.dtype)


cast: Op = define(
    "cast", lambda e, x: x, _cast_grad, types="cast"
)  # the builder converts: to the static argument
zeros_like: Op = define(
    "zeros_like", lambda e, x: e.const(0, x.dtype), None, reference=np.zeros_like
)
copy: Op = define("copy", lambda e, x: x, lambda g, out, x: g, reference=np.array)
