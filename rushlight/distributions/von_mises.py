"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

from rushlight.autograd import no_grad
from rushlight.distributions import constraints, draws
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import broadcast_all, lazy_property
from rushlight.distributions.words import Tensor

__all__ = ["VonMises"]

# Polynomials of Abramowitz and Stegun, 9.8.1 to 9.8.4: small and large arguments.
_I0: Final = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    (0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2)
    + (-0.2057706e-1, 0.2635537e-1, -0.1647633e-1, 0.392377e-2),
)
_I1: Final = (
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
    (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1)
    + (0.2282967e-1, -0.2895312e-1, 0.1787654e-1, -0.420059e-2),
)


def _polynomial(y: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    result: Any = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = c + y * result
    return result


def log_bessel(x: Tensor, order: int = 0) -> Tensor:
    """log of the modified Bessel function of order 0 or 1, of positive x."""
    few, many = (_I0, _I1)[order]
    small = _polynomial((x / 3.75) ** 2, few)
    if order:
        small = x.abs() * small
    large = x - 0.5 * x.log() + _polynomial(3.75 / x, many).log()
    return w.where(x < 3.75, small.log(), large)


class VonMises(Distribution):
    """Angles: density exp(concentration · cos(x - loc)) / (2π I₀(concentration))."""

    arg_constraints: ClassVar = {"loc": constraints.real, "concentration": constraints.positive}
    support: Any = constraints.real
    has_rsample = False
    _parameters: ClassVar = {"loc": 0, "concentration": 0}

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        log = self.concentration * (value - self.loc).cos()
        return log - math.log(2 * math.pi) - log_bessel(self.concentration)

    def _proposal(self) -> Tensor:
        """The parameter of the wrapped Cauchy distribution that is rejected from; float64."""
        kappa = self.concentration.double()
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        return w.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Angles between -π and π."""
        with no_grad():
            shape = tuple(self._extended_shape(sample_shape))
            concentration = self.concentration.double()
            made = draws.von_mises(self.loc.double(), concentration, self._proposal(), shape)
            return made.to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """1 - I₁ / I₀ (the circular variance)."""
        return 1 - (log_bessel(self.concentration, 1) - log_bessel(self.concentration)).exp()
