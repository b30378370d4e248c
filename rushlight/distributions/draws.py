"""Draws with gradients of their own: gamma and Dirichlet numbers; binomial ones without.

The numbers are PyTorch's.  A gradient is how a number would move with its parameter if its place in
the distribution (its value of the cumulative function F) stayed: -dF/dα / pdf, by the same
approximations as PyTorch's, piece by piece, in float64.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.autograd import Function
from rushlight.base import dtype as dt
from rushlight.distributions import words as w
from rushlight.distributions.words import Tensor
from rushlight.random import default_generator, draws
from rushlight.tensor.creation import owned

__all__ = ["binomial", "dirichlet", "standard_gamma"]


def _made(a: Any, like: Tensor) -> Tensor:
    return owned(np.asarray(a, like.dtype.numpy), like.dtype, like.device)


def binomial(count: Tensor, prob: Tensor) -> Tensor:
    """Successes in `count` trials of probability `prob`, drawn as PyTorch does."""
    return _made(draws.binomial(default_generator, engine.read(count), engine.read(prob)), prob)


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor) -> Tensor:
        """The numbers."""
        made = _made(draws.standard_gamma(default_generator, engine.read(alpha)), alpha)
        ctx.save_for_backward(alpha, made)
        return made

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Tensor:
        """Times how each moves with its alpha."""
        alpha, made = ctx.saved_tensors
        grad: Tensor = grads[0]
        return grad * gamma_slope(alpha.double(), made.double()).to(grad.dtype)


class _Dirichlet(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        """The numbers."""
        a = draws.dirichlet(default_generator, engine.read(concentration))
        made = _made(a, concentration)
        ctx.save_for_backward(concentration, made)
        return made

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Tensor:
        """Of a point on the simplex: what one coordinate gains, the others lose in proportion."""
        concentration, made = ctx.saved_tensors
        total = concentration.sum(-1, True).expand_as(concentration)
        slope = beta_slope(made.double(), concentration.double(), total.double()).to(made.dtype)
        grad: Tensor = grads[0]
        return slope * (grad - (made * grad).sum(-1, True))


def standard_gamma(alpha: Tensor) -> Tensor:
    """Gamma(alpha, 1) numbers, with their gradient by alpha."""
    return _StandardGamma.apply(alpha)


def dirichlet(concentration: Tensor) -> Tensor:
    """Dirichlet numbers, with their gradient by the concentration."""
    return _Dirichlet.apply(concentration)


def _without_nan(x: Tensor) -> Tensor:
    return w.where(x.isnan(), w.zeros_like(x), x)


# ------------------------------------------------------------------- gamma
# log of the slope as a quotient of polynomials in log(x / alpha) and log(alpha), alpha <= 8.
_RATIONAL: Final = (
    (0.16009398, -0.094634809, 0.025146376, -0.0030648343)
    + (1.0, 0.32668115, 0.10406089, 0.0014179084),
    (0.53487893, 0.1298071, 0.065735949, -0.0015649758)
    + (0.16639465, 0.020070113, -0.0035938915, -0.00058392623),
    (0.040121004, -0.0065914022, -0.0026286047, -0.0013441777)
    + (0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07),
)


def gamma_slope(alpha: Tensor, x: Tensor) -> Tensor:
    """How a Gamma(alpha, 1) number x moves with alpha; float64."""
    large = w.where(
        (x >= 0.9 * alpha) & (x <= 1.1 * alpha), _gamma_centre(alpha, x), _gamma_saddle(alpha, x)
    )
    rest = w.where(alpha > 8, large, _gamma_rational(alpha, x))
    return w.where(x < 0.8, _without_nan(_gamma_small(alpha, x)), rest)


def _gamma_small(alpha: Tensor, x: Tensor) -> Tensor:
    """Taylor's series of the cumulative function for small x."""
    term: Any = w.ones_like(x)
    below = alpha
    first, second = term / below, term / (below * below)
    for i in range(1, 6):
        term = term * -x / i
        below = below + 1
        first, second = first + term / below, second + term / (below * below)
    power = x.pow(alpha)
    by_alpha = (x.log() - alpha.digamma()) * power * first - power * second
    return -by_alpha / (x.pow(alpha - 1) * (-x).exp())


def _gamma_centre(alpha: Tensor, x: Tensor) -> Tensor:
    """Rice's saddle point expansion, next to its removable pole x = alpha."""
    squared = alpha * alpha
    first = 1 + 24 * alpha * (1 + 12 * alpha)
    second = 1440 * squared + 6 * x * (53 - 120 * x) - 65 * x * x / alpha + alpha * (107 + 3600 * x)
    return first * second / (1244160 * squared * squared)


def _gamma_saddle(alpha: Tensor, x: Tensor) -> Tensor:
    """Rice's saddle point expansion for large alpha."""
    root = (8 * alpha).sqrt()
    ratio = (x / alpha).log()
    second = root / (alpha - x)
    third = (x - alpha - alpha * ratio).pow(-1.5)
    both = w.where(x < alpha, second - third, second + third)
    first = ratio * both - (2 / alpha).sqrt() * (alpha + x) / ((alpha - x) * (alpha - x))
    stirling = 1 + 1 / (12 * alpha) * (1 + 1 / (24 * alpha))
    return -stirling * x * first / root


def _gamma_rational(alpha: Tensor, x: Tensor) -> Tensor:
    u, v = (x / alpha).log(), alpha.log()
    c = [a + u * (b + u * d) for a, b, d in zip(*_RATIONAL, strict=True)]
    p = c[0] + v * (c[1] + v * (c[2] + v * c[3]))
    q = c[4] + v * (c[5] + v * (c[6] + v * c[7]))
    return (p / q).exp()


# ------------------------------------------------------------------- beta
# Correction of the analytic approximation: polynomials in log x, log(alpha / x) and
# log(total x / alpha), as [numerator, denominator][power of u][power of a][power of b].
_CORRECTION: Final = (
    (
        (
            (1.003668233, -0.01061107488, -0.0657888334, 0.01201642863),
            (0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033),
            (-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013),
        ),
        (
            (0.221950385, -0.3187676331, 0.01799915743, 0.01074823814),
            (-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057),
            (0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05),
        ),
        (
            (-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565),
            (0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181),
            (0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05),
        ),
    ),
    (
        (
            (1.0, -0.02924021934, -0.04438342661, 0.007285809825),
            (0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521),
            (-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149),
        ),
        (
            (0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273),
            (0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956),
            (-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05),
        ),
        (
            (0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05),
            (0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05),
            (-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06),
        ),
    ),
)


def beta_slope(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """How a Beta(alpha, total - alpha) number x moves with alpha, divided by 1 - x; float64."""
    beta = total - alpha
    boundary = total * x * (1 - x)
    near_0 = (x <= 0.5) & (boundary < 2.5)
    near_1 = (x >= 0.5) & (boundary < 0.75)
    large = (alpha > 6) & (beta > 6)
    inside = w.where(large, _beta_saddle(x, alpha, beta), _beta_rational(x, alpha, total))
    beside = w.where(near_1, -_beta_by_beta(1 - x, beta, alpha), inside)
    return w.where(near_0, _beta_by_alpha(x, alpha, beta), beside)


def _beta_by_alpha(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Taylor's series for x close to 0, by alpha."""
    factor = alpha.digamma() - (alpha + beta).digamma() - x.log()
    term: Any = w.ones_like(x)
    series = term / alpha * (factor + 1 / alpha)
    for i in range(1, 11):
        term = term * (i - beta) * x / i
        below = alpha + i
        series = series + term / below * (factor + 1 / below)
    return _without_nan(x * (1 - x).pow(-beta) * series)


def _beta_by_beta(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Taylor's series for x close to 0, by beta."""
    factor = (alpha + beta).digamma() - beta.digamma()
    term: Any = w.ones_like(x)
    betas, slopes = w.ones_like(x), w.zeros_like(x)
    series = factor / alpha
    for i in range(1, 9):
        term = term * -x / i
        slopes = slopes * (beta - i) + betas
        betas = betas * (beta - i)
        series = series + term / (alpha + i) * (slopes + factor * betas)
    return _without_nan(-((1 - x).pow(1 - beta)) * series)


def _beta_saddle(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Rice's saddle point expansion for large alpha and beta."""
    total = alpha + beta
    mean = alpha / total
    spread = (alpha * beta / (total + 1)).sqrt() / total
    b2 = beta * beta
    inner = (453 + 1620 * beta * (1 - x) - 455 * x) * beta
    inner = inner + alpha * (8 * (1 - x) * (135 * beta - 11))
    inner = 3 * (59 + 180 * beta - 90 * x) * b2 + alpha * inner
    inner = (43 + 20 * (16 + 27 * beta) * x) * b2 * beta + alpha * inner
    polynomial = 47 * x * b2 * b2 + alpha * inner
    above = (1 + 12 * alpha) * (1 + 12 * beta) / (total * total)
    below = 12960 * alpha * alpha * alpha * b2 * (1 + 12 * total)
    centre = above / (1 - x) * polynomial / below

    def series(a: Tensor) -> Tensor:
        return 1 + 1 / (12 * a) + 1 / (288 * a * a)

    front = -x / (2 * alpha * beta / total).sqrt()
    stirling = series(alpha) * series(beta) / series(total)
    axbx = alpha * (x - 1) + beta * x
    first = (2 * (alpha * alpha) * (x - 1) + alpha * beta * (x - 1) - x * b2) / (
        (2 * alpha / beta).sqrt() * total.pow(1.5) * axbx * axbx
    )
    ratio = (alpha / (total * x)).log()
    third = (8 * alpha * beta / total).sqrt() / axbx
    base = beta * (beta / (total * (1 - x))).log() + alpha * ratio
    fourth = base.pow(-1.5)
    bracket = third + w.where(x < mean, fourth, -fourth)
    aside = stirling * front * (first + 0.5 * ratio * bracket)
    middle = (x >= mean - 0.1 * spread) & (x <= mean + 0.1 * spread)
    return w.where(middle, centre, aside)


def _beta_rational(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    u = x.log()
    a = alpha.log() - u
    b = total.log() - a
    powers_u = (1.0, u, u * u)
    powers_a = (1.0, a, a * a)
    sums = []
    for table in _CORRECTION:
        total_sum: Any = 0.0
        for row, in_u in zip(table, powers_u, strict=True):
            for c, in_a in zip(row, powers_a, strict=True):
                inner = c[0] + b * (c[1] + b * (c[2] + b * c[3]))
                total_sum = total_sum + in_u * in_a * inner
        sums.append(total_sum)
    approximation = x * (total.digamma() - alpha.digamma()) / (total - alpha)
    return sums[0] / sums[1] * approximation


def von_mises(loc: Tensor, concentration: Tensor, proposal: Tensor, shape: Any) -> Tensor:
    """Angles by Best and Fisher's rejection, three uniforms a try for every element; float64."""
    x = w.zeros(shape, dtype=dt.float64)
    done = w.zeros(shape, dtype=dt.bool_)
    while not bool(done.all()):
        u1, u2, u3 = w.rand((3, *shape), dtype=dt.float64).unbind()
        z = (math.pi * u1).cos()
        f = (1 + proposal * z) / (proposal + z)
        c = concentration * (proposal - f)
        accepted = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
        x = w.where(accepted, (u3 - 0.5).sign() * f.acos(), x)
        done = done | accepted
    return (x + math.pi + loc) % (2 * math.pi) - math.pi
