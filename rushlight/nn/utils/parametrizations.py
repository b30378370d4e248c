"""Ready-made parametrizations: ``weight_norm``, ``spectral_norm``, ``orthogonal``."""

from __future__ import annotations

from typing import Any

from ... import engine
from ...engine import Tensor
from ...linalg import householder_product
from ...tensor.creation import eye
from ...tensor.factors import qr
from ...tensor.join import cat
from ...tensor.matrices import LINALG, matrix_exp
from ..module import Module
from . import parametrize
from .spectral_norm import as_matrix, unit, usual_dim
from .weight_norm import norm_except_dim, scaled

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _tensor_of(module: Any, name: str) -> Any:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


# ---------------------------------------------------------------- weight norm
class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        """Length times direction."""
        return scaled(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """Lengths, and the weight itself."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Learn a weight's lengths along ``dim`` (``original0``) apart from its directions."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def older(state_dict: Any, prefix: str, *rest: Any) -> None:
        keys = (f"{prefix}{name}_g", f"{prefix}{name}_v")
        if all(key in state_dict for key in keys):
            for i, key in enumerate(keys):
                held = state_dict.pop(key)
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = held

    module._register_load_state_dict_pre_hook(older)
    return module


# ---------------------------------------------------------------- spectral norm
class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        n = weight.dim()
        if dim >= n or dim < -n:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{n}, {n - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % n
        self.eps = eps
        if n > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            h, w = matrix.shape
            u = matrix.new_empty(h).normal_(0, 1)
            v = matrix.new_empty(w).normal_(0, 1)
            self.register_buffer("_u", unit(u, eps))
            self.register_buffer("_v", unit(v, eps))
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Any, count: int) -> None:
        """Bring the vectors nearer to the singular ones, in place."""
        u: Any = self._u
        v: Any = self._v
        before = engine.set_grad_enabled(False)
        try:
            for _ in range(count):
                u.copy_(unit(matrix.mv(v), self.eps))
                v.copy_(unit(matrix.t().mv(u), self.eps))
        finally:
            engine.set_grad_enabled(before)

    def forward(self, weight: Any) -> Any:
        """The weight divided by its greatest singular value."""
        if weight.dim() == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u: Any = self._u
        v: Any = self._v
        return weight / u.clone().dot(matrix.mv(v.clone()))

    def right_inverse(self, value: Any) -> Any:
        """The weight as it is."""
        return value


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Divide a weight by its greatest singular value, which a power iteration follows."""
    weight = _tensor_of(module, name)
    where = usual_dim(module) if dim is None else dim
    made = _SpectralNorm(weight, n_power_iterations, where, eps)
    return parametrize.register_parametrization(module, name, made)


# ---------------------------------------------------------------- orthogonal matrices
_MAPS = ("matrix_exp", "cayley", "householder")


def _make_orthogonal(a: Any) -> Any:
    """The orthogonal factor of a matrix, with the signs that make the other's diagonal positive."""
    q, r = qr(a)
    return q * r.diagonal(0, -2, -1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    def __init__(self, weight: Any, orthogonal_map: str, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)
        self.use_trivialization = use_trivialization

    def forward(self, X: Any) -> Any:
        """An orthogonal matrix (columns, or rows, of length 1) from any."""
        n, k = X.shape[-2], X.shape[-1]
        turned = n < k
        if turned:
            X = X.mT
            n, k = k, n
        if self.orthogonal_map == "householder":
            a = X.tril(-1)
            tau = 2.0 / (1.0 + (a * a).sum(-2))
            q: Any = householder_product(a, tau)
            q = q * X.diagonal(0, -2, -1).detach().trunc().unsqueeze(-2)
        else:
            X = X.tril()
            if n != k:
                fill = X.new_zeros(*X.shape[:-2], n, n - k)
                X = cat([X, fill], -1)
            a = X - X.mT
            if self.orthogonal_map == "matrix_exp":
                q = matrix_exp(a)
            else:
                one: Any = eye(n, dtype=a.dtype, device=a.device)
                q = LINALG["solve"](one - 0.5 * a, one + 0.5 * a)
            if n != k:
                q = q[..., :k]
        base: Any = self.base if self.use_trivialization else None
        if base is not None:
            q = base @ q
        return q.mT if turned else q

    def right_inverse(self, Q: Any) -> Any:
        """What gives ``Q`` (made orthogonal first)."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {Q.shape}."
            )
        given = Q
        n, k = Q.shape[-2], Q.shape[-1]
        if n < k:
            Q = Q.mT
            n, k = k, n
        if not self.use_trivialization:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential "
                "or the Cayley parametrizations when use_trivialization=False."
            )
        if n != k:
            more = Q.new_empty(*Q.shape[:-2], n, n - k).normal_(0, 1)
            Q = cat([Q, more], -1)
        self.base = _make_orthogonal(Q)
        out = given.new_zeros(given.shape)
        out.diagonal(0, -2, -1).fill_(-1.0)
        return out


def orthogonal(
    module: Any,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Any:
    """Keep a weight orthogonal: by ``matrix_exp``, ``cayley`` or ``householder``."""
    weight = _tensor_of(module, name)
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1] or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)
