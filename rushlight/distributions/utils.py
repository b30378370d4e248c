"""What distributions share: broadcasting, probabilities and logits, lazy properties, triangles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from rushlight.autograd import enable_grad
from rushlight.base import dtype as dt
from rushlight.distributions import words as w
from rushlight.distributions.words import Tensor
from rushlight.tensor.kinds import finfo

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant: Final = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers get the type of the tensors.

    Raises:
        ValueError: for anything else.
    """
    if not all(w.is_tensor(v) or isinstance(v, int | float) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects "
            "implementing __torch_function__."
        )
    kind = next((v.dtype for v in values if w.is_tensor(v)), dt.Defaults.float)
    tensors = [v if w.is_tensor(v) else w.tensor(v, dtype=kind) for v in values]
    return tuple(w.broadcast_tensors(*tensors))


def standard_normal(shape: Any, kind: Any) -> Tensor:
    """Numbers from N(0, 1)."""
    return w.randn(shape, dtype=kind)


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    if not dim or not w.is_tensor(value):
        return value
    return value.reshape(tuple(value.shape[: value.dim() - dim]) + (-1,)).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds (binary), or of unnormalised log-probabilities."""
    return logits.sigmoid() if is_binary else w.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept away from 0 and 1 by the type's epsilon."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds (binary), or log-probabilities."""
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


class lazy_property:
    """A method whose value is computed when first asked for, and kept in the instance."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def _lower(n: int, diag: int) -> Tensor:
    steps = w.arange(n)
    return steps < steps.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The entries of lower triangles, row by row.  ValueError: no such diagonal."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat[..., _lower(n, diag)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Lower triangles of their entries, zeros above.  ValueError: no triangle has as many."""
    size = vec.shape[-1]
    exact = -(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * size + 4 * abs(diag) * (diag + 1)) ** 0.5
    n = round(exact / 2)
    if abs(n - exact / 2) > 1e-9:
        raise ValueError(
            f"The size of last dimension is {size} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    mat = vec.new_zeros((*vec.shape[:-1], n, n))
    mat[..., _lower(n, diag)] = vec
    return mat
