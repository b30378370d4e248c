"""One pass over a loader: in this process, or through worker processes.

Where workers are asked for but batches come whole from arrays (`fetch.Columns`, `fetch.Gather`),
they are made here all the same, with the draws that the workers would have made: starting processes
and sending batches costs more than making them.
"""

from __future__ import annotations

import collections
import itertools
import os
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.random import Generator, default_generator, draws
from rushlight.utils.data._utils import collate as co
from rushlight.utils.data._utils import worker as wk
from rushlight.utils.data._utils.ahead import Gather
from rushlight.utils.data._utils.fetch import Columns, IterableFetcher, map_fetcher
from rushlight.utils.data._utils.transfer import new_folder, pack, unpack
from rushlight.utils.data.sampler import index_batches


class _DatasetKind:
    Map = 0
    Iterable = 1


class _BaseDataLoaderIter:
    """One pass over a loader."""

    def __init__(self, loader: Any) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._collate_fn = loader.collate_fn
        self._timeout = loader.timeout
        self._persistent_workers = loader.persistent_workers
        if loader.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used.",
                stacklevel=4,
            )
        self._begin(loader)
        self._base_seed = draws.random_seed(loader.generator or default_generator)

    def _begin(self, loader: Any) -> None:
        self._sampler_iter: Iterator[Any] = self._indices()
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _reset(self, loader: Any) -> None:
        """Start over."""
        self._begin(loader)

    def _indices(self) -> Iterator[Any]:
        if self._dataset_kind == _DatasetKind.Map:
            batches = index_batches(self._index_sampler)
            if batches is not None:
                return batches
        return iter(self._index_sampler)

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        if (
            promised := self._IterableDataset_len_called
        ) is not None and self._num_yielded > promised:
            text = (
                f"Length of IterableDataset {self._dataset} was reported to be {promised}"
                f"(when accessing len(dataloader)), but {self._num_yielded} samples have been "
                "fetched. "
            )
            if self._num_workers > 0:
                text += (
                    "For multiprocessing data-loading, this could be caused by not properly "
                    "configuring the IterableDataset replica at each worker. Please see "
                    "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset "
                    "for examples."
                )
            warnings.warn(text, stacklevel=2)
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """One pass, loaded in this process."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self._fetch: Callable[[Any], Any]
        if self._dataset_kind == _DatasetKind.Map:
            self._fetch = map_fetcher(self._dataset, self._auto_collation, self._collate_fn)
        else:
            self._fetch = IterableFetcher(
                self._dataset, self._auto_collation, self._collate_fn, self._drop_last
            )

    def _next_data(self) -> Any:
        return self._fetch(next(self._sampler_iter))


def iterator_of(loader: Any) -> _BaseDataLoaderIter:
    """A pass over a loader, in the way that its arguments ask for."""
    if loader.num_workers == 0:
        return _SingleProcessDataLoaderIter(loader)
    fetch = _fetch_here(loader)
    if fetch is None:
        return _MultiProcessingDataLoaderIter(loader)
    return _WorkersHereDataLoaderIter(loader, fetch)


def _fetch_here(loader: Any) -> Columns | Gather | None:
    """What makes whole batches, where nothing else would run in the workers."""
    asked_for = loader.worker_init_fn is not None or loader.multiprocessing_context is not None
    if asked_for or loader._dataset_kind != _DatasetKind.Map or not loader._auto_collation:
        return None
    if loader.collate_fn is not co.default_collate:
        return None
    fetch = map_fetcher(loader.dataset, True, loader.collate_fn)
    if isinstance(fetch, Gather):
        return fetch
    return fetch if isinstance(fetch, Columns) and fetch.ready() else None


class _WorkersHereDataLoaderIter(_BaseDataLoaderIter):
    """One pass, made here as the workers would: their draws, and indices drawn ahead for them."""

    def __init__(self, loader: Any, fetch: Columns | Gather) -> None:
        super().__init__(loader)
        self._fetch = fetch
        self._generators = [
            Generator().manual_seed(self._base_seed + i) for i in range(self._num_workers)
        ]
        self._ahead = loader.prefetch_factor * self._num_workers
        self._begin(loader)  # as with workers
        self._start()

    def _start(self) -> None:
        self._waiting = collections.deque(itertools.islice(self._sampler_iter, self._ahead))
        self._worker = itertools.cycle(self._generators)

    def _reset(self, loader: Any) -> None:
        super()._reset(loader)
        self._start()

    def _next_data(self) -> Any:
        if not self._waiting:
            raise StopIteration
        indices = self._waiting.popleft()
        self._waiting.extend(itertools.islice(self._sampler_iter, 1))
        generator = next(self._worker)
        if isinstance(self._fetch, Columns):
            return self._fetch(indices, generator)
        return self._fetch(indices)


# ------------------------------------------------------------------- worker processes


def _default_context() -> Any:
    """`fork` where the program has not said otherwise and the system can."""
    import multiprocessing

    if multiprocessing.get_start_method(allow_none=True) is None and sys.platform == "linux":
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context()


class _Crew:
    """Worker processes, the pipes to and from them, and the folder of their messages."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.folder = new_folder()
        self.workers: list[Any] = []
        self.asked: list[Any] = []
        self.answers: list[Any] = []

    def start(self, context: Any, job: wk.Job) -> None:
        """One more worker."""
        theirs, asked = context.Pipe(duplex=False)
        answers, ours = context.Pipe(duplex=False)
        process = context.Process(target=wk.work, args=(job, theirs, ours), daemon=True)
        with warnings.catch_warnings():
            # A process with threads is forked: what Rushlight's own threads hold is seen to.
            warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=Warning)
            process.start()
        theirs.close()
        ours.close()
        self.workers.append(process)
        self.asked.append(asked)
        self.answers.append(answers)

    def dismiss(self, i: int) -> None:
        """Tell a worker that nothing more is asked of it."""
        try:
            self.asked[i].send(None)
        except OSError:
            pass  # it has gone already

    def end(self) -> None:
        """Let all workers end, and remove what nobody has received."""
        if os.getpid() != self.owner:
            return  # a forked child's copy
        import shutil

        for i in range(len(self.workers)):
            self.dismiss(i)
        for pipe in (*self.asked, *self.answers):
            pipe.close()
        for w in self.workers:
            w.join(wk.STATUS_CHECK)
            if w.is_alive():
                w.terminate()
                w.join(wk.STATUS_CHECK)
        shutil.rmtree(self.folder, ignore_errors=True)


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """One pass through worker processes, with `prefetch_factor` batches asked of each ahead."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        self._crew = crew = _Crew()
        # Not `__del__`: in a cycle of garbage the pipes might be closed before it.
        self._shutdown_workers = weakref.finalize(self, crew.end)
        self._workers, self._asked, self._answers = crew.workers, crew.asked, crew.answers
        self._open: list[Any] = []
        context = loader.multiprocessing_context or _default_context()
        for i in range(self._num_workers):
            crew.start(context, self._job(loader, i))
        self._open += crew.answers
        # PyTorch's pass through workers asks the sampler for an order twice and takes the second:
        # a sampler that shuffles when it is asked has shuffled twice.
        self._begin(loader)
        self._tell_all()

    def _job(self, loader: Any, i: int) -> wk.Job:
        return wk.Job(
            dataset=self._dataset,
            streams=self._dataset_kind == _DatasetKind.Iterable,
            auto_collation=self._auto_collation,
            collate_fn=self._collate_fn,
            drop_last=self._drop_last,
            base_seed=self._base_seed,
            init_fn=loader.worker_init_fn,
            worker_id=i,
            num_workers=self._num_workers,
            folder=self._crew.folder,
        )

    def _tell_all(self) -> None:
        """Begin to ask for batches."""
        self._send_idx = 0  # number of the next batch to ask for
        self._rcvd_idx = 0  # number of the next batch to give out
        # Who makes a batch that was asked for, and the batch when it came before its turn.
        self._task_info: dict[int, Any] = {}
        self._tasks_outstanding = 0
        self._workers_status = [True] * self._num_workers
        self._workers_num_tasks = [0] * self._num_workers
        self._next_worker = itertools.cycle(range(self._num_workers))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._try_put_index()

    def _reset(self, loader: Any) -> None:
        super()._reset(loader)
        for i in range(self._num_workers):
            self._send(i, wk.ResumeIteration())
        waiting = self._num_workers
        while waiting:
            _, answer = self._receive()
            waiting -= isinstance(answer, wk.ResumeIteration)
        self._tell_all()

    # ---- asking and receiving

    def _send(self, i: int, message: Any) -> None:
        try:
            self._asked[i].send(message)
        except (BrokenPipeError, OSError):
            self._raise_for_dead()
            raise

    def _try_put_index(self) -> None:
        most = self._prefetch_factor * self._num_workers
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        for _ in range(self._num_workers):
            i = next(self._next_worker)
            if self._workers_status[i] and (
                self._in_order or self._workers_num_tasks[i] < most // sum(self._workers_status)
            ):
                break
        else:
            return  # nobody is left
        indices = index.tolist() if hasattr(index, "tolist") else index
        self._send(i, (self._send_idx, pack(indices, self._crew.folder)))
        self._task_info[self._send_idx] = (i,)
        self._workers_num_tasks[i] += 1
        self._tasks_outstanding += 1
        self._send_idx += 1

    def _receive(self) -> tuple[Any, Any]:
        """The next answer of any worker; `RuntimeError` when one has died or time is up."""
        from multiprocessing import connection

        until = time.monotonic() + self._timeout if self._timeout > 0 else None
        while True:
            left = wk.STATUS_CHECK if until is None else max(until - time.monotonic(), 0.0)
            watched = [w.sentinel for i, w in enumerate(self._workers) if self._workers_status[i]]
            ready: list[Any] = connection.wait([*self._open, *watched], left)
            for answers in ready:
                if answers in self._open:
                    try:
                        number, answer = answers.recv()
                    except (EOFError, OSError):
                        self._open.remove(answers)  # its sentinel says whether it should have ended
                        continue
                    return number, answer
            if any(sentinel in ready for sentinel in watched):
                self._raise_for_dead()
            if until is not None and time.monotonic() >= until:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")

    def _raise_for_dead(self) -> None:
        """`RuntimeError` that names workers which have ended before their time."""
        dead = []
        for i, w in enumerate(self._workers):
            if self._workers_status[i] and not w.is_alive():
                self._workers_status[i] = False
                dead.append(w)
        if dead:
            pids = ", ".join(str(w.pid) for w in dead)
            how = ", ".join(_ended(w.exitcode) for w in dead)
            raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly: {how}")

    def _next_data(self) -> Any:
        while True:
            while self._rcvd_idx < self._send_idx:
                info = self._task_info.get(self._rcvd_idx)
                if info:
                    if len(info) == 2 or self._workers_status[info[0]]:
                        break
                    del self._task_info[self._rcvd_idx]  # its worker's stream has ended
                self._rcvd_idx += 1
            else:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            info = self._task_info[self._rcvd_idx]
            if len(info) == 2:
                del self._task_info[self._rcvd_idx]
                self._rcvd_idx += 1
                return self._opened(info[1], info[0])
            number, answer = self._receive()
            self._tasks_outstanding -= 1
            if isinstance(answer, wk.IterableDatasetStopIteration):
                if not self._persistent_workers:
                    self._crew.dismiss(answer.worker_id)
                self._workers_status[answer.worker_id] = False
                self._try_put_index()
                continue
            if number == self._rcvd_idx:
                self._rcvd_idx += 1
            elif self._in_order:
                self._task_info[number] += (answer,)
                continue
            return self._opened(answer, self._task_info.pop(number)[0])

    def _opened(self, answer: Any, i: int) -> Any:
        self._workers_num_tasks[i] -= 1
        self._try_put_index()
        data = unpack(answer)
        if isinstance(data, wk.ExceptionWrapper):
            data.reraise()
        return data


def _ended(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"exit status {exitcode}"
    import signal

    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = str(-exitcode)
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by signal {name}{hint}"
