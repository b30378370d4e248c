"""Parameter groups as a step sees them: what stays the same from step to step is worked out once.

Compiled with the hot core: a step that repeats the last one costs no interpreted line for each
parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine.core import Tensor
from ..engine.grads import gradient
from ..engine.step import update

Column = tuple[Tensor, ...]


class Group:
    """What a step needs of one parameter group, kept while nothing changes.

    ``names``: of the state tensors.  ``rows``: the parameters that can be stepped, each with its
    state tensors.  ``bare``: those that have no state because they have not had a gradient yet.
    ``steps``: how many steps each row has taken; None: all ``count``.  ``static`` and ``numbers``
    are the rule's for the settings ``seen``; ``numbers`` is None where they differ from step to
    step.
    """

    __slots__ = (
        "bare", "count", "group", "names", "numbers", "params", "rows", "rule", "seen", "static",
        "steps",
    )  # fmt: skip

    def __init__(
        self, group: dict[str, Any], names: tuple[str, ...], rule: Callable[..., Any]
    ) -> None:
        self.group: dict[str, Any] = group
        self.names: tuple[str, ...] = names
        self.rule: Callable[..., Any] = rule
        self.params: list[Tensor] = list(group["params"])
        self.rows: list[tuple[Tensor, Column]] = []
        self.bare: list[Tensor] = []
        self.count: int = 0
        self.steps: list[int] | None = None
        self.seen: list[Any] = []
        self.static: Any = None
        self.numbers: list[float] | None = None

    def current(self, group: dict[str, Any]) -> bool:
        """Are these the group's parameters, and has none of the bare ones got a gradient?"""
        mine = self.params
        params: Any = group["params"]
        if self.group is not group or len(params) != len(mine):
            return False
        for p, q in zip(params, mine):
            if p is not q:
                return False
        return all(gradient(q) is None for q in self.bare)

    def settled(self, group: dict[str, Any]) -> bool:
        """Are the group's settings those for which ``static`` and ``numbers`` were worked out?"""
        seen = self.seen
        if len(seen) != len(group):
            return False
        return all(value is seen[i] for i, value in enumerate(group.values()))

    def settle(self, group: dict[str, Any], numbers: list[float] | None, static: Any) -> None:
        """Keep what was worked out for these settings, as far as they cannot change unseen."""
        values = list(group.values())
        for name, value in group.items():
            if name != "params" and not lasting(value):
                values = []
        self.seen = values
        self.numbers = numbers
        self.static = static

    def columns(self) -> list[Column]:
        """(parameter, gradient, state ...) of every row that has a gradient."""
        out: list[Column] = []
        for p, state in self.rows:
            g = gradient(p)
            if g is not None:
                n = len(state)
                if n == 0:
                    out.append((p, g))
                elif n == 1:
                    out.append((p, g, state[0]))
                elif n == 2:
                    out.append((p, g, state[0], state[1]))
                else:
                    out.append((p, g, *state))
        return out

    def again(self, group: dict[str, Any]) -> bool:
        """Step as the last time; False, and nothing done, where that cannot be."""
        numbers = self.numbers
        if numbers is None or not self.settled(group) or not self.current(group):
            return False
        columns = self.columns()
        if len(columns) != len(self.rows) and self.names:
            return False
        update(self.rule, columns, numbers, self.static)
        return True


def lasting(value: object) -> bool:
    """Is a setting something that only assigning another one can change?"""
    if isinstance(value, tuple):
        return all(lasting(v) for v in value)
    return value is None or isinstance(value, float | int | str)
