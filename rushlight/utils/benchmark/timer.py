"""Timing statements.

Work that nobody looks at is never done here, so a loop over ``x @ x`` alone would time the
recording of a product.  The timer therefore keeps the value of every expression that stands as a
statement, and after each run lets everything that was recorded and is still held be computed
(`rushlight.engine.flush`).  What the statement itself throws away, such as a value that a name
loses before the run is over, is not computed, as it would not be in a program.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import textwrap
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final

from rushlight import engine
from rushlight.runtime import pool
from rushlight.utils.benchmark.measurement import Measurement, TaskSpec

timer: Final[Callable[[], float]] = perf_counter
_KEEP: Final = "_rushlight_keep"
_END: Final = "_rushlight_end"


class Language(enum.Enum):
    """What statements are written in: Python."""

    PYTHON = 0
    CPP = 1


@contextlib.contextmanager
def set_torch_threads(n: int) -> Iterator[None]:
    """So many threads for what runs inside."""
    before = pool.threads()
    pool.set_threads(n)
    try:
        yield
    finally:
        pool.set_threads(before)


class _Keep(ast.NodeTransformer):
    """Hands the values of expressions that stand as statements to a function that keeps them."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = ast.Call(ast.Name(_KEEP, ast.Load()), [node.value], [])
        return ast.copy_location(ast.Expr(call), node)

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave


def _loop(stmt: str, setup: str) -> ast.Module:
    """`_rushlight_run(number, timer)`: the setup, and the statement that often; seconds."""
    frame = ast.parse(
        f"def _rushlight_run(_rushlight_number, _rushlight_timer):\n"
        f"    pass\n"
        f"    {_END}()\n"
        f"    _rushlight_start = _rushlight_timer()\n"
        f"    for _rushlight_i in range(_rushlight_number):\n"
        f"        {_END}()\n"
        f"    return _rushlight_timer() - _rushlight_start\n"
    )
    run: Any = frame.body[0]
    run.body[:1] = ast.parse(setup, "<setup>").body or run.body[:1]
    repeated: Any = _Keep().visit(ast.parse(stmt, "<stmt>"))
    run.body[-2].body[:0] = repeated.body
    return ast.fix_missing_locations(frame)


class Timer:
    """Times a statement, in one thread unless told otherwise.

    Args:
        stmt: the statement; the values of its expressions are computed in every run.
        setup: what is done before each measurement.
        timer: what tells the time, in seconds.
        globals: the names that the statement uses; `torch` is there without being named.
        label, sub_label, description, env: what tables of `Compare` call it.
        num_threads: how many threads run it.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.benchmark import Timer
        >>> Timer("x @ x", globals={"x": torch.ones(8, 8)}).timeit(10).number_per_run
        10
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = Language.PYTHON,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language not in (Language.PYTHON, "py", "python"):
            raise ValueError(f"Timer: statements are Python, not {language}")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only. Found {global_setup!r}: Python code goes into setup"
            )
        stmt, setup = (textwrap.dedent(s).strip("\n").rstrip() for s in (stmt, setup))
        self._timer = timer
        self._task_spec = TaskSpec(
            stmt, setup, global_setup, label, sub_label, description, env, num_threads
        )
        kept: list[Any] = []

        def end() -> None:
            engine.flush()
            kept.clear()

        space = {"torch": _torch()} | (globals or {}) | {_KEEP: kept.append, _END: end}
        exec(compile(_loop(stmt, setup), "<timer>", "exec"), space)
        self._run: Callable[[int, Callable[[], float]], float] = space["_rushlight_run"]

    def _timeit(self, number: int) -> float:
        return max(self._run(number, self._timer), 1e-9)

    def timeit(self, number: int = 1000000) -> Measurement:
        """The time of so many runs, after a few that are not counted."""
        with set_torch_threads(self._task_spec.num_threads):
            self._timeit(max(number // 100, 2))
            return Measurement(number, [self._timeit(number)], self._task_spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """`NotImplementedError`, as in PyTorch."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Any = None) -> None:
        """`NotImplementedError`, as in PyTorch."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block(self, least: float) -> int:
        """How many runs take so long that the clock itself does not show."""
        number, clock = 1, min(_clock(self._timer) for _ in range(5))
        self._timeit(10)  # what is met again is compiled
        while True:
            spent = self._timeit(number)
            if clock / spent <= 1e-4 or spent >= min(least / 1000, 1e-3) > clock * 100:
                return number
            if spent > least or number >= 1_000_000:
                return number
            number *= 10

    def _measure(
        self,
        number: int,
        enough: Callable[[list[float]], bool],
        least: float,
        most: float | None = None,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        times: list[float] = []
        total = 0.0
        with set_torch_threads(self._task_spec.num_threads):
            while total < least or not enough(times):
                spent = self._timeit(number)
                times.append(spent)
                total += spent
                if callback is not None:
                    callback(number, spent)
                if most is not None and total > most:
                    break
        return Measurement(number, times, self._task_spec)

    def blocked_autorange(
        self,
        callback: Callable[[int, float], Any] | None = None,
        min_run_time: float = 0.2,
    ) -> Measurement:
        """Measurements of as many runs each as the clock needs, for `min_run_time` seconds."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block(min_run_time)
        return self._measure(number, lambda times: True, min_run_time, callback=callback)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Measurements until their interquartile range is a small part of the median."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block(0.05)

        def enough(times: list[float]) -> bool:
            found = Measurement(number, times, self._task_spec)
            return len(times) > 3 and found.meets_confidence(threshold)

        return self._measure(number, enough, min_run_time, max_run_time, callback)

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> None:
        """`NotImplementedError`: instructions are not counted here."""
        raise NotImplementedError("Timer.collect_callgrind is not in Rushlight: use valgrind on "
                                  "the whole program")  # fmt: skip


def _clock(timer: Callable[[], float]) -> float:
    """How long the clock itself takes."""
    start = timer()
    for _ in range(100):
        timer()
    return (timer() - start) / 100


def _torch() -> Any:
    import importlib

    return importlib.import_module("rushlight")
