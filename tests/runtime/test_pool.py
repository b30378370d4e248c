"""The thread pool: every task once, nested and concurrent regions, resizing, fork, exit."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from rushlight.base import target
from rushlight.runtime import pool as pools
from rushlight.runtime.jit import Library, compile_text

TASKS = """
define void @mark(ptr %a, i64 %i) {
  %q = getelementptr i64, ptr %a, i64 %i
  %o = atomicrmw add ptr %q, i64 1 monotonic
  ret void
}
define void @count(ptr %a, i64 %i) {
  %o = atomicrmw add ptr %a, i64 1 monotonic
  ret void
}
define void @nested(ptr %a, i64 %i) {
  %pool = load ptr, ptr %a
  %pfor.at = getelementptr ptr, ptr %a, i64 1
  %pfor = load ptr, ptr %pfor.at
  %task.at = getelementptr ptr, ptr %a, i64 2
  %task = load ptr, ptr %task.at
  %total = getelementptr ptr, ptr %a, i64 3
  call void %pfor(ptr %pool, ptr %task, ptr %total, i64 10)
  ret void
}
define void @meet(ptr %a, i64 %i) {
entry:
  %o = atomicrmw add ptr %a, i64 1 acq_rel
  br label %look
look:
  %n = phi i64 [ 0, %entry ], [ %n2, %more ]
  %x = load atomic i64, ptr %a acquire, align 8
  %met = icmp uge i64 %x, 2
  br i1 %met, label %out, label %more
more:
  %n2 = add i64 %n, 1
  %late = icmp ugt i64 %n2, 2000000000
  br i1 %late, label %missed, label %look
missed:
  %flag = getelementptr i64, ptr %a, i64 1
  store i64 1, ptr %flag
  ret void
out:
  ret void
}
"""


@pytest.fixture(scope="module")
def tasks() -> Library:
    return compile_text(TASKS, name_hint="tasks")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = pools.threads()
    pools.set_threads(2)
    yield
    pools.set_threads(before)


def pfor(task: int, words: np.ndarray, count: int) -> None:
    pool = pools.pool()
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    ctypes.CFUNCTYPE(None, *kinds)(pool.pfor)(pool.address, task, words.ctypes.data, count)


def eventually(condition: object, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.002)
    return False


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_runs_once(tasks: Library, count: int, threads: int) -> None:
    pools.set_threads(threads)
    words = np.zeros(1001, np.int64)
    for turn in range(1, 20):
        pfor(tasks.address("mark"), words, count)
        assert (words[:count] == turn).all() and not words[count:].any()


def test_two_threads_really_work_at_once(tasks: Library) -> None:
    words = np.zeros(2, np.int64)
    pfor(tasks.address("meet"), words, 2)  # each waits for the other
    assert words.tolist() == [2, 0]


def test_regions_inside_regions(tasks: Library) -> None:
    pool = pools.pool()
    words = np.array([pool.address, pool.pfor, tasks.address("count"), 0], np.int64)
    for _ in range(200):
        pfor(tasks.address("nested"), words, 7)
    assert words[3] == 200 * 7 * 10


def test_several_callers_at_once(tasks: Library) -> None:
    words = np.zeros(1, np.int64)

    def work() -> None:
        for _ in range(2000):
            pfor(tasks.address("count"), words, 5)

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert words[0] == 4 * 2000 * 5


def test_workers_start_late_sleep_and_wake(tasks: Library) -> None:
    pools.set_threads(1)  # ends whatever workers earlier tests left
    pools.set_threads(2)
    pool = pools.pool()
    assert pool.workers() == 0
    words = np.zeros(100, np.int64)
    pfor(tasks.address("mark"), words, 100)
    assert eventually(lambda: pool.workers() == 1)
    if sys.platform == "linux":
        assert eventually(lambda: pool._words[pools._SLEEPERS] == 1)
    meeting = np.zeros(2, np.int64)
    pfor(tasks.address("meet"), meeting, 2)
    assert meeting.tolist() == [2, 0]


def test_resizing(tasks: Library) -> None:
    words = np.zeros(64, np.int64)
    for turn, threads in enumerate((1, 4, 2, 3, 1, 2), 1):
        pools.set_threads(threads)
        assert pools.threads() == threads
        pfor(tasks.address("mark"), words, 64)
        assert (words == turn).all()
        assert eventually(lambda n=threads: pools.pool().workers() == n - 1)
    for wrong in (0, -1):
        with pytest.raises(RuntimeError, match="positive integer"):
            pools.set_threads(wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("while_busy", [False, True])
def test_fork(tasks: Library, while_busy: bool) -> None:
    words = np.zeros(1000, np.int64)
    pfor(tasks.address("mark"), words, 1000)
    stop = threading.Event()
    other = np.zeros(1, np.int64)

    def work() -> None:
        while not stop.is_set():
            pfor(tasks.address("count"), other, 50)

    busy = [threading.Thread(target=work)] if while_busy else []
    for thread in busy:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    mine = np.zeros(1000, np.int64)
                    pfor(tasks.address("mark"), mine, 1000)
                    meeting = np.zeros(2, np.int64)
                    pfor(tasks.address("meet"), meeting, 2)
                    code = 0 if (mine == 1).all() and meeting.tolist() == [2, 0] else 2
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            assert status == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    pfor(tasks.address("mark"), words, 1000)
    assert (words == 2).all()


def child(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip()


EXIT = f"""
import atexit, ctypes, numpy as np
from rushlight.runtime import pool as pools
from rushlight.runtime.jit import compile_text
tasks = compile_text('''{TASKS}''')
words = np.zeros(100, np.int64)
def region(when):
    pool = pools.pool()
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    call = ctypes.CFUNCTYPE(None, *kinds)(pool.pfor)
    call(pool.address, tasks.address("mark"), words.ctypes.data, 100)
    print(when, int(words.sum()), pool.workers())
atexit.register(region, "late")  # runs after the pool has stopped
region("early")
"""


def test_exit_and_regions_after_it() -> None:
    lines = child(EXIT, RUSHLIGHT_NUM_THREADS="3").splitlines()
    assert lines[0].startswith("early 100") and lines[1] == "late 200 0"


def test_the_number_of_threads_comes_from_the_environment() -> None:
    code = "from rushlight.runtime import pool; print(pool.threads())"
    assert child(code, RUSHLIGHT_NUM_THREADS="7", OMP_NUM_THREADS="3") == "7"
    assert child(code, RUSHLIGHT_NUM_THREADS="", OMP_NUM_THREADS="3,2") == "3"
    expected = str(target.physical_cores())
    assert child(code, RUSHLIGHT_NUM_THREADS="0", OMP_NUM_THREADS="many") == expected
