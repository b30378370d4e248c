"""``AdaptiveLogSoftmaxWithLoss``: many classes, of which the frequent ones are cheap."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..engine import Tensor
from ..tensor.join import cat
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Classes by frequency: a head for the first ``cutoffs[0]`` and for each cluster of others.

    Called with (N, in_features) and targets (N) it gives each target's log-probability, and minus
    their mean.  Clusters have ``div_value`` times fewer features each.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if len(cutoffs) == 0:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(cutoffs)
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or len(set(cutoffs)) != len(cutoffs)
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive "
                "integers sorted in an increasing order, where "
                "each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        placed = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **placed)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            width = int(in_features // (div_value ** (i + 1)))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **placed),
                    Linear(width, high - low, bias=False, **placed),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new values."""
        self.head.reset_parameters()
        for cluster in self.tail:
            layers: Any = cluster
            for layer in layers:
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """Each target's log-probability, and the loss."""
        x: Any = input_
        y: Any = target_
        if y.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if y.dim() == 1 and x.shape[0] != y.shape[0]:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if x.dim() != y.dim() + 1:
            raise RuntimeError(
                f"{y.dim()}D target tensor expects {y.dim() + 1}D input tensors, "
                f"but found inputs with size {x.size()}"
            )
        alone = y.dim() == 0
        if alone:
            x, y = x.unsqueeze(0), y.unsqueeze(0)
        head: Any = self.head(x)
        head = head.log_softmax(1)
        out = x.new_zeros(y.shape[0])
        chosen = y.new_zeros(y.shape[0])
        used = 0
        for i, (low, high) in enumerate(itertools.pairwise([0, *self.cutoffs])):
            rows = ((y >= low) & (y < high)).nonzero().reshape(-1)
            if not rows.shape[0]:
                continue
            used += rows.shape[0]
            picked = y.index_select(0, rows)
            if i == 0:
                chosen = chosen.index_copy(0, rows, picked)
                continue
            chosen = chosen.index_fill(0, rows, self.shortlist_size + i - 1)
            inner: Any = self.tail[i - 1](x.index_select(0, rows))
            inner = inner.log_softmax(1).gather(1, (picked - low).unsqueeze(1))
            out = out.index_copy(0, rows, inner.squeeze(1))
        if used != y.shape[0]:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], "
                f"but values in range [{y.min().item()}, {y.max().item()}] "
                "were found. "
            )
        out = out + head.gather(1, chosen.unsqueeze(1)).squeeze(1)
        loss = (-out).mean()
        return _ASMoutput(out.squeeze(0) if alone else out, loss)

    def _get_full_log_prob(self, input: Any, head_output: Any) -> Any:
        head = head_output.log_softmax(1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            inner: Any = cluster(input)
            parts.append(inner.log_softmax(1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, (N, n_classes)."""
        return self._get_full_log_prob(input, self.head(input))  # type: ignore[no-any-return]

    def predict(self, input: Tensor) -> Tensor:
        """The likeliest class of each, (N)."""
        full: Any = self._get_full_log_prob(input, self.head(input))
        return full.argmax(1)  # type: ignore[no-any-return]
