"""Operations the recorder itself makes.

Memory that enters, constants, fills, changes of history.
"""

from __future__ import annotations

from ..op import ALIAS, CONST, FULL, IOTA, LEAF, Op, Spec, register
from ..shaping import filled, same
from ..value import Val

# arg = (shape, dtype, strides, device, ...): dense memory that enters
leaf = register(Op("leaf", LEAF, lambda op, srcs, arg: Spec(arg[0], arg[1], arg[2], arg[3])))
# arg = (number, dtype)
const = register(Op("const", CONST, lambda op, srcs, arg: Spec((), arg[1])))
# (number,), arg = (shape, dtype), and the device when it is not the CPU
full = register(Op("full", FULL, filled))
# arg = (shape, dim, dtype)
iota = register(Op("iota", IOTA, lambda op, srcs, arg: Spec(arg[0], arg[2])))

# The value of the first operand: without history, with the second's history, with a history of
# its own.
detach = register(Op("detach", ALIAS, same))
graft = register(Op("graft", ALIAS, same))
graft.grads = (None, lambda g, out, value, history: g)
enter = register(Op("enter", ALIAS, same))


def zeros(like: Val, shape: tuple[int, ...]) -> Val:
    """Zeros of ``like``'s type."""
    zero = Val(like.builder, like.builder.number(0.0 if like.dtype.rank > 1 else 0, like))
    return full(zero, arg=(shape, like.dtype))
