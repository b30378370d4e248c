"""The categorical distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.base import dtype as dt
from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution, either, nothing
from rushlight.distributions.utils import lazy_property, logits_to_probs, probs_to_logits
from rushlight.distributions.words import Tensor
from rushlight.tensor.kinds import finfo

__all__ = ["Categorical"]


class Categorical(Distribution):
    """The numbers 0 ... K-1 with given probabilities, normalised along the last dimension.

    `probs` or `logits` (unnormalised log-probabilities), at least one-dimensional.

    ``Categorical(torch.tensor([0.25, 0.75])).sample((3,))``
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _parameters: ClassVar = {"probs": 1, "logits": 1}

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        either(probs, logits)
        given = logits if probs is None else probs
        if given.dim() < 1:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.probs = self._param = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = self._param = logits - logits.logsumexp(dim=-1, keepdim=True)
        self._num_events = given.size()[-1]
        super().__init__(given.size()[:-1], validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._num_events = self._num_events
        new._param = self._param.expand((*batch_shape, self._num_events))

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """0 ... K-1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """Normalised log-probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits)

    @property
    def param_shape(self) -> Any:
        """The parameter's shape."""
        return self._param.size()

    @property
    def mean(self) -> Tensor:
        """NaN: categories have none."""
        return nothing(self, self.probs)

    @property
    def mode(self) -> Tensor:
        """The likeliest."""
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        """NaN: categories have none."""
        return nothing(self, self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Categories, drawn with replacement."""
        sample_shape = Size(sample_shape)
        rows = self.probs.reshape(-1, self._num_events)
        drawn = w.multinomial(rows, sample_shape.numel(), True).t()
        return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probabilities of categories."""
        self._checked(value)
        index, table = w.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return table.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        """-Σ p log p."""
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 ... K-1."""
        return self._enumerated(w.arange(self._num_events, dtype=dt.int64), expand)
