"""`torch.profiler`: where the time of a program goes.

    from torch.profiler import ProfilerActivity, profile, record_function

    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as prof:
        with record_function("inference"):
            model(x)
    print(prof.key_averages().table(sort_by="cpu_time_total", row_limit=10))

What is timed is what the engine runs: programs of many operations, see `autograd/profiler.py`.
`rushlight.explain` says what a program is made of.
"""

from __future__ import annotations

import enum
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from rushlight.autograd.profiler import profile as _profile
from rushlight.autograd.profiler import record_function
from rushlight.autograd.profiler_util import EventList
from rushlight.base.lacking import names_of

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]

__getattr__ = names_of(
    "torch.profiler",
    frozenset(["ExecutionTraceObserver"]),
    "torch.profiler.profile and rushlight.explain say what a program runs",
)


class ProfilerActivity(enum.Enum):
    """What may be profiled."""

    CPU = 0
    XPU = 1
    CUDA = 2


class ProfilerAction(enum.Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def kineto_available() -> bool:
    """False."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """The CPU."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, **more: Any
) -> Callable[[int], ProfilerAction]:
    """What a profiler would do in each step: wait, warm up, record, and again."""
    cycle: Final = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat and step // cycle >= repeat):
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if at == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes each trace into a folder, for TensorBoard and Perfetto."""

    def write(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{platform.node() or 'localhost'}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return write


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


RECORDING: Final = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


class profile:
    """How long what the engine runs takes, over the steps that a schedule picks.

    Args:
        activities: what to time; there is the CPU only.
        schedule: what to do in each step (see `schedule`); None: record from start to stop.
        on_trace_ready: called with this profile at the end of each recorded stretch of steps.
        record_shapes: keep the shapes of operands, for `key_averages(group_by_input_shape=True)`.
        profile_memory: count the bytes that operations write.
        with_flops: count the multiplications and additions of matrix products.

    With a schedule the program calls `step()` at the end of each step.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
    ) -> None:
        if activities is not None and not set(activities):
            raise AssertionError("No valid profiler activities found")
        self.on_trace_ready = on_trace_ready
        self.schedule = schedule or _always
        self.step_num = 0
        self.profiler: _profile | None = None
        self.current_action = self.schedule(0)
        self._marks = schedule is not None
        self._keep: dict[str, Any] = {
            "record_shapes": record_shapes, "profile_memory": profile_memory,
            "with_flops": with_flops,
        }  # fmt: skip
        self._metadata: dict[str, Any] = {}
        self._mark: record_function | None = None
        self._going = False

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with step 0."""
        self._going = True
        self.current_action = self.schedule(self.step_num)
        self._act(ProfilerAction.NONE, self.current_action)
        self._enter_step()

    def stop(self) -> None:
        """End; what was recorded is handed to `on_trace_ready`."""
        if not self._going:
            return
        self._leave_step()
        self._going = False
        if self.current_action in RECORDING:
            self._save()
        self._close()

    def step(self) -> None:
        """The step is over, the next begins."""
        if not self._going:
            return
        self._leave_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._act(before, self.current_action)
        self._enter_step()

    def _act(self, before: ProfilerAction, now: ProfilerAction) -> None:
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._save()
        elif before is ProfilerAction.RECORD and now not in RECORDING:
            self._close()
        if now in RECORDING and (before not in RECORDING or not self._open):
            self.profiler = _profile(**self._keep)
            self.profiler.metadata = self._metadata
            self.profiler.__enter__()

    @property
    def _open(self) -> bool:
        return self.profiler is not None and self.profiler.going

    def _close(self) -> None:
        if self.profiler is not None and self._open:
            self.profiler.__exit__(None, None, None)

    def _save(self) -> None:
        self._close()
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _enter_step(self) -> None:
        if self._marks and self.current_action in RECORDING:
            self._mark = record_function(f"ProfilerStep#{self.step_num}")
            self._mark.__enter__()

    def _leave_step(self) -> None:
        if self._mark is not None:
            self._mark.__exit__(None, None, None)
            self._mark = None

    def _taken(self) -> _profile:
        if self.profiler is None:
            raise AssertionError("Profiler must be initialized before getting key averages")
        return self.profiler

    # ------------------------------------------------------------ what was found
    def events(self) -> EventList:
        """Every event, in the order in which they ended."""
        return self._taken().function_events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **more: Any
    ) -> EventList:
        """The events of one name (and, where asked for, of the same shapes) together."""
        return self._taken().key_averages(group_by_input_shape)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the programs and marks for `chrome://tracing` and Perfetto, as JSON."""
        self._taken().export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """`NotImplementedError`: no stacks are kept."""
        self._taken().export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """A word of the program's own, for the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """A value of the program's own as JSON, for the trace."""
        self._metadata[key] = json.loads(value)

    def preset_metadata_json(self, key: str, value: str) -> None:
        """As `add_metadata_json`."""
        self.add_metadata_json(key, value)
