"""Datasets, collating and loaders."""

from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.tensor.creation import from_numpy, tensor
from rushlight.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
    get_worker_info,
)

Point = namedtuple("Point", ["x", "y"])


def read(x: Any) -> Any:
    """Batches as plain Python data."""
    if isinstance(x, Tensor):
        return engine.read(x).tolist()
    if isinstance(x, dict):
        return {k: read(v) for k, v in x.items()}
    if isinstance(x, list):
        return [read(v) for v in x]
    return x


def rows(n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(3 * n, dtype=np.float32).reshape(n, 3), np.arange(n)


class Squares(Dataset[Any]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return i, np.full(2, i * i)


class Stream(IterableDataset[Any]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))

    def __len__(self) -> int:
        return self.n


# ------------------------------------------------------------------------ tensors


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_rows_of_tensors_are_gathered(shuffle: bool, layers: int) -> None:
    x, y = rows()
    dataset: Any = TensorDataset(from_numpy(x), from_numpy(y))
    keep = np.arange(10)
    for _ in range(layers):
        order = [4, 1, len(keep) - 1, 0, 2]
        dataset, keep = Subset(dataset, order), keep[order]
    seen = []
    for batch in DataLoader(dataset, 4, shuffle=shuffle):
        assert type(batch) is list
        bx, by = (engine.read(t) for t in batch)
        assert bx.dtype == np.float32
        assert by.dtype == np.int64
        assert np.array_equal(bx, x[by])
        seen += by.tolist()
    assert sorted(seen) == sorted(keep.tolist())
    assert shuffle or seen == keep.tolist()


def test_a_batch_is_a_copy() -> None:
    x, _ = rows()
    for options in ({}, {"shuffle": True}):
        (batch,) = next(iter(DataLoader(TensorDataset(from_numpy(x)), 10, **options)))
        before = engine.read(batch).copy()
        kept = x.copy()
        x[:] = -1  # through NumPy, which shares the dataset's memory
        assert np.array_equal(engine.read(batch), before)
        x[:] = kept
    (batch,) = next(iter(DataLoader(TensorDataset(from_numpy(x)), 10)))
    assert np.array_equal(engine.read(batch), x)


def test_batches_of_one_and_of_columns() -> None:
    x = np.arange(12, dtype=np.float64).reshape(3, 4).T  # rows that are no runs of memory
    for b, row in zip(DataLoader(TensorDataset(from_numpy(x))), x, strict=True):
        assert np.array_equal(engine.read(b[0]), row[None])


def test_indices_of_samplers_that_are_not_ours() -> None:
    x, y = rows()
    dataset = TensorDataset(from_numpy(x), from_numpy(y))
    loader = DataLoader(dataset, batch_sampler=[[1, -1], [3], [np.int64(4), 0]])
    assert [read(b[1]) for b in loader] == [[1, 9], [3], [4, 0]]


class Doubled(TensorDataset):
    def __getitem__(self, index: Any) -> Any:
        return (2 * index,)


def test_a_subclass_gives_its_own_samples() -> None:
    loader = DataLoader(Doubled(from_numpy(rows()[0])), 5)
    assert read(list(loader)) == [[[0, 2, 4, 6, 8]], [[10, 12, 14, 16, 18]]]


def test_a_collate_function_gets_samples() -> None:
    loader = DataLoader(Squares(4), 2, collate_fn=lambda samples: [s[0] for s in samples])
    assert list(loader) == [[0, 1], [2, 3]]


def test_sizes_have_to_agree() -> None:
    with pytest.raises(AssertionError, match="got 2, 3 rows"):
        TensorDataset(tensor([1, 2]), tensor([1, 2, 3]))


# ------------------------------------------------------------------------ datasets


def test_concatenation() -> None:
    both = ConcatDataset([[1, 2], [3]]) + [4, 5]  # type: ignore[list-item, operator]
    assert [both[i] for i in range(len(both))] == [1, 2, 3, 4, 5]
    assert both[-1] == 5
    assert both.datasets[0].cumulative_sizes == [2, 3]
    with pytest.raises(ValueError, match="absolute value of index"):
        both[-6]
    with pytest.raises(AssertionError, match="empty"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="IterableDataset"):
        ConcatDataset([Stream(2)])


def test_side_by_side() -> None:
    assert StackDataset([1, 2], "ab")[1] == (2, "b")
    named = StackDataset(number=[1, 2], letter="ab")
    assert named[0] == {"number": 1, "letter": "a"}
    assert len(named) == 2
    assert read(next(iter(DataLoader(named, 2)))) == {"number": [1, 2], "letter": ["a", "b"]}
    nested = StackDataset(Subset([1, 2, 3], [2, 0]), [5, 6])
    assert nested.__getitems__([1, 0]) == [(1, 6), (3, 5)]
    with pytest.raises(ValueError, match=r"lengths \[2, 1\]"):
        StackDataset([1, 2], [3])
    with pytest.raises(ValueError, match="At least one"):
        StackDataset()


def test_subsets() -> None:
    part = Subset("abcdef", [4, 0, 2])  # type: ignore[arg-type]
    assert (len(part), part[1], part.__getitems__([2, 0])) == (3, "a", ["c", "e"])

    class Half(Subset[Any]):
        def __getitem__(self, index: Any) -> Any:
            return None

    with pytest.raises(NotImplementedError, match="Half overrides __getitem__"):
        Half([1], [0])


def test_datasets_to_be_defined() -> None:
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(IterableDataset())
    assert Dataset[int] is not None
    assert DataLoader[int] is not None


# ------------------------------------------------------------------------ collating


def test_default_collate() -> None:
    assert read(default_collate([0, 1, 2])) == [0, 1, 2]
    assert default_collate([0, 1]).dtype is dt.int64
    assert default_collate([0.5, 1.5]).dtype is dt.float64
    assert default_collate([True, False]).dtype is dt.bool_
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert read(default_collate([(0, 1), (2, 3)])) == [[0, 2], [1, 3]]
    assert read(default_collate([{"A": 0, "B": "x"}, {"A": 1, "B": "y"}])) == {
        "A": [0, 1],
        "B": ["x", "y"],
    }
    point = default_collate([Point(0, 1), Point(2, 3)])
    assert isinstance(point, Point)
    assert (read(point.x), read(point.y)) == ([0, 2], [1, 3])
    ordered = default_collate([OrderedDict(a=1), OrderedDict(a=2)])
    assert type(ordered) is OrderedDict
    arrays = default_collate([np.zeros(2, np.float32), np.ones(2, np.float32)])
    assert arrays.dtype is dt.float32
    assert read(arrays) == [[0, 0], [1, 1]]
    assert default_collate([np.float32(1), np.float32(2)]).dtype is dt.float32
    stacked = default_collate([tensor([1, 2]), tensor([3, 4])])
    assert read(stacked) == [[1, 2], [3, 4]]


def test_what_cannot_be_collated() -> None:
    with pytest.raises(TypeError, match="found <class 'object'>"):
        default_collate([object()])
    with pytest.raises(TypeError, match="found <U1"):
        default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1, 2], [3]])
    with pytest.raises(RuntimeError, match="size"):
        default_collate([tensor([1, 2]), tensor([3])])


def test_default_convert() -> None:
    data = {"a": np.array([1, 2]), "b": (np.float64(1), "text"), "c": [np.ones(1)], "d": 3}
    assert read(default_convert(data)) == {"a": [1, 2], "b": [1.0, "text"], "c": [[1.0]], "d": 3}
    text = np.array(["a"])
    assert default_convert(text) is text
    point = default_convert(Point(np.array(1), 2))
    assert isinstance(point, Point)
    assert read(point.x) == 1


# ------------------------------------------------------------------------ loaders


def test_a_loader_without_batches() -> None:
    samples = list(DataLoader(Squares(3), batch_size=None))
    assert [read(s) for s in samples] == [[0, [0, 0]], [1, [1, 1]], [2, [4, 4]]]
    assert len(DataLoader(Squares(3), batch_size=None)) == 3


def test_streams() -> None:
    assert read(list(DataLoader(Stream(5), 2))) == [[0, 1], [2, 3], [4]]
    assert read(list(DataLoader(Stream(5), 2, drop_last=True))) == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), None)) == [0, 1, 2]
    assert [len(DataLoader(Stream(5), 2, drop_last=d)) for d in (False, True)] == [3, 2]
    chain = Stream(2) + Stream(3)
    assert isinstance(chain, ChainDataset)
    assert (len(chain), list(chain)) == (5, [0, 1, 0, 1, 2])


def test_a_stream_longer_than_it_says() -> None:
    stream = Stream(2)
    loader = DataLoader(stream, None)
    assert len(loader) == 2
    stream.n = 3
    with pytest.warns(UserWarning, match="was reported to be 2"):
        assert list(loader) == [0, 1, 2]


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"num_workers": -1}, ValueError, "non-negative"),
    ({"timeout": -1}, ValueError, "timeout"),
    ({"prefetch_factor": 2}, ValueError, "prefetch_factor"),
    ({"persistent_workers": True}, ValueError, "persistent_workers"),
    ({"multiprocessing_context": "spawn"}, ValueError, "num_workers=0"),
    ({"sampler": [0], "shuffle": True}, ValueError, "mutually exclusive with shuffle"),
    ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler option"),
    ({"batch_size": None, "drop_last": True}, ValueError, "disables auto-batching"),
    ({"batch_size": 0}, ValueError, "batch_size=0"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_options(case: int) -> None:
    options, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        DataLoader(Squares(3), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_a_stream_has_an_order_of_its_own(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"unspecified {next(iter(options))} option"):
        DataLoader(Stream(3), **options)


def test_what_stays_as_it_was_made() -> None:
    loader = DataLoader(Squares(3), worker_init_fn=print, in_order=False)
    for name in ("batch_size", "sampler", "dataset"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set"):
            setattr(loader, name, None)
    loader.collate_fn = list
    assert [s[0][0] for s in loader] == [0, 1, 2]
    assert get_worker_info() is None


def test_pinned_memory_wants_an_accelerator() -> None:
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert len(list(DataLoader([1, 2], pin_memory=True))) == 2


def test_loaders_may_run_side_by_side() -> None:
    loader = DataLoader(list(range(4)), 2)
    pairs = [(read(a), read(b)) for a in loader for b in loader]
    assert pairs == [([0, 1], [0, 1]), ([0, 1], [2, 3]), ([2, 3], [0, 1]), ([2, 3], [2, 3])]
