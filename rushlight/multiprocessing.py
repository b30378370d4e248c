"""`torch.multiprocessing`: Python's, and `spawn`."""

from __future__ import annotations

import multiprocessing as _python
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import *  # noqa: F403
from multiprocessing import connection
from typing import Any

__all__ = [  # noqa: PLE0604 - Python's own list
    *_python.__all__,
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]


def get_all_sharing_strategies() -> set[str]:
    """How PyTorch passes tensors between processes on Linux."""
    return {"file_descriptor", "file_system"}


_strategy = ["file_descriptor"]


def get_sharing_strategy() -> str:
    """What was set."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Remembered: tensors are copied between processes."""
    assert new_strategy in get_all_sharing_strategies()
    _strategy[0] = new_strategy


class ProcessException(Exception):
    """A process that `spawn` started has failed."""

    def __init__(self, msg: str, error_index: int, pid: int | None) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid


class ProcessRaisedException(ProcessException):
    """It has raised an exception, whose traceback is in the message."""


class ProcessExitedException(ProcessException):
    """It has ended by a signal, or with a status that is not 0."""

    def __init__(
        self,
        msg: str,
        error_index: int,
        error_pid: int | None,
        exit_code: int,
        signal_name: str | None = None,
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name


def _call(fn: Callable[..., Any], index: int, args: tuple[Any, ...], pipe: Any) -> None:
    """What a process does."""
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass  # the parent has been told, too
    except Exception:
        pipe.send(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that `spawn` started, where it does not wait for them."""

    def __init__(self, processes: Sequence[Any], errors: Sequence[Any]) -> None:
        self.processes = list(processes)
        self._errors = list(errors)

    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for one process to end; whether all have.

        Raises:
            ProcessRaisedException, ProcessExitedException: one has failed; the others are ended.
        """
        running: dict[Any, int] = {
            p.sentinel: i for i, p in enumerate(self.processes) if p.exitcode is None
        }
        ended = connection.wait(list(running), timeout) if running else []
        for sentinel in ended:
            self.processes[running[sentinel]].join()
        failed = [i for i, p in enumerate(self.processes) if p.exitcode not in (None, 0)]
        if not failed:
            return all(p.exitcode == 0 for p in self.processes)
        for p in self.processes:
            if p.is_alive():
                p.terminate()
            p.join(grace_period)
        self._fail(failed[0])
        return False

    def _fail(self, index: int) -> None:
        process, pipe = self.processes[index], self._errors[index]
        if pipe.poll():
            text = f"\n\n-- Process {index} terminated with the following error:\n{pipe.recv()}"
            raise ProcessRaisedException(text, index, process.pid)
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            text = f"process {index} terminated with signal {name}"
            raise ProcessExitedException(text, index, process.pid, code, name)
        text = f"process {index} terminated with exit code {code}"
        raise ProcessExitedException(text, index, process.pid, code)


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call `fn(index, *args)` in `nprocs` processes; wait for them, or give their context."""
    context: Any = _python.get_context(start_method)
    processes, errors = [], []
    for index in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_call, args=(fn, index, args, sender), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(receiver)
    made = ProcessContext(processes, errors)
    if not join:
        return made
    while not made.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """`start_processes` with new interpreters."""
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")
