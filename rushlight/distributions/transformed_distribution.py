"""Distributions of transformed numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.autograd import no_grad
from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.independent import Independent
from rushlight.distributions.transforms import ComposeTransform, Transform
from rushlight.distributions.utils import sum_rightmost
from rushlight.distributions.words import Tensor

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of f(x) for x of a base distribution.

    ``TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()])`` is log-normal.
    """

    arg_constraints: ClassVar[Any] = {}

    def __init__(
        self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None
    ) -> None:
        if isinstance(transforms, Transform):
            self.transforms = [transforms]
        elif isinstance(transforms, list):
            if not all(isinstance(t, Transform) for t in transforms):
                raise ValueError("transforms must be a Transform or a list of Transforms")
            self.transforms = transforms
        else:
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        shape = Size((*base_distribution.batch_shape, *base_distribution.event_shape))
        dims = len(base_distribution.event_shape)
        chain = ComposeTransform(self.transforms)
        needed = chain.domain.event_dim
        if len(shape) < needed:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {needed}, but got "
                f"{shape}."
            )
        forward = chain.forward_shape(shape)
        wide = chain.inverse_shape(forward)
        if tuple(shape) != tuple(wide):
            base_distribution = base_distribution.expand(Size(wide[: len(wide) - dims]))
        if needed > dims:
            base_distribution = Independent(base_distribution, needed - dims)
        self.base_dist = base_distribution
        event_dim = max(chain.codomain.event_dim, dims + chain.codomain.event_dim - needed)
        cut = len(forward) - event_dim
        assert cut >= 0
        super().__init__(forward[:cut], forward[cut:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same, over another batch."""
        new = self._get_checked_instance(TransformedDistribution, _instance)
        shape: Any = Size((*batch_shape, *self.event_shape))
        for t in reversed(self.transforms):
            shape = t.inverse_shape(shape)
        new.base_dist = self.base_dist.expand(
            Size(shape[: len(shape) - len(self.base_dist.event_shape)])
        )
        new.transforms = self.transforms
        return self._settled(new, batch_shape)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """The last transform's codomain."""
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        more = len(self.event_shape) - support.event_dim
        return constraints.independent(support, more) if more > 0 else support

    @property
    def has_rsample(self) -> bool:
        """The base's."""
        return bool(self.base_dist.has_rsample)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The base's samples, transformed."""
        with no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The base's samples, transformed."""
        return self._forward(self.base_dist.rsample(sample_shape))

    def _forward(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's at the inverse, less the log-determinants."""
        self._checked(value)
        dims = len(self.event_shape)
        total: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            log = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(log, dims - transform.domain.event_dim)
            y = x
        base = self.base_dist.log_prob(y)
        return total + sum_rightmost(base, dims - len(self.base_dist.event_shape))

    def _monotonised(self, p: Tensor) -> Tensor:
        """1 - p where the transforms turn the order around."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return p
        return sign * (p - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        """The base's at the inverse."""
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        self.base_dist._checked(value)
        return self._monotonised(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The base's, transformed."""
        return self._forward(self.base_dist.icdf(self._monotonised(value)))


class Shaped(TransformedDistribution):
    """A named distribution that is a transformed one, perhaps with parameters of its own."""

    has_rsample: Any = True

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same, over another batch."""
        new = self.__new__(type(self)) if _instance is None else _instance
        for name in self._parameters:
            if name in self.__dict__:
                setattr(new, name, self.__dict__[name].expand(Size(batch_shape)))
        return super().expand(batch_shape, _instance=new)


def of_base(name: str, inner: int = 1) -> Any:
    """A property that is the base distribution's (`inner`: of how many bases within bases)."""

    def get(self: Any) -> Any:
        for _ in range(inner):
            self = self.base_dist
        return getattr(self, name)

    return property(get, doc=f"The base's {name}.")
