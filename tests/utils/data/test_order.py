"""Orders and draws: what PyTorch 2.13 gave for the same seeds."""

from collections.abc import Iterator

import numpy as np
import pytest

import rushlight.random as rl
from rushlight import engine
from rushlight.random import Generator, draws
from rushlight.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    random_split,
)

TEN = list(range(10))


@pytest.fixture(autouse=True)
def _default_generator() -> Iterator[None]:
    with rl.fork_rng():
        yield


def values(batch: object) -> list[int]:
    return engine.read(batch).tolist()


def test_a_shuffled_loader() -> None:
    rl.manual_seed(0)
    loader = DataLoader(TEN, batch_size=4, shuffle=True)
    epochs = [[values(b) for b in loader] for _ in range(2)]
    assert epochs == [
        [[6, 7, 1, 4], [2, 0, 9, 8], [3, 5]],
        [[2, 4, 7, 0], [8, 9, 5, 3], [6, 1]],
    ]


def test_a_loader_with_a_generator_draws_from_it_alone() -> None:
    before = rl.default_generator.state_bytes()
    gen = Generator().manual_seed(7)
    loader = DataLoader(TEN, batch_size=5, shuffle=True, generator=gen)
    epochs = [[values(b) for b in loader] for _ in range(2)]
    assert epochs == [
        [[1, 3, 5, 7, 9], [4, 6, 2, 8, 0]],
        [[5, 1, 6, 0, 9], [7, 8, 4, 3, 2]],
    ]
    assert draws.randint(gen, 0, 1000, 2).tolist() == [979, 661]
    assert np.array_equal(rl.default_generator.state_bytes(), before)


def test_the_samplers() -> None:
    rl.manual_seed(1)
    assert list(RandomSampler(TEN, True, 5)) == [6, 2, 0, 4, 1]
    assert list(RandomSampler(TEN, num_samples=13)) == [4, 2, 0, 6, 8, 7, 9, 1, 5, 3, 4, 0, 2]
    assert list(SubsetRandomSampler([5, 6, 7, 8])) == [8, 7, 5, 6]
    weights = [0.1, 0.9, 0.4, 0.7]
    assert list(WeightedRandomSampler(weights, 6)) == [0, 2, 1, 1, 2, 3]
    assert list(WeightedRandomSampler(weights, 3, False)) == [3, 2, 1]
    thirds = random_split(TEN, [0.5, 0.3, 0.2])
    assert [s.indices for s in thirds] == [[2, 9, 8, 3, 6], [7, 1, 0], [4, 5]]
    two = random_split(TEN, [3, 7], Generator().manual_seed(42))
    assert [s.indices for s in two] == [[2, 6, 1], [8, 4, 5, 0, 9, 3, 7]]
    shares = [list(DistributedSampler(TEN, 3, rank)) for rank in range(3)]
    assert shares == [[4, 5, 0, 2], [1, 3, 8, 4], [7, 9, 6, 1]]
    assert float(draws.uniform(rl.default_generator, 1)[0]) == 0.939055860042572


def test_distributed_without_shuffling() -> None:
    shares = [list(DistributedSampler(TEN, 4, r, False, drop_last=True)) for r in range(4)]
    assert shares == [[0, 4], [1, 5], [2, 6], [3, 7]]
    shares = [list(DistributedSampler([0, 1], 5, r, False)) for r in range(5)]
    assert shares == [[0], [1], [0], [1], [0]]
    sampler = DistributedSampler(TEN, 2, 0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    with pytest.raises(ValueError, match="Invalid rank 2"):
        DistributedSampler(TEN, 2, 2)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("own", [False, True])
def test_the_loaders_short_way_draws_what_the_samplers_draw(
    size: int, drop_last: bool, own: bool
) -> None:
    """Seen from outside between any two batches, and after the last."""

    def run(short: bool) -> list[object]:
        rl.manual_seed(3)
        gen = Generator().manual_seed(4) if own else None
        sampler = RandomSampler(TEN, generator=gen)
        if short:
            loader = DataLoader(TEN, size, sampler=sampler, drop_last=drop_last, generator=gen)
        else:  # a list of lists is nobody's class: the general way
            batches = BatchSampler(sampler, size, drop_last)
            loader = DataLoader(TEN, batch_sampler=_Hidden(batches), generator=gen)
        seen: list[object] = []
        for batch in loader:
            seen += [values(batch), (gen or rl.default_generator).state_bytes().tobytes()]
        return [*seen, (gen or rl.default_generator).state_bytes().tobytes()]

    assert run(short=True) == run(short=False)


class _Hidden:
    def __init__(self, batches: BatchSampler) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)


def test_lengths_and_batches() -> None:
    for size, drop_last, count in ((4, False, 3), (4, True, 2), (5, False, 2), (11, True, 0)):
        sampler = BatchSampler(SequentialSampler(TEN), size, drop_last)
        assert len(sampler) == len(list(sampler)) == count
        loader = DataLoader(TEN, size, drop_last=drop_last)
        assert len(loader) == len(list(loader)) == len(iter(loader)) == count
    assert list(BatchSampler(iter("abc"), 2, False)) == [["a", "b"], ["c"]]


def test_the_base_seed_is_drawn_when_the_iterator_is_made() -> None:
    rl.manual_seed(5)
    expected = draws.random_seed(Generator().manual_seed(5))
    state = rl.default_generator.state_bytes()
    iterator = iter(DataLoader(TEN))
    assert iterator._base_seed == expected
    assert not np.array_equal(rl.default_generator.state_bytes(), state)


def test_wrong_samplers() -> None:
    with pytest.raises(ValueError, match="num_samples=0"):
        RandomSampler([])
    with pytest.raises(TypeError, match="replacement=1"):
        RandomSampler(TEN, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size=True"):
        BatchSampler(TEN, True, False)
    with pytest.raises(ValueError, match="drop_last=1"):
        BatchSampler(TEN, 2, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_samples=0"):
        WeightedRandomSampler([1.0], 0)
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split(TEN, [3, 3])
    with pytest.raises(ValueError, match="not between 0 and 1"):
        random_split(TEN, [1.5, -0.5])
    with pytest.warns(UserWarning, match="split at index 1 is 0"):
        assert [len(s) for s in random_split([1], [0.9, 0.1])] == [1, 0]
