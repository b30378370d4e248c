"""Worker processes: the batches, order and draws of PyTorch's; what goes wrong is told at once."""

import gc
import os
import random
import signal
import time

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    get_worker_info,
)
from rushlight.utils.data._utils import iterators, transfer

FORK = {"multiprocessing_context": "fork"}


class Draws(Dataset):
    """Samples that show who made them, with what draws."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        info = get_worker_info()
        return i, info.id, info.seed, torch.rand(1).item(), random.random(), np.random.rand()


# What PyTorch 2.13 gives for these: index, worker, seed, torch.rand, random.random, np.random.rand.
EXPECTED = [
    (6, 0, 937055941807507096, 0.287608, 0.217938, 0.879486),
    (2, 0, 937055941807507096, 0.686291, 0.523555, 0.351860),
    (0, 0, 937055941807507096, 0.602046, 0.331440, 0.992908),
    (1, 1, 937055941807507097, 0.747018, 0.090497, 0.135547),
    (8, 1, 937055941807507097, 0.829041, 0.292023, 0.571906),
]


def test_a_spawned_worker(monkeypatch):
    monkeypatch.delenv("RUSHLIGHT_COMPILE_FREE", raising=False)
    torch.manual_seed(3)
    loader = DataLoader(Draws(), 3, shuffle=True, num_workers=1, multiprocessing_context="spawn")
    batch = next(iter(loader))
    assert [c[0].item() for c in batch] == pytest.approx(EXPECTED[0], abs=2e-6)


def test_seeds_and_draws():
    torch.manual_seed(3)
    loader = DataLoader(Draws(), 3, shuffle=True, num_workers=2, **FORK)
    batches = list(loader)
    assert [len(b[0]) for b in batches] == [3, 3, 3, 1]
    rows = [row for b in batches[:2] for row in zip(*(column.tolist() for column in b))]
    for row, expected in zip(rows, EXPECTED):
        assert row[:3] == expected[:3] and row[3:] == pytest.approx(expected[3:], abs=2e-6)
    assert [i for b in batches for i in b[0].tolist()] == [6, 2, 0, 1, 8, 3, 5, 4, 7, 9]


class Large(Dataset):
    """Samples of all kinds, large and small."""

    def __init__(self, n=9):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {
            "tensor": torch.full((40, 50), float(i)),
            "array": np.full(3000, i),
            "bytes": torch.full((2, 3), i, dtype=torch.uint8),
            "name": f"sample {i}" * 400,
            "empty": torch.empty(0, 2),
        }


def test_values_of_all_kinds_arrive():
    here = list(DataLoader(Large(), 2))
    there = list(DataLoader(Large(), 2, num_workers=2, **FORK))
    assert len(here) == len(there)
    for a, b in zip(here, there):
        assert a.keys() == b.keys() and a["name"] == b["name"]
        for key in ("tensor", "array", "bytes", "empty"):
            assert a[key].dtype == b[key].dtype and torch.equal(a[key], b[key])
        b["tensor"].add_(1)  # it is the program's own
        assert torch.equal(b["tensor"], a["tensor"] + 1)


def test_samples_without_batches_and_other_collations():
    loader = DataLoader(Large(3), None, num_workers=2, **FORK)
    assert [s["tensor"][0, 0].item() for s in loader] == [0.0, 1.0, 2.0]
    loader = DataLoader(range(7), 3, num_workers=1, collate_fn=tuple, **FORK)
    assert list(loader) == [(0, 1, 2), (3, 4, 5), (6,)]


class Stream(IterableDataset):
    """A stream that each worker gives its own part of."""

    def __iter__(self):
        info = get_worker_info()
        yield from range(info.id * 10, info.id * 10 + 3 + info.id * 2)


@pytest.mark.parametrize("persistent", [False, True])
def test_streams(persistent):
    loader = DataLoader(Stream(), 2, num_workers=2, persistent_workers=persistent, **FORK)
    for _ in range(2):
        assert [b.tolist() for b in loader] == [[0, 1], [10, 11], [2], [12, 13], [14]]


class Pids(Dataset):
    """Who makes a sample."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return os.getpid(), torch.initial_seed()


def test_persistent_workers_live_on():
    loader = DataLoader(Pids(), None, num_workers=2, persistent_workers=True, **FORK)
    first, second = list(loader), list(loader)
    assert first == second and len({pid for pid, _ in first}) == 2
    fresh = DataLoader(Pids(), None, num_workers=2, **FORK)
    assert list(fresh) != list(fresh)


class Slow(Dataset):
    """The first sample takes its time."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 0:
            time.sleep(1.0)
        return i


def test_in_order_or_as_they_come():
    assert list(DataLoader(Slow(), None, num_workers=2, **FORK)) == [0, 1, 2, 3, 4, 5]
    free = list(DataLoader(Slow(), None, num_workers=2, in_order=False, **FORK))
    assert sorted(free) == [0, 1, 2, 3, 4, 5] and free[0] != 0


class Bad(Dataset):
    """The third sample fails in some way."""

    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 2:
            self.how()
        return i


class TwoArguments(Exception):
    """Cannot be made from one text."""

    def __init__(self, a, b):
        super().__init__(a, b)


def raise_(error):
    def how():
        raise error

    return how


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("no such thing"), ValueError, "no such thing"),
        (KeyError("key"), KeyError, "'key'"),
        (TwoArguments(1, 2), RuntimeError, "TwoArguments"),
        (StopIteration(), StopIteration, ""),
    ],
)
def test_an_exception_is_raised_here(error, kind, words):
    batches = iter(DataLoader(Bad(raise_(error)), 1, num_workers=2, **FORK))
    assert [next(batches).item() for _ in range(2)] == [0, 1]
    with pytest.raises(kind) as found:
        next(batches)
    text = str(found.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 0." in text
    assert "Original Traceback" in text and words in text and "\n" in text
    assert next(batches).item() == 3


def test_an_exception_when_a_worker_begins():
    loader = DataLoader(Pids(), None, num_workers=1, worker_init_fn=lambda i: 1 // i, **FORK)
    with pytest.raises(ZeroDivisionError, match="in DataLoader worker process 0"):
        list(loader)


def test_a_batch_that_cannot_be_sent():
    loader = DataLoader(range(2), None, collate_fn=lambda i: lambda: i, num_workers=1, **FORK)
    with pytest.raises(Exception, match=r"Caught .* in DataLoader worker process 0"):
        list(loader)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda: os._exit(5), "exit status 5"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by signal SIGKILL"),
    ],
)
def test_a_dead_worker_is_noticed(how, words):
    batches = iter(DataLoader(Bad(how), 1, num_workers=2, **FORK))
    with pytest.raises(
        RuntimeError, match=rf"worker \(pid\(s\) \d+\) exited unexpectedly.*{words}"
    ):
        list(batches)


def test_timeout():
    batches = iter(DataLoader(Slow(), None, num_workers=1, timeout=0.2, **FORK))
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        next(batches)


def test_nothing_is_left_behind():
    batches = iter(DataLoader(Large(40), 1, num_workers=2, prefetch_factor=4, **FORK))
    first = next(batches)
    folder, workers = batches._crew.folder, batches._workers
    assert os.path.isdir(folder)
    del batches
    gc.collect()
    assert not os.path.exists(folder) and not any(w.is_alive() for w in workers)
    assert first["tensor"].sum().item() == 0.0  # still there


def test_indices_of_any_number():
    loader = DataLoader(range(30000), 15000, num_workers=2, prefetch_factor=8, **FORK)
    assert [int(b.sum()) for b in loader] == [sum(range(15000)), sum(range(15000, 30000))]


def test_a_full_memory_file_system_is_got_round(monkeypatch, tmp_path):
    value = torch.ones(5000)
    message = transfer.pack(value, str(tmp_path / "not there"))
    assert os.path.exists(message[1])
    assert torch.equal(transfer.unpack(message), value) and not os.path.exists(message[1])


# ------------------------------------------------- batches that need no process


def workers_of(loader):
    batches = iter(loader)
    return getattr(batches, "_workers", None)


def test_whole_batches_are_made_here():
    data = TensorDataset(torch.arange(10.0), torch.arange(10))
    for dataset in (data, Subset(data, [5, 3, 1])):
        loader = DataLoader(dataset, 2, shuffle=True, num_workers=2)
        assert isinstance(iter(loader), iterators._WorkersHereDataLoaderIter)
        torch.manual_seed(5)
        here = [[c.tolist() for c in b] for b in loader]
        torch.manual_seed(5)
        loader = DataLoader(dataset, 2, shuffle=True, num_workers=2, **FORK)
        assert workers_of(loader)
        torch.manual_seed(5)
        assert [[c.tolist() for c in b] for b in loader] == here


@pytest.mark.parametrize(
    "options",
    [
        {"worker_init_fn": print},
        {"collate_fn": lambda samples: default_collate(samples)},
        {"batch_size": None},
        FORK,
    ],
)
def test_what_may_differ_in_a_worker_gets_one(options):
    data = TensorDataset(torch.arange(4.0))
    assert workers_of(DataLoader(data, **{"batch_size": 2, "num_workers": 1, **options}))


def test_order_of_draws_with_workers_that_are_not_there():
    data = TensorDataset(torch.arange(8))
    seen = []
    for options in ({}, FORK):
        torch.manual_seed(0)
        sampler = torch.utils.data.WeightedRandomSampler([1.0] * 8, 8)
        loader = DataLoader(
            data, 2, sampler=sampler, num_workers=2, persistent_workers=True, **options
        )
        seen.append([(b.tolist(), torch.rand(1).item()) for _ in range(2) for (b,) in loader])
    assert seen[0] == seen[1]


class Asked:
    """Batches in an order drawn when it is asked for, not when the first of it is taken."""

    def __init__(self):
        self.times = 0

    def __iter__(self):
        self.times += 1
        return iter([[self.times], [0]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2]),
        ({"num_workers": 1}, [2, 4]),
        ({"num_workers": 1, **FORK}, [2, 4]),
        ({"num_workers": 1, "persistent_workers": True}, [2, 3]),
        ({"num_workers": 1, "persistent_workers": True, **FORK}, [2, 3]),
    ],
)
def test_with_workers_the_sampler_is_asked_twice(options, expected):
    """What PyTorch 2.13 gives: it makes two iterators of the sampler, and takes the second."""
    loader = DataLoader(TensorDataset(torch.arange(6)), batch_sampler=Asked(), **options)
    passes = [[b.item() for (b,) in loader] for _ in range(2)]
    assert passes == [[first, 0] for first in expected]


def test_arguments():
    assert DataLoader(range(3), num_workers=1).prefetch_factor == 2
    with pytest.raises(ValueError, match="prefetch_factor option should be non-negative"):
        DataLoader(range(3), num_workers=1, prefetch_factor=-1)
    with pytest.raises(ValueError, match="valid start method"):
        DataLoader(range(3), num_workers=1, multiprocessing_context="teleport")
    with pytest.raises(TypeError, match="valid context object"):
        DataLoader(range(3), num_workers=1, multiprocessing_context=3)
    with pytest.warns(UserWarning, match="will create 4096 worker processes in total"):
        DataLoader(range(3), num_workers=4096)
