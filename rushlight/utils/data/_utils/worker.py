"""A worker process: batches of a dataset on demand, with seeds of its own."""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rushlight.random import manual_seed
from rushlight.runtime import pool
from rushlight.utils.data._utils.fetch import IterableFetcher, map_fetcher
from rushlight.utils.data._utils.transfer import pack, unpack

STATUS_CHECK: Final = 5.0  # seconds between looks at whether the other side is still there


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker process knows of itself: which of how many, its seed, its copy of the data."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str = "multiprocessing"


@dataclass(frozen=True)
class IterableDatasetStopIteration:
    """Says that a worker's part of a stream has ended."""

    worker_id: int


@dataclass(frozen=True)
class ResumeIteration:
    """Asks a worker to start over; it answers with the same."""


class ExceptionWrapper:
    """An exception on its way to the process that asked."""

    def __init__(self, error: BaseException, where: str) -> None:
        import traceback

        self.exc_type = type(error)
        self.exc_msg = "".join(traceback.format_exception(error))
        self.where = where

    def reraise(self) -> None:
        """Raise it here, with the traceback that it had there as its text."""
        text = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(_Plain(text))
        try:
            error = self.exc_type(text)
        except Exception:
            raise RuntimeError(text) from None  # it takes other arguments
        raise error


class _Plain(str):
    """Text that stays readable where `repr` is shown, as `KeyError` does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Job:
    """What a worker is started with."""

    dataset: Any
    streams: bool
    auto_collation: bool
    collate_fn: Any
    drop_last: bool
    base_seed: int
    init_fn: Any
    worker_id: int
    num_workers: int
    folder: str

    def fetcher(self) -> Any:
        """A function from indices to a batch."""
        if self.streams:
            return IterableFetcher(
                self.dataset, self.auto_collation, self.collate_fn, self.drop_last
            )
        return map_fetcher(self.dataset, self.auto_collation, self.collate_fn)


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What a worker process knows of itself; None outside of one."""
    return _info


def numpy_seed(base_seed: int, worker_id: int) -> list[int]:
    """The state that a worker seeds NumPy's generator with."""
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return [int(word) for word in np.random.SeedSequence(entropy).generate_state(4)]


def _seed(job: Job) -> int:
    seed = job.base_seed + job.worker_id
    random.seed(seed)
    manual_seed(seed)
    np.random.seed(numpy_seed(job.base_seed, job.worker_id))
    return seed


def work(job: Job, asked: Any, answers: Any) -> None:
    """Answer what comes through one pipe with batches through the other, until None comes."""
    global _info
    where = f"in DataLoader worker process {job.worker_id}"
    parent = os.getppid()
    failed: ExceptionWrapper | None = None
    fetch: Any = None
    try:
        pool.set_threads(1)
        _info = WorkerInfo(job.worker_id, job.num_workers, _seed(job), job.dataset)
        try:
            if job.init_fn is not None:
                job.init_fn(job.worker_id)
            fetch = job.fetcher()
        except Exception as error:
            failed = ExceptionWrapper(error, where)
        ended = False
        while True:
            if not asked.poll(STATUS_CHECK):
                if os.getppid() != parent:
                    return
                continue
            message = asked.recv()
            if message is None:
                return
            if isinstance(message, ResumeIteration):
                ended = False
                answers.send((None, message))
                try:
                    fetch = job.fetcher()
                except Exception as error:
                    failed = ExceptionWrapper(error, where)
                continue
            if ended:
                continue
            number, packed = message
            answer: Any
            if failed is not None:
                answer, failed = pack(failed, job.folder), None
            else:
                try:
                    answer = pack(fetch(unpack(packed)), job.folder)
                except Exception as error:
                    if job.streams and isinstance(error, StopIteration):
                        answer = IterableDatasetStopIteration(job.worker_id)
                        ended = True
                    else:
                        answer = pack(ExceptionWrapper(error, where), job.folder)
            answers.send((number, answer))
            del answer, packed, message
    except (KeyboardInterrupt, EOFError, BrokenPipeError):
        return  # the other side has gone, or is interrupted too and says so
    finally:
        sys.stdout.flush()
