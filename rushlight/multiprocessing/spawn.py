"""`spawn` and `start_processes`: one function in several processes, and what goes wrong in them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any


class ProcessException(Exception):
    """A process has failed: its place among the others, and its pid."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.error_pid = error_pid

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.error_pid)


class ProcessRaisedException(ProcessException):
    """The function of a process has raised; the message has the traceback."""


class ProcessExitedException(ProcessException):
    """A process has ended with an exit code, or by a signal."""

    def __init__(
        self,
        msg: str,
        error_index: int,
        error_pid: int,
        exit_code: int,
        signal_name: str | None = None,
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name

    def __reduce__(self) -> Any:
        own = (self.msg, self.error_index, self.error_pid, self.exit_code, self.signal_name)
        return type(self), own


def _run(fn: Callable[..., Any], i: int, args: Sequence[Any], error_file: str) -> None:
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass  # the parent ends it
    except Exception:
        import traceback

        with open(error_file, "w", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """Processes that run one function."""

    def __init__(self, processes: list[Any], error_files: list[str]) -> None:
        self.processes = processes
        self.error_files = error_files
        self.sentinels = {p.sentinel: i for i, p in enumerate(processes)}

    def pids(self) -> list[int]:
        """Their process numbers."""
        return [int(p.pid) for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until one has failed or all are done; whether all are.

        When one fails the others are ended (after `grace_period` seconds, if given), and
        `ProcessRaisedException` or `ProcessExitedException` says why.
        """
        if not self.sentinels:
            return True
        for sentinel in connection.wait(list(self.sentinels), timeout):
            index = self.sentinels.pop(sentinel)
            self.processes[index].join()
            if self.processes[index].exitcode != 0:
                self._end(grace_period)
                self._raise(index)
        if self.sentinels:
            return False
        self._forget()
        return True

    def _end(self, grace_period: float | None) -> None:
        if grace_period is not None:
            self._wait(grace_period)
        for p in self.processes:
            if p.is_alive():
                p.terminate()
        self._wait(30 if grace_period is None else grace_period)
        for p in self.processes:
            if p.is_alive():
                p.kill()
            p.join()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for p in self.processes:
            p.join(max(0.0, end - time.monotonic()))

    def _raise(self, index: int) -> None:
        process = self.processes[index]
        with open(self.error_files[index], encoding="utf-8") as file:
            trace = file.read()
        self._forget()
        if trace:
            raise ProcessRaisedException(
                f"\n\n-- Process {index} terminated with the following error:\n{trace}",
                index,
                process.pid,
            )
        code = process.exitcode
        name = _signal(-code) if code < 0 else None
        how = f"exit code {code}" if name is None else f"signal {name}"
        raise ProcessExitedException(
            f"process {index} terminated with {how}", index, process.pid, code, name
        )

    def _forget(self) -> None:
        for file in self.error_files:
            if os.path.exists(file):
                os.unlink(file)


SpawnContext = ProcessContext  # its name of old


def _signal(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"<Unknown signal {number}>"


def start_processes(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run `fn(i, *args)` in `nprocs` processes; the context that has them unless `join`."""
    context: Any = multiprocessing.get_context(start_method)
    files, processes = [], []
    for i in range(nprocs):
        handle, file = tempfile.mkstemp(prefix="rushlight-", suffix=".err")
        os.close(handle)
        process = context.Process(target=_run, args=(fn, i, tuple(args), file), daemon=daemon)
        with warnings.catch_warnings():
            # A process with threads is forked: what Rushlight's own threads hold is seen to.
            warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=Warning)
            process.start()
        files.append(file)
        processes.append(process)
    started = ProcessContext(processes, files)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run `fn(i, *args)` in `nprocs` new interpreters; the context that has them unless `join`.

    `ProcessRaisedException` with the traceback of the first that fails; the others are ended.
    """
    if start_method != "spawn":
        warnings.warn(
            f"This method only supports start_method=spawn (got: {start_method}).\n"
            "To use a different start_method use:\n\t\t torch.multiprocessing.start_processes(...)",
            FutureWarning,
            stacklevel=2,
        )
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")


__all__ = [
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "spawn",
    "start_processes",
]
