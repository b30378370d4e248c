"""Values as gradient rules, decompositions and optimisers see them: handles on a builder's slots.

A rule is written once and used by whoever can record: the recorder's tape when it differentiates,
the lowering when it takes a composite apart, an optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..base.device import device
    from ..base.dtype import dtype
    from .op import Op, Spec


class Builder(Protocol):
    """Who records what rules ask for.  A slot below zero stands for a run-time Python number."""

    def make(self, op: Op, srcs: list[int], arg: Any) -> int:
        """Record ``op`` on the slots ``srcs``; the slot of its result."""

    def number(self, value: float | int | bool, like: Val) -> int:
        """The slot of a number known when the rule is written, as an operand beside ``like``."""

    def spec(self, slot: int) -> Spec:
        """Shape, strides and type of a slot."""

    def arg(self, slot: int) -> Any:
        """The static argument of the record that made a slot."""


class Val:
    """One value in a rule.  Arithmetic records operations; installed by ``ops/elementwise.py``."""

    __slots__ = ("builder", "slot")

    def __init__(self, builder: Builder, slot: int) -> None:
        self.builder = builder
        self.slot = slot

    @property
    def shape(self) -> tuple[int, ...]:
        return self.builder.spec(self.slot).shape

    @property
    def dtype(self) -> dtype:
        return self.builder.spec(self.slot).dtype

    @property
    def device(self) -> device:
        return self.builder.spec(self.slot).device

    @property
    def arg(self) -> Any:
        return self.builder.arg(self.slot)

    __add__: Callable[[Val, Any], Val]
    __radd__: Callable[[Val, Any], Val]
    __sub__: Callable[[Val, Any], Val]
    __rsub__: Callable[[Val, Any], Val]
    __mul__: Callable[[Val, Any], Val]
    __rmul__: Callable[[Val, Any], Val]
    __truediv__: Callable[[Val, Any], Val]
    __rtruediv__: Callable[[Val, Any], Val]
    __lt__: Callable[[Val, Any], Val]
    __le__: Callable[[Val, Any], Val]
    __gt__: Callable[[Val, Any], Val]
    __ge__: Callable[[Val, Any], Val]
    __neg__: Callable[[Val], Val]


def again(v: Val) -> bool:
    """May what a rule records of ``v`` be differentiated again?  Then it has to be right there
    too, which may cost more."""
    return bool(getattr(v.builder, "create", True))
