"""Every distribution, in one place: functions of a `Generator` that give or fill NumPy arrays.

    from rushlight.random import draws, default_generator
    draws.normal(default_generator, (3, 4))          # torch.randn(3, 4)

Shapes are a length or a sequence; dtypes are NumPy's (bfloat16: the one of ml_dtypes).  The values,
their order and the generator's state afterwards are PyTorch's CPU ones, AVX2 kernels, on every
machine that has the same C mathematics library (float32 uniforms, normals of 16 values or more,
integers, permutations and masks do not need it).
"""

from __future__ import annotations

from rushlight.random.categories import multinomial
from rushlight.random.floats import cauchy, exponential, geometric, uniform, uniform_into
from rushlight.random.integers import randint, random, random_seed, randperm
from rushlight.random.masks import (
    alpha_dropout,
    bernoulli,
    bernoulli_into,
    bernoulli_number,
    check_dropout,
    dropout,
    dropout_keeps,
    dropout_noise,
    feature_shape,
    rrelu_slopes,
)
from rushlight.random.memory import fill, memory_order
from rushlight.random.normals import log_normal, normal, normal_into, normal_tensors
from rushlight.random.rejection import (
    beta,
    binomial,
    dirichlet,
    gamma,
    poisson,
    standard_gamma,
    trunc_normal,
)

__all__ = [
    "alpha_dropout",
    "bernoulli",
    "bernoulli_into",
    "bernoulli_number",
    "beta",
    "binomial",
    "cauchy",
    "check_dropout",
    "dirichlet",
    "dropout",
    "dropout_keeps",
    "dropout_noise",
    "exponential",
    "feature_shape",
    "fill",
    "gamma",
    "geometric",
    "log_normal",
    "memory_order",
    "multinomial",
    "normal",
    "normal_into",
    "normal_tensors",
    "poisson",
    "randint",
    "random",
    "random_seed",
    "randperm",
    "rrelu_slopes",
    "standard_gamma",
    "trunc_normal",
    "uniform",
    "uniform_into",
]
