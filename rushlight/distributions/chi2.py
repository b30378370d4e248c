"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.words import Tensor

__all__ = ["Chi2"]


class Chi2(Gamma):
    """Gamma(df / 2, 1/2)."""

    arg_constraints: ClassVar = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same, over another batch."""
        new = self.__new__(type(self)) if _instance is None else _instance
        return super().expand(batch_shape, new)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom."""
        return self.concentration * 2
