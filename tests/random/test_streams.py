"""The streams against digests of PyTorch 2.13's own values and states, seed 123.

`tests/parity/test_random_streams.py` compares with PyTorch itself, in far more cases.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rushlight.random import Generator, draws

Draw = Callable[[Generator], Any]
DRAWS: dict[str, Draw] = {
    "rand": lambda g: draws.uniform(g, 1000),
    "rand f64": lambda g: draws.uniform(g, 1000, dtype=np.float64),
    "rand f16": lambda g: draws.uniform(g, 1000, dtype=np.float16),
    "uniform": lambda g: draws.uniform(g, 1000, -0.3, 0.1),
    "randn": lambda g: draws.normal(g, 1000),
    "randn 1024": lambda g: draws.normal(g, 1024),
    "randn f64": lambda g: draws.normal(g, 1000, dtype=np.float64),
    "randn f16": lambda g: draws.normal(g, 1000, dtype=np.float16),
    "randn few": lambda g: draws.normal(g, 15),
    "normal": lambda g: draws.normal(g, 1000, 0.37, 2.9),
    "log_normal": lambda g: draws.log_normal(g, 1000, 0.3, 0.7),
    "randint": lambda g: draws.randint(g, 0, 10, 1000),
    "randint few": lambda g: draws.randint(g, -3, 8, 5),
    "randint wide": lambda g: draws.randint(g, -3, 10**12, 1000),
    "random": lambda g: draws.random(g, 1000),
    "randperm 10": lambda g: draws.randperm(g, 10),
    "randperm 1000": lambda g: draws.randperm(g, 1000),
    "bernoulli": lambda g: draws.bernoulli_number(g, 1000, 0.3),
    "exponential": lambda g: draws.exponential(g, 1000, 1.7),
    "cauchy": lambda g: draws.cauchy(g, 1000, 0.4, 1.3),
    "geometric": lambda g: draws.geometric(g, 1000, 0.3),
    "multinomial": lambda g: draws.multinomial(g, np.arange(1, 21, dtype=np.float32), 8),
    "multinomial replaced": lambda g: draws.multinomial(
        g, np.arange(1, 21, dtype=np.float32), 100, True
    ),
    "poisson": lambda g: draws.poisson(g, np.arange(100, dtype=np.float32) / np.float32(3)),
    "gamma": lambda g: draws.standard_gamma(g, np.arange(1, 101, dtype=np.float32) / np.float32(7)),
    "binomial": lambda g: draws.binomial(
        g, np.arange(100, dtype=np.float32), np.full(100, 0.3, np.float32)
    ),
}

# (values, state afterwards): the first 16 hexadecimal digits of each SHA-256.
PYTORCH = {
    "rand": ("009cc77c0c70101a", "0468850664ad6bd4"),
    "rand f64": ("4b82e8b767b7c0a6", "cefa37db519a3fc1"),
    "rand f16": ("ff1c0777aa39cf49", "0468850664ad6bd4"),
    "uniform": ("730b064a00849e94", "0468850664ad6bd4"),
    "randn": ("7513ca11f114b5d6", "58c13232441361e3"),
    "randn 1024": ("d57e39a77cebb0d6", "0e817390cf827328"),
    "randn f64": ("e7a533408a56a15c", "85d526e15c1299d3"),
    "randn f16": ("fa4b0dbf92101356", "6429720839eabcf2"),
    "randn few": ("c91389506264004e", "5f36e098cf59eb55"),
    "normal": ("4c877ce5e79e971c", "58c13232441361e3"),
    "log_normal": ("7846c903d14a1511", "cefa37db519a3fc1"),
    "randint": ("7a8283507d971581", "0468850664ad6bd4"),
    "randint few": ("eea0dd55efd8fe7d", "8ed925be2393a9e0"),
    "randint wide": ("72b4902a099a172d", "cefa37db519a3fc1"),
    "random": ("5cee6f548d088c76", "cefa37db519a3fc1"),
    "randperm 10": ("bf662781f3da4291", "1c0714b16f2cb20a"),
    "randperm 1000": ("633f0a8b67fc3ad9", "0716f1d4b5c8ef1d"),
    "bernoulli": ("7a4f156a833291c7", "cefa37db519a3fc1"),
    "exponential": ("6610b738b974d311", "cefa37db519a3fc1"),
    "cauchy": ("5370e827622e36bb", "cefa37db519a3fc1"),
    "geometric": ("ce767602d8678436", "cefa37db519a3fc1"),
    "multinomial": ("3dd073979f34a3fd", "d0459ecc9f47f7a7"),
    "multinomial replaced": ("925e91d2ca673f1a", "0fada9de46f80e75"),
    "poisson": ("077ff39cc090a96a", "5111db18a30fa407"),
    "gamma": ("3e61ce10747c9755", "ecdd36ecb05789c1"),
    "binomial": ("51e9226bdafe3d59", "2f9211e7430a25bc"),
}


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", PYTORCH)
def test_values_and_state_are_those_of_pytorch(name: str) -> None:
    gen = Generator().manual_seed(123)
    assert (digest(DRAWS[name](gen)), digest(gen.state_bytes())) == PYTORCH[name]


def test_every_draw_has_its_digest() -> None:
    assert list(DRAWS) == list(PYTORCH)


def test_values_that_everybody_knows() -> None:
    gen = Generator().manual_seed(0)
    assert draws.uniform(gen, 3).tolist() == [
        0.49625658988952637,
        0.7682217955589294,
        0.08847743272781372,
    ]
    assert draws.normal(gen, 3).tolist() == [
        0.3643381893634796,
        0.13439632952213287,
        0.16421625018119812,
    ]
    # The odd normal of three waits, whatever is drawn in between, and in any dtype.
    assert draws.normal(gen, 2, dtype=np.float64).tolist() == [
        0.3057610206599811,
        0.20998091995432266,
    ]
    assert draws.randint(gen, 0, 100, 4).tolist() == [76, 56, 68, 94]
    assert draws.randperm(gen, 6).tolist() == [3, 2, 5, 1, 4, 0]
    assert draws.normal(gen, 16)[:3].tolist() == [
        0.46809640526771545,
        -0.1577124446630478,
        1.4436601400375366,
    ]


@pytest.mark.parametrize("sizes", [[1] * 700, [5, 1019, 1, 3000, 7, 1024, 1025, 90], [20000, 1, 1]])
def test_draws_do_not_depend_on_how_they_are_cut(sizes: list[int]) -> None:
    whole = draws.uniform(Generator().manual_seed(5), sum(sizes))
    gen = Generator().manual_seed(5)
    assert np.array_equal(np.concatenate([draws.uniform(gen, n) for n in sizes]), whole)


def test_few_and_many_take_different_paths_to_the_same_values() -> None:
    """Serial normals, integers and permutations have a short path for few values."""
    for count in (16, 17, 64, 65, 200):
        one, other = Generator().manual_seed(9), Generator().manual_seed(9)
        many = draws.normal(one, count, 0.3, 1.7, np.float64, contiguous=False)
        few = [draws.normal(other, 1, 0.3, 1.7, np.float64)[0] for _ in range(count)]
        assert many.tolist() == few
        many = draws.randint(one, -4, 11, (count, 1))[:, 0]
        assert many.tolist() == [draws.randint(other, -4, 11, 1)[0] for _ in range(count)]


def test_shapes_and_dtypes() -> None:
    gen = Generator()
    assert draws.uniform(gen, (2, 0, 3)).shape == (2, 0, 3)
    assert draws.uniform(gen, ()).shape == ()
    assert draws.normal(gen, (4, 5, 6)).dtype == np.float32
    assert draws.normal(gen, (4, 5), dtype=np.float16).dtype == np.float16
    assert draws.randperm(gen, 0).size == 0
    assert draws.dropout_keeps(gen, (3, 4), 0.5).dtype == np.bool_
    assert draws.randint(gen, 0, 5, (2, 3), np.uint8).dtype == np.uint8


def test_bfloat16() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.dtype(ml_dtypes.bfloat16)
    wide = draws.uniform(Generator().manual_seed(4), 4096)
    narrow = draws.uniform(Generator().manual_seed(4), 4096, dtype=kind)
    assert narrow.dtype == kind
    assert (narrow < 1).all()
    rounded = wide.astype(kind)
    assert np.array_equal(narrow[rounded < 1], rounded[rounded < 1])
    assert (narrow[rounded == 1] == 0).all()
    assert draws.randint(Generator(), 0, 5, 40, kind).dtype == kind


def test_order_of_memory() -> None:
    gen, other = Generator().manual_seed(1), Generator().manual_seed(1)
    out = np.empty((3, 4), np.float32).T
    draws.fill(out, lambda n: draws.uniform(gen, n))
    assert np.array_equal(out.T, draws.uniform(other, (3, 4)))


def test_what_draws_nothing() -> None:
    gen = Generator().manual_seed(2)
    before = gen.state_bytes()
    x = np.ones((4, 4), np.float32)
    draws.uniform(gen, 0)
    draws.normal(gen, 0)
    draws.dropout(gen, x, 0.0)
    assert (draws.dropout(gen, x, 1.0) == 0).all()
    draws.rrelu_slopes(gen, x)
    assert np.array_equal(gen.state_bytes(), before)


def test_dropout_scales_what_it_keeps() -> None:
    x = np.ones((200, 50), np.float32)
    out = draws.dropout(Generator().manual_seed(3), x, 0.25)
    assert set(np.unique(out).tolist()) == {0.0, float(np.float32(1) / np.float32(0.75))}
    assert abs((out == 0).mean() - 0.25) < 0.02
    channels = draws.dropout(Generator(), np.ones((5, 6, 7, 8), np.float32), 0.5, feature=True)
    assert (channels == channels[:, :, :1, :1]).all()


def test_trunc_normal_stays_inside() -> None:
    for a, b in ((-2.0, 2.0), (1.5, 3.0)):
        out = draws.trunc_normal(Generator(), (50, 40), 0.0, 1.0, a, b)
        assert out.min() >= a
        assert out.max() <= b


WRONG: dict[str, tuple[type[Exception], str, Draw]] = {
    "uniform": (RuntimeError, "from=2 > to=1", lambda g: draws.uniform(g, 3, 2, 1)),
    "uniform nan": (RuntimeError, "out of bounds", lambda g: draws.uniform(g, 3, 0, float("nan"))),
    "uniform int": (NotImplementedError, "int64", lambda g: draws.uniform(g, 3, dtype=np.int64)),
    "normal": (RuntimeError, "std >= 0.0", lambda g: draws.normal(g, 3, 0, -1)),
    "normal int": (NotImplementedError, "int64", lambda g: draws.normal(g, 3, dtype=np.int64)),
    "exponential": (RuntimeError, "lambda > 0.0", lambda g: draws.exponential(g, 3, 0)),
    "cauchy": (RuntimeError, "sigma > 0.0", lambda g: draws.cauchy(g, 3, 0, 0)),
    "geometric": (RuntimeError, r"p to be in \(0, 1\)", lambda g: draws.geometric(g, 3, 1.0)),
    "log_normal": (RuntimeError, "std > 0.0", lambda g: draws.log_normal(g, 3, 0, 0)),
    "bernoulli": (
        RuntimeError,
        r"p to be in \[0, 1\]",
        lambda g: draws.bernoulli_number(g, 3, 1.5),
    ),
    "randint": (RuntimeError, "from=5 >= to=5", lambda g: draws.randint(g, 5, 5, 3)),
    "randint int8": (RuntimeError, "to - 1", lambda g: draws.randint(g, 0, 999, 3, np.int8)),
    "randperm": (RuntimeError, "non-negative", lambda g: draws.randperm(g, -1)),
    "randperm int8": (RuntimeError, "too large", lambda g: draws.randperm(g, 300, np.int8)),
    "dropout": (RuntimeError, "between 0 and 1", lambda g: draws.dropout(g, np.ones(2), 1.5)),
    "poisson": (RuntimeError, "non-negative", lambda g: draws.poisson(g, np.array([-1.0]))),
    "multinomial": (RuntimeError, "sum of", lambda g: draws.multinomial(g, np.zeros(2), 1)),
    "multinomial nan": (
        RuntimeError,
        "element < 0",
        lambda g: draws.multinomial(g, np.array([1.0, -1.0]), 1),
    ),
    "multinomial many": (
        RuntimeError,
        "without replacement",
        lambda g: draws.multinomial(g, np.ones(2), 3),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name: str) -> None:
    kind, words, draw = WRONG[name]
    with pytest.raises(kind, match=words):
        draw(Generator())
