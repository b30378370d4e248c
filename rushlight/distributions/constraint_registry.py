"""Transforms onto constrained sets: `biject_to` (one to one), `transform_to` (maybe with surplus).

``transform_to(constraints.positive)(x)`` is exp(x).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.distributions import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Which transform leads onto which kind of constraint."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Enter what makes the transform for a constraint (or its class); also a decorator."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, but got "
                f"{constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform.  NotImplementedError: there is none."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _interval(c: Any) -> Any:
    numbers = isinstance(c.lower_bound, int | float) and isinstance(c.upper_bound, int | float)
    if numbers and (c.lower_bound, c.upper_bound) == (0, 1):
        return transforms.SigmoidTransform()
    width = c.upper_bound - c.lower_bound
    return transforms.ComposeTransform(
        [transforms.SigmoidTransform(), transforms.AffineTransform(c.lower_bound, width)]
    )


def _ray(bound: Any, direction: int) -> Any:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(bound, direction)]
    )


def _above(c: Any) -> Any:
    return _ray(c.lower_bound, 1)


def _fill(to: ConstraintRegistry) -> None:
    """What both registries have."""
    register = to.register
    register(constraints.real, lambda c: transforms.identity_transform)
    register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(
            to(c.base_constraint), c.reinterpreted_batch_ndims
        ),
    )
    for above in (constraints.greater_than, constraints.greater_than_eq):
        register(above, _above)
    register(constraints.less_than, lambda c: _ray(c.upper_bound, -1))
    register(constraints.interval, _interval)
    register(constraints.half_open_interval, _interval)
    register(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
    register(
        constraints.cat,
        lambda c: transforms.CatTransform([to(part) for part in c.cseq], c.dim, c.lengths),
    )
    register(
        constraints.stack,
        lambda c: transforms.StackTransform([to(part) for part in c.cseq], c.dim),
    )


_fill(biject_to)
_fill(transform_to)
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
for _matrix in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(_matrix, lambda c: transforms.PositiveDefiniteTransform())
