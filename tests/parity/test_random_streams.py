"""Every draw against torch: values to the bit, and all 5056 state bytes after each call."""

from __future__ import annotations

import itertools
import random
import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight.random as ours_random
import rushlight.utils.data as ours_data
from rushlight import engine
from rushlight.random import Generator, arithmetic, draws, native, normals

torch = pytest.importorskip("torch")
ml_dtypes = pytest.importorskip("ml_dtypes")

if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
    pytest.skip("the reference is PyTorch's AVX2 kernels", allow_module_level=True)

pytestmark = [
    pytest.mark.filterwarnings("ignore:from is out of bounds"),
    pytest.mark.filterwarnings("ignore:to - 1 is out of bounds"),
]

BF16 = np.dtype(ml_dtypes.bfloat16)
KINDS: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in (
        *("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8"),
        *("uint16", "uint32", "uint64", "bool"),
    )
}
KINDS["bfloat16"] = BF16
FLOATS = ("float32", "float64", "float16", "bfloat16")
INTS = ("int64", "int32", "int16", "int8", "uint8")
SIZES = (0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 623, 624, 625, 1000, 5003)
SEEDS = (0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**40 + 7, 2**63, 2**64 - 1, -1, -5, -(2**63))


def both(seed: int) -> Generator:
    torch.manual_seed(seed)
    return Generator().manual_seed(seed)


def from_torch(t: Any) -> np.ndarray:
    if not isinstance(t, torch.Tensor):
        return np.asarray(t)
    t = t.detach()
    if t.dtype == torch.bfloat16:
        return t.contiguous().view(torch.int16).numpy().view(BF16)
    return t.numpy()


def to_torch(a: np.ndarray) -> Any:
    if a.dtype == BF16:
        return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(a))


def bits(a: np.ndarray) -> np.ndarray:
    a = np.ascontiguousarray(a)
    return a.view(f"u{a.dtype.itemsize}")


def same_state(gen: Generator) -> bool:
    return bool(np.array_equal(gen.state_bytes(), torch.get_rng_state().numpy()))


def check(gen: Generator, ours: Any, theirs: Any) -> None:
    a, b = np.asarray(ours), from_torch(theirs)
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    equal = (bits(a) == bits(b)) | ((a != a) & (b != b))
    assert equal.all(), f"{np.count_nonzero(~equal)} of {a.size} differ"
    assert same_state(gen)


def empty(n: Any, d: str) -> Any:
    return torch.empty(n, dtype=getattr(torch, d))


def values(n: int, d: str, shift: float = 0.0) -> np.ndarray:
    """Some inputs that do not come from the generators."""
    x = np.modf(np.arange(n) * 0.6180339887 + 0.1)[0] + shift
    return x.astype(np.float32).astype(KINDS[d])


Ours = Callable[[Generator, int, str], Any]
Theirs = Callable[[int, str], Any]


def _randint(low: int, high: int) -> tuple[Ours, Theirs]:
    return (
        lambda g, n, d: draws.randint(g, low, high, n),
        lambda n, d: torch.randint(low, high, (n,)),
    )


# Every call as a pair of functions of (generator, size, float dtype); they draw from both
# generators at once, so they can be chained in any order.
CALLS: dict[str, tuple[Ours, Theirs]] = {
    "rand": (
        lambda g, n, d: draws.uniform(g, n, dtype=KINDS[d]),
        lambda n, d: torch.rand(n, dtype=getattr(torch, d)),
    ),
    "uniform": (
        lambda g, n, d: draws.uniform(g, n, -0.3, 0.1, KINDS[d]),
        lambda n, d: empty(n, d).uniform_(-0.3, 0.1),
    ),
    "uniform wide": (
        lambda g, n, d: draws.uniform(g, n, 2.5, 1000.3, KINDS[d]),
        lambda n, d: empty(n, d).uniform_(2.5, 1000.3),
    ),
    "randn": (
        lambda g, n, d: draws.normal(g, n, dtype=KINDS[d]),
        lambda n, d: torch.randn(n, dtype=getattr(torch, d)),
    ),
    "normal": (
        lambda g, n, d: draws.normal(g, n, 0.37, 2.9, KINDS[d]),
        lambda n, d: empty(n, d).normal_(0.37, 2.9),
    ),
    "normal centred": (
        lambda g, n, d: draws.normal(g, n, 0.0, 0.02, KINDS[d]),
        lambda n, d: empty(n, d).normal_(0, 0.02),
    ),
    "log_normal": (
        lambda g, n, d: draws.log_normal(g, n, 0.3, 0.7, KINDS[d]),
        lambda n, d: empty(n, d).log_normal_(0.3, 0.7),
    ),
    "exponential": (
        lambda g, n, d: draws.exponential(g, n, 1.7, KINDS[d]),
        lambda n, d: empty(n, d).exponential_(1.7),
    ),
    "cauchy": (
        lambda g, n, d: draws.cauchy(g, n, 0.4, 1.3, KINDS[d]),
        lambda n, d: empty(n, d).cauchy_(0.4, 1.3),
    ),
    "geometric": (
        lambda g, n, d: draws.geometric(g, n, 0.3, KINDS[d]),
        lambda n, d: empty(n, d).geometric_(0.3),
    ),
    "geometric int64": (
        lambda g, n, d: draws.geometric(g, n, 0.0021, np.int64),
        lambda n, d: empty(n, "int64").geometric_(0.0021),
    ),
    "bernoulli number": (
        lambda g, n, d: draws.bernoulli_number(g, n, 0.3, KINDS[d]),
        lambda n, d: empty(n, d).bernoulli_(0.3),
    ),
    "bernoulli array": (
        lambda g, n, d: draws.bernoulli(g, values(n, d)),
        lambda n, d: torch.bernoulli(to_torch(values(n, d))),
    ),
    "random_ float": (
        lambda g, n, d: draws.random(g, n, KINDS[d]),
        lambda n, d: empty(n, d).random_(),
    ),
    "randint float": (
        lambda g, n, d: draws.randint(g, -7, 200, n, KINDS[d]),
        lambda n, d: torch.randint(-7, 200, (n,), dtype=getattr(torch, d)),
    ),
    "randint 10": _randint(0, 10),
    "randint below 2**28": _randint(-5, 2**28 - 6),
    "randint 2**28": _randint(0, 2**28),
    "randint 10**12": _randint(-3, 10**12),
    "randint full": _randint(-(2**62), 2**62 + 9),
    "random_ int64": (lambda g, n, d: draws.random(g, n), lambda n, d: empty(n, "int64").random_()),
    "randperm": (lambda g, n, d: draws.randperm(g, n), lambda n, d: torch.randperm(n)),
}
FLOATLESS = {n for n in CALLS if n.startswith("randint ") or n in ("random_ int64", "randperm")}
FLOATLESS -= {"randint float"}


def floats_for(name: str) -> tuple[str, ...]:
    return ("float32",) if name in FLOATLESS else FLOATS


@pytest.mark.parametrize("name", CALLS)
def test_each_call(name: str) -> None:
    ours, theirs = CALLS[name]
    for d, seed, n in itertools.product(floats_for(name), (0, 42, 2**63), (*SIZES, 50_003)):
        gen = both(seed)
        check(gen, ours(gen, n, d), theirs(n, d))


def test_mixed_sequences() -> None:
    """Random sequences on one generator: any wrong consumption shows in all that follows."""
    rnd = random.Random(7)
    names = list(CALLS)
    for _ in range(60):
        gen = both(rnd.randrange(-(2**63), 2**64))
        for _ in range(rnd.randrange(5, 60)):
            name = rnd.choice(names)
            n, d = rnd.choice(SIZES), rnd.choice(floats_for(name))
            check(gen, CALLS[name][0](gen, n, d), CALLS[name][1](n, d))
            if rnd.random() < 0.1:  # hand the state over, both ways
                if rnd.random() < 0.5:
                    gen = Generator().set_state(torch.get_rng_state().numpy())
                else:
                    torch.manual_seed(9)
                    torch.set_rng_state(torch.from_numpy(gen.state_bytes()))


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_and_states(seed: int) -> None:
    gen = both(seed)
    assert gen.initial_seed() == torch.initial_seed()
    assert same_state(gen)
    for n in (0, 1, 623, 1, 624, 5000):
        check(gen, draws.uniform(gen, n), torch.rand(n))
    check(gen, draws.normal(gen, 3), torch.randn(3))
    other = torch.Generator()
    other.set_state(torch.from_numpy(gen.state_bytes()))
    assert other.initial_seed() == gen.initial_seed()
    theirs = torch.randn(5, generator=other)
    assert np.array_equal(draws.normal(gen.clone_state(), 5), theirs.numpy())


def test_default_seed() -> None:
    assert Generator().initial_seed() == torch.Generator().initial_seed()
    assert np.array_equal(Generator().state_bytes(), torch.Generator().get_state().numpy())


@pytest.mark.parametrize("n", [0, 1, 17, 1000])
def test_integer_dtypes(n: int) -> None:
    for seed in (0, 42):
        gen = both(seed)
        for d in (*INTS, "bool"):
            check(gen, draws.random(gen, n, KINDS[d]), empty(n, d).random_())
        for d in INTS:
            k = KINDS[d]
            dtype = getattr(torch, d)
            check(gen, draws.randint(gen, 3, 100, n, k), torch.randint(3, 100, (n,), dtype=dtype))
            check(gen, draws.random(gen, n, k, low=5), empty(n, d).random_(5, None))
            check(gen, draws.geometric(gen, n, 0.6, k), empty(n, d).geometric_(0.6))
            check(gen, draws.bernoulli_number(gen, n, 0.6, k), empty(n, d).bernoulli_(0.6))
        for d in ("int64", "int32"):
            low, high = -(2**31), 2**31 - 1
            theirs = torch.randint(low, high, (n,), dtype=getattr(torch, d))
            check(gen, draws.randint(gen, low, high, n, KINDS[d]), theirs)
        for d in ("uint16", "uint32", "uint64"):
            theirs = torch.randint(0, 60000, (n,), dtype=getattr(torch, d))
            check(gen, draws.randint(gen, 0, 60000, n, KINDS[d]), theirs)
        for d in FLOATS:
            check(gen, draws.random(gen, n, KINDS[d], low=5), empty(n, d).random_(5, None))
        for d in ("int64", "float64", "float32", "bfloat16"):
            low = -(2**63)
            check(gen, draws.random(gen, n, KINDS[d], low=low), empty(n, d).random_(low, None))
        for d, low, high in (
            ("float16", -2049, 65504),
            ("float16", 3001, 60001),
            ("float32", -(2**25) - 1, 2**25 + 3),
            ("bfloat16", -300, 1001),
            ("float64", -(2**54) - 1, 2**54 + 3),
            ("float32", 0, 2**40),
        ):
            ours = draws.randint(gen, low, high, n, KINDS[d])
            check(gen, ours, empty(n, d).random_(low, high))
        for d in ("int64", "int32", "int16", *FLOATS):
            k = min(n, 250)
            check(
                gen,
                draws.randperm(gen, k, KINDS[d]),
                torch.randperm(k, dtype=getattr(torch, d)),
            )


def test_randperm_lengths() -> None:
    for n in (*range(40), 398, 399, 400, 401, 1500, 4096, 65536, 300_003):
        gen = both(n)
        check(gen, draws.randperm(gen, n), torch.randperm(n))


Cut = Callable[[Any], Any]
CUTS: dict[str, Cut] = {
    "transposed": lambda a: a.reshape(30, 40).T,
    "stepped": lambda a: a[::3],
    "columns": lambda a: a.reshape(30, 40)[:, 5:9],
    "permuted": lambda a: (
        a.reshape(4, 5, 6, 10).transpose(2, 0, 3, 1)
        if isinstance(a, np.ndarray)
        else a.view(4, 5, 6, 10).permute(2, 0, 3, 1)
    ),
    "channels last": lambda a: (
        a.reshape(4, 10, 6, 5).transpose(0, 3, 1, 2)
        if isinstance(a, np.ndarray)
        else a.view(4, 10, 6, 5).permute(0, 3, 1, 2)
    ),
    "one wide": lambda a: a.reshape(1200, 1)[::2],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("d", ["float32", "float64"])
def test_order_of_memory(cut: str, d: str) -> None:
    for seed in (0, 42):
        gen = both(seed)
        kind = KINDS[d]
        a, t = CUTS[cut](np.zeros(1200, kind)), CUTS[cut](empty(1200, d).zero_())
        check(gen, draws.fill(a, lambda n: draws.uniform(gen, n, -1, 2, kind)), t.uniform_(-1, 2))
        check(gen, draws.normal_into(gen, a, 0.2, 1.7), t.normal_(0.2, 1.7))
        check(gen, draws.fill(a, lambda n: draws.exponential(gen, n, 1, kind)), t.exponential_())
        check(gen, draws.bernoulli_into(gen, a, 0.4), t.bernoulli_(0.4))
        check(gen, draws.dropout(gen, a, 0.4), torch.nn.functional.dropout(t, 0.4))
        check(gen, draws.fill(a, lambda n: draws.random(gen, n, kind)), t.random_())


@pytest.mark.parametrize("d", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 16, 33, 500])
def test_arrays_of_parameters(d: str, n: int) -> None:
    functional = torch.nn.functional
    kind = KINDS[d]
    for seed in (0, 42):
        gen = both(seed)
        m, s = values(n, d, -0.5), values(n, d, 0.2)
        tm, ts = to_torch(m), to_torch(s)
        check(gen, draws.normal_tensors(gen, m, s, kind), torch.normal(tm, ts))
        check(gen, draws.normal_tensors(gen, m, 1.3, kind), torch.normal(tm, 1.3))
        check(gen, draws.normal_tensors(gen, 0.7, s, kind), torch.normal(0.7, ts))
        x = values(4 * n, d, -0.6).reshape(2, 2, n)
        tx = to_torch(x)
        x4, t4 = x.reshape(2, 2, n, 1), tx.reshape(2, 2, n, 1)
        for p in (0.0, 0.1, 0.5, 0.73, 1.0):
            check(gen, draws.dropout(gen, x, p), functional.dropout(tx, p))
            check(gen, draws.dropout(gen, x, p, True), functional.dropout1d(tx, p))
            check(gen, draws.dropout(gen, x4, p, True), functional.dropout2d(t4, p))
            check(gen, draws.alpha_dropout(gen, x, p), functional.alpha_dropout(tx, p, True))
            theirs = functional.feature_alpha_dropout(tx, p, True)
            check(gen, draws.alpha_dropout(gen, x, p, True), theirs)
        for low, high in ((1 / 8, 1 / 3), (0.05, 0.9)):
            slopes = draws.rrelu_slopes(gen, x, low, high)
            check(gen, np.where(x <= 0, x * slopes, x), functional.rrelu(tx, low, high, True))
        w = values(3 * n, d).reshape(3, n)
        tw = to_torch(w)
        for k in (1, 5, 40):
            check(gen, draws.multinomial(gen, w, k, True), torch.multinomial(tw, k, True))
            check(gen, draws.multinomial(gen, w[0], k, True), torch.multinomial(tw[0], k, True))
            k = min(k, n)
            check(gen, draws.multinomial(gen, w, k), torch.multinomial(tw, k))
            check(gen, draws.multinomial(gen, w[1], k), torch.multinomial(tw[1], k))
        for half in ("float16", "bfloat16"):
            wh = values(n, half)
            theirs = torch.multinomial(to_torch(wh), 9, True)
            check(gen, draws.multinomial(gen, wh, 9, True), theirs)
            check(gen, draws.multinomial(gen, wh, 1), torch.multinomial(to_torch(wh), 1))


@pytest.mark.parametrize("d", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 16, 200])
def test_rejection(d: str, n: int) -> None:
    distributions = torch.distributions
    for seed in (0, 42):
        gen = both(seed)
        for scale in (0.0, 0.5, 5.0, 9.99, 10.0, 50.0, 1e4, 1e7):
            r = (values(n, d) * scale).astype(KINDS[d])
            check(gen, draws.poisson(gen, r), torch.poisson(to_torch(r)))
        for trials in (0.0, 1.0, 8.0, 40.0, 1000.0):
            count, p = np.full(n, trials, KINDS[d]), values(n, d)
            theirs = torch.binomial(to_torch(count), to_torch(p))
            check(gen, draws.binomial(gen, count, p), theirs)
        for scale in (0.01, 0.9, 3.0, 200.0):
            a = (values(n, d) * scale).astype(KINDS[d])
            ta = to_torch(a)
            check(gen, draws.standard_gamma(gen, a), torch._standard_gamma(ta))
            rate = values(n, d, 0.3)
            tr = to_torch(rate)
            check(gen, draws.gamma(gen, a, rate), distributions.Gamma(ta, tr).sample())
            check(gen, draws.beta(gen, a, rate), distributions.Beta(ta, tr).sample())
            rows = np.stack([a, rate, a + rate], -1)
            theirs = distributions.Dirichlet(to_torch(rows)).sample()
            check(gen, draws.dirichlet(gen, rows), theirs)
            check(gen, draws.normal(gen, 3, dtype=KINDS[d]), torch.randn(3, dtype=ta.dtype))


@pytest.mark.parametrize("d", ["float32", "float64"])
def test_trunc_normal(d: str) -> None:
    shapes = ((3, 5), (16, 16), (33, 7), (8, 4, 3, 3))
    bounds = ((-2, 2, 1.0), (-0.04, 0.04, 0.02), (1.5, 3.0, 1.0), (-0.1, 0.1, 1.0))
    for seed, shape, (a, b, std) in itertools.product((0, 42), shapes, bounds):
        gen = both(seed)
        theirs = torch.nn.init.trunc_normal_(empty(shape, d), 0.0, std, a, b)
        check(gen, draws.trunc_normal(gen, shape, 0.0, std, a, b, KINDS[d]), theirs)


def test_seed_of_samplers() -> None:
    gen = both(3)
    for _ in range(50):
        theirs = int(torch.empty((), dtype=torch.int64).random_().item())
        check(gen, np.array(draws.random_seed(gen)), np.array(theirs))


def test_fused_steps_need_no_repair() -> None:
    """All 2**24 arguments of the float32 log, sine, cosine, with and without `fma32`'s repair."""
    for start in range(0, 2**24, 2**18):
        u = np.arange(start, start + 2**18) * 2.0**-24
        log = arithmetic.log_cephes(1 - u)
        assert np.array_equal(log, arithmetic.log_cephes(1 - u, arithmetic.fma32))
        theta = arithmetic.f32(u * arithmetic.TWO_PI_F32)
        fast = arithmetic.sincos_cephes(theta)
        slow = arithmetic.sincos_cephes(theta, arithmetic.fma32)
        for a, b in zip(fast, slow, strict=True):
            assert np.array_equal(a, b)


def test_native_normals_over_all_arguments() -> None:
    if not native.NORMALS.compile():
        pytest.skip("no LLVM or no fused multiply-add here")
    for start in range(0, 2**24, 2**20):
        u = (np.arange(start, start + 2**20) * 2.0**-24).astype(np.float32).reshape(-1, 8)
        both_halves = np.concatenate((u, u[::-1]), axis=1)
        fast = both_halves.copy()
        native.box_muller32(fast, 0.0, 1.0)
        slow = normals._box_muller32(both_halves, 0.0, 1.0)
        assert np.array_equal(bits(fast), bits(slow))


# ------------------------------------------------------------------------- loaders


@pytest.mark.parametrize("n", [1, 10, 64, 2000])
@pytest.mark.parametrize("seed", [0, 42, 2**31 - 1])
def test_orders_of_loaders(seed: int, n: int) -> None:
    theirs_data = torch.utils.data
    items = list(range(n))
    gen = both(seed)
    default = ours_random.default_generator
    default.manual_seed(seed)
    own, torch_own = Generator().manual_seed(seed ^ 5), torch.Generator().manual_seed(seed ^ 5)
    shuffled = {"batch_size": 4, "shuffle": True}
    for options, theirs_options in (
        (shuffled, shuffled),
        ({**shuffled, "generator": own}, {**shuffled, "generator": torch_own}),
        ({**shuffled, "drop_last": True}, {**shuffled, "drop_last": True}),
        ({"batch_size": 3}, {"batch_size": 3}),
    ):
        for _ in range(2):
            ours = iter(ours_data.DataLoader(items, **options))
            theirs = iter(theirs_data.DataLoader(items, **theirs_options))
            assert ours._base_seed == theirs._base_seed
            batches = [engine.read(b).tolist() for b in ours]
            assert batches == [b.tolist() for b in theirs]
            assert same_state(default)
            assert np.array_equal(own.state_bytes(), torch_own.get_state().numpy())
    for total, again in ((n, True), (3 * n + 1, False), (100, True)):
        theirs = list(theirs_data.RandomSampler(items, again, total))
        assert list(ours_data.RandomSampler(items, again, total)) == theirs
        assert same_state(default)
    weights = values(n, "float64").tolist()
    for k, again in ((n, True), (max(n // 2, 1), False)):
        theirs = list(theirs_data.WeightedRandomSampler(weights, k, again))
        assert list(ours_data.WeightedRandomSampler(weights, k, again)) == theirs
    assert list(ours_data.SubsetRandomSampler(items)) == list(
        theirs_data.SubsetRandomSampler(items)
    )
    for lengths in ([n - n // 3, n // 3], [0.3, 0.3, 0.4]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = ours_data.random_split(items, lengths)
            theirs = theirs_data.random_split(items, lengths)
        assert [s.indices for s in ours] == [s.indices for s in theirs]
    for replicas, drop in ((3, False), (3, True), (7, False)):
        for rank in range(replicas):
            shared = {"num_replicas": replicas, "rank": rank, "seed": seed, "drop_last": drop}
            theirs = list(theirs_data.DistributedSampler(items, **shared))
            assert list(ours_data.DistributedSampler(items, **shared)) == theirs
    assert same_state(default)
    assert gen.initial_seed() == seed


def test_collating() -> None:
    point = namedtuple("point", ["a", "b"])
    samples: list[list[Any]] = [
        [1, 2],
        [1.5, 2.5],
        [True, False],
        ["a", "b"],
        [(1, "x", 2.0), (2, "y", 3.0)],
        [[1, 2], [3, 4]],
        [{"k": 1, "l": (2, 3)}, {"k": 4, "l": (5, 6)}],
        [point(1, 2.0), point(3, 4.0)],
        [np.ones(3, np.float32), np.zeros(3, np.float32)],
        [np.float32(1), np.float32(2)],
        [np.int16(1), np.int16(2)],
        [np.array(1), np.array(2)],
    ]
    for batch in samples:
        same(ours_data.default_collate(batch), torch.utils.data.default_collate(batch))
        same(ours_data.default_convert(batch), torch.utils.data.default_convert(batch))


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        array = engine.read(ours)
        assert array.dtype == theirs.numpy().dtype
        assert np.array_equal(array, theirs.numpy())
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        same(list(ours.values()), list(theirs.values()))
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs
