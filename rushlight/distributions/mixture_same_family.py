"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.autograd import no_grad
from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.words import Tensor

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """One of the components along the last batch dimension, by a categorical distribution."""

    arg_constraints: ClassVar[Any] = {}
    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of "
                "torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of "
                "torch.distributions.Distribution"
            )
        mixed, batch = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        for a, b in zip(reversed(mixed), reversed(batch), strict=False):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixed}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch})"
                )
        count = mixture_distribution._num_events
        there = component_distribution.batch_shape[-1]
        if count != there:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({there})"
            )
        self._num_component = count
        self._event_ndims = len(component_distribution.event_shape)
        event = component_distribution.event_shape
        super().__init__(batch, event, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same, over another batch."""
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        new._component_distribution = self._component_distribution.expand(
            Size((*batch_shape, self._num_component))
        )
        new._mixture_distribution = self._mixture_distribution.expand(Size(batch_shape))
        new._num_component = self._num_component
        new._event_ndims = self._event_ndims
        return self._settled(new, batch_shape)

    @constraints.dependent_property
    def support(self) -> Any:
        """The components'."""
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """Which component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Tensor:
        """The components' probabilities, with dimensions for the event."""
        probs = self._mixture_distribution.probs
        mixed = len(self._mixture_distribution.batch_shape)
        more = 0 if mixed == 1 else len(self.batch_shape) - mixed
        shape = tuple(probs.shape)
        made: Tensor = probs.reshape(
            (*shape[:-1], *(1,) * more, shape[-1], *(1,) * self._event_ndims)
        )
        return made

    @property
    def mean(self) -> Tensor:
        """The weighted mean of the means."""
        return (self._weights() * self._component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances, and the variance of the means."""
        weights, dim = self._weights(), -1 - self._event_ndims
        away = self._component_distribution.mean - self._pad(self.mean)
        inside = (weights * self._component_distribution.variance).sum(dim)
        return inside + (weights * away.pow(2.0)).sum(dim)

    def cdf(self, x: Tensor) -> Tensor:
        """The weighted mean of the components'."""
        below = self._component_distribution.cdf(self._pad(x))
        return (below * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """logsumexp of the components', weighted."""
        self._checked(x)
        log = self._component_distribution.log_prob(self._pad(x))
        weights = w.log_softmax(self._mixture_distribution.logits, dim=-1)
        return (log + weights).logsumexp(dim=-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A component's sample, the component drawn first."""
        with no_grad():
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = self._mixture_distribution.sample(sample_shape)
            samples = self._component_distribution.sample(sample_shape)
            event = tuple(self.event_shape)
            index = chosen.reshape((*chosen.shape, *(1,) * (len(event) + 1)))
            index = index.expand((*chosen.shape, 1, *event))
            return samples.gather(dim, index).squeeze(dim)

    def _pad(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_ndims)

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self._component_distribution})"
        )
