"""Mixed precision: which operations `autocast` gives other types, by PyTorch's lists for CPUs.

A `Policy` is asked for each new record.  Where operands have to be converted it answers with a
composite of its own, casts and the operation, which stands in the operation's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..base import dtype as dt
from ..base.dtype import dtype
from .op import COMPOSITE, TABLE, Op, Spec, register
from .value import Val

# In the low precision; the others in float32, where their operands are of a narrow type.
LOWER: Final = frozenset({"addmm", "convolution", "convolve", "convolve_input", "linear", "matmul"})
FLOAT32: Final = frozenset(
    {
        "as_complex", "binary_cross_entropy", "binary_cross_entropy_with_logits",
        "binary_cross_entropy_with_logits_pos", "cholesky", "cross_entropy", "cross_entropy_soft",
        "det", "eigh", "fft_c2c", "fft_r2c", "huber_loss", "inv", "l1_loss", "lu", "mse_loss",
        "nll_loss", "pinv", "prod", "qr", "smooth_l1_loss", "solve", "solve_triangular", "svd",
    }
)  # fmt: skip
MARK: Final = "autocast"  # `types` of the composites made here


class Policy:
    """What autocast does with ``kind`` (bfloat16 or float16) as the low precision."""

    def __init__(self, kind: dtype) -> None:
        self.kind = kind
        self.made: dict[Op, Op] = {}

    def row(self, op: Op, specs: Sequence[Spec]) -> Op:
        """The row for an operation on such operands: itself where nothing is converted."""
        if op.name in LOWER:
            to = self.kind
        elif op.name in FLOAT32:
            to = dt.float32
        else:
            return op
        if not any(wanted(s, to) for s in specs):
            return op
        found = self.made.get(op)
        if found is None:
            found = self.made[op] = variant(op, to)
        return found


def wanted(s: Spec, to: dtype) -> bool:
    """Is it an operand to convert?  float64 stays, and what is not floating."""
    return not s.number and s.dtype.kind == "f" and s.dtype is not to and s.dtype.itemsize < 8


def variant(op: Op, to: dtype) -> Op:
    """The operation with its operands converted first."""
    name = f"{op.name}_in_{to.name}"
    if name in TABLE:
        return TABLE[name]

    def infer(_: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
        return op.infer(op, [_as(s, to) if wanted(s, to) else s for s in srcs], arg)

    def decompose(*operands: Val, arg: Any = None) -> Val:
        cast = TABLE["cast"]
        given = [cast(x, arg=to) if wanted(x.builder.spec(x.slot), to) else x for x in operands]
        return op(*given, arg=arg)

    made = register(Op(name, COMPOSITE, infer))
    made.decompose = decompose
    made.types = MARK
    return made


def _as(s: Spec, to: dtype) -> Spec:
    return Spec(s.shape, to, s.strides, s.device)
