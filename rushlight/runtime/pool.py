"""The thread pool: `pfor(pool, fn, args, n)` for generated code.

Owns the worker threads, which run a generated loop outside the interpreter's lock, and the memory
they meet in. `fn(args, i)` is called once for each `i` below `n`, in any order, on any thread, so
only work whose result does not depend on that may be split.

Threads start at the first parallel region (the native code calls back into Python for it), spin
about a millisecond after each, then sleep. A region started inside another one, or while another
thread's runs, or after `stop`, runs serially in its caller. A forked child starts threads of its
own when it first needs them.
"""

import atexit
import ctypes
import os
import platform
import sys
import threading
import time

from rushlight.base.target import physical_cores
from rushlight.runtime.jit import Library, compile_text

# Words of the pool's memory, each group on cache lines of its own.
_WORD = 0  # generation << 32 | tasks not yet taken
_DONE = 8  # tasks finished
_FUNCTION, _ARGUMENTS, _STOP, _SPIN = 16, 17, 18, 19
_SLEEPERS = 24
_LOCK = 32  # 0 free, 1 taken
_STATE, _START = 40, 41  # whether workers run (0: call START; 1: yes; 2: serial)
_ALIVE = 48  # workers inside the loop
_WORDS = 64

_SPIN_SECONDS = 1e-3
_JOIN_SECONDS = 5.0


def text_for(machine: str, system: str) -> str:
    """The pool's LLVM text for a processor (`platform.machine()`) and a `sys.platform`."""
    machine = machine.lower()
    intel = machine in ("x86_64", "amd64")
    pause, declare_pause = "", ""
    if intel:
        pause, declare_pause = (
            "call void @llvm.x86.sse2.pause()",
            "declare void @llvm.x86.sse2.pause()",
        )
    elif machine in ("aarch64", "arm64"):
        pause, declare_pause = (
            "call void @llvm.aarch64.hint(i32 1)",
            "declare void @llvm.aarch64.hint(i32 immarg)",
        )
    if system == "linux" and (intel or machine == "aarch64"):
        futex = 202 if intel else 98
        call = f"call i64 (i64, ...) @syscall(i64 {futex}, ptr %hi,"
        sleep = f"%slept = {call} i32 128, i32 %g, ptr null, ptr null, i32 0)"
        wake = f"%woken = {call} i32 129, i32 2147483647, ptr null, ptr null, i32 0)"
        rest = "%rested = call i32 @sched_yield()"
        declare_system = "declare i64 @syscall(i64, ...)\ndeclare i32 @sched_yield()"
    elif system == "win32":  # no futex: sleepers look again every millisecond
        sleep, wake, rest = "call void @Sleep(i32 1)", "", "call void @Sleep(i32 0)"
        declare_system = "declare void @Sleep(i32)"
    else:
        sleep, wake = "%slept = call i32 @usleep(i32 200)", ""
        rest = "%rested = call i32 @sched_yield()"
        declare_system = "declare i32 @usleep(i32)\ndeclare i32 @sched_yield()"

    def place(name: str, word: int) -> str:
        return f"  %{name} = getelementptr i64, ptr %p, i64 {word}\n"

    common = place("done", _DONE) + place("fnp", _FUNCTION) + place("argp", _ARGUMENTS)
    common += place("slp", _SLEEPERS) + "  %hi = getelementptr i8, ptr %p, i64 4\n"
    return f"""
{declare_pause}
{declare_system}

define void @worker(ptr %p) nounwind {{
entry:
{common}{place("stopp", _STOP)}{place("alive", _ALIVE)}{place("spinp", _SPIN)}  \
%born = atomicrmw add ptr %alive, i64 1 seq_cst
  %spin = load i64, ptr %spinp
  br label %idle
idle:
  br label %look
look:
  %count = phi i64 [ %spin, %idle ], [ %fewer, %again ]
  %w = load atomic i64, ptr %p acquire, align 8
  %left = and i64 %w, 4294967295
  %has = icmp ne i64 %left, 0
  br i1 %has, label %claim, label %nothing
nothing:
  %stop = load atomic i64, ptr %stopp acquire, align 8
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %out, label %wait
wait:
  {pause}
  %fewer = sub i64 %count, 1
  %tired = icmp sle i64 %fewer, 0
  br i1 %tired, label %sleep, label %again
again:
  br label %look
sleep:
  %sleepers = atomicrmw add ptr %slp, i64 1 seq_cst
  %w2 = load atomic i64, ptr %p seq_cst, align 8
  %same = icmp eq i64 %w2, %w
  br i1 %same, label %lie, label %awake
lie:
  %g64 = lshr i64 %w, 32
  %g = trunc i64 %g64 to i32
  {sleep}
  br label %awake
awake:
  %up = atomicrmw sub ptr %slp, i64 1 seq_cst
  %w3 = load atomic i64, ptr %p acquire, align 8
  %news = icmp ne i64 %w3, %w
  br i1 %news, label %idle, label %drowse
drowse:
  %stop2 = load atomic i64, ptr %stopp acquire, align 8
  %stopping2 = icmp ne i64 %stop2, 0
  br i1 %stopping2, label %out, label %sleep
claim:
  %taken = sub i64 %w, 1
  %swap = cmpxchg ptr %p, i64 %w, i64 %taken acq_rel acquire
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %work, label %idle
work:
  %fn = load ptr, ptr %fnp
  %args = load ptr, ptr %argp
  %index = sub i64 %left, 1
  call void %fn(ptr %args, i64 %index)
  %d = atomicrmw add ptr %done, i64 1 release
  br label %idle
out:
  %died = atomicrmw sub ptr %alive, i64 1 seq_cst
  ret void
}}

define void @pfor(ptr %p, ptr %fn, ptr %args, i64 %n) nounwind {{
entry:
{common}{place("lock", _LOCK)}{place("state", _STATE)}{place("startp", _START)}  \
%few = icmp ult i64 %n, 2
  br i1 %few, label %serial.some, label %try.lock
try.lock:
  %lx = cmpxchg ptr %lock, i64 0, i64 1 acquire monotonic
  %got = extractvalue {{ i64, i1 }} %lx, 1
  br i1 %got, label %locked, label %serial.some
serial.some:
  %none = icmp eq i64 %n, 0
  br i1 %none, label %serial.out, label %serial
serial:
  %si = phi i64 [ 0, %serial.some ], [ %si2, %serial ]
  call void %fn(ptr %args, i64 %si)
  %si2 = add i64 %si, 1
  %sc = icmp ult i64 %si2, %n
  br i1 %sc, label %serial, label %serial.out
serial.out:
  ret void
locked:
  %s = load i64, ptr %state
  %fresh = icmp eq i64 %s, 0
  br i1 %fresh, label %begin, label %ready
begin:
  %start = load ptr, ptr %startp
  call void %start()
  br label %ready
ready:
  %s2 = load i64, ptr %state
  %running = icmp eq i64 %s2, 1
  br i1 %running, label %parallel, label %unlock
unlock:
  store atomic i64 0, ptr %lock release, align 8
  br label %serial.some
parallel:
  store ptr %fn, ptr %fnp
  store ptr %args, ptr %argp
  store atomic i64 0, ptr %done monotonic, align 8
  %w0 = load atomic i64, ptr %p monotonic, align 8
  %g0 = lshr i64 %w0, 32
  %g1 = add i64 %g0, 1
  %gs = shl i64 %g1, 32
  %w1 = or i64 %gs, %n
  store atomic i64 %w1, ptr %p seq_cst, align 8
  %ns = load atomic i64, ptr %slp seq_cst, align 8
  %any = icmp ne i64 %ns, 0
  br i1 %any, label %wake, label %claim
wake:
  {wake}
  br label %claim
claim:
  %w = load atomic i64, ptr %p acquire, align 8
  %left = and i64 %w, 4294967295
  %has = icmp ne i64 %left, 0
  br i1 %has, label %take, label %wait
take:
  %taken = sub i64 %w, 1
  %swap = cmpxchg ptr %p, i64 %w, i64 %taken acq_rel acquire
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %work, label %claim
work:
  %index = sub i64 %left, 1
  call void %fn(ptr %args, i64 %index)
  %d = atomicrmw add ptr %done, i64 1 release
  br label %claim
wait:
  %spun = phi i64 [ 0, %claim ], [ %spun2, %pause ], [ %spun2, %rest ]
  %dn = load atomic i64, ptr %done acquire, align 8
  %finished = icmp uge i64 %dn, %n
  br i1 %finished, label %out, label %more
more:
  %spun2 = add i64 %spun, 1
  %low = and i64 %spun2, 1023
  %long = icmp eq i64 %low, 0
  br i1 %long, label %rest, label %pause
pause:
  {pause}
  br label %wait
rest:
  {rest}
  br label %wait
out:
  store atomic i64 0, ptr %lock release, align 8
  ret void
}}

define void @stop(ptr %p) nounwind {{
entry:
{place("stopp", _STOP)}  %hi = getelementptr i8, ptr %p, i64 4
  store atomic i64 1, ptr %stopp seq_cst, align 8
  %v = atomicrmw add ptr %p, i64 4294967296 seq_cst
  {wake}
  ret void
}}

define i64 @trylock(ptr %p) nounwind {{
entry:
{place("lock", _LOCK)}  %lx = cmpxchg ptr %lock, i64 0, i64 1 acquire monotonic
  %got = extractvalue {{ i64, i1 }} %lx, 1
  %y = zext i1 %got to i64
  ret i64 %y
}}

define void @spin(i64 %n) nounwind {{
entry:
  br label %l
l:
  %i = phi i64 [ 0, %entry ], [ %i2, %l ]
  {pause}
  %i2 = add i64 %i, 1
  %c = icmp ult i64 %i2, %n
  br i1 %c, label %l, label %x
x:
  ret void
}}
"""


class Pool:
    """Worker threads around one piece of memory. Use the module's functions: there is one pool."""

    def __init__(self, count: int) -> None:
        self._library: Library = compile_text(
            text_for(platform.machine(), sys.platform), name_hint="pool"
        )
        raw = bytearray(8 * _WORDS + 64)
        self._memory = (ctypes.c_char * len(raw)).from_buffer(raw)
        shift = -ctypes.addressof(self._memory) % 64
        self.address = ctypes.addressof(self._memory) + shift
        self._words = memoryview(raw)[shift : shift + 8 * _WORDS].cast("q")
        self.pfor = self._library.address("pfor")
        self.count = count
        self._threads: list[threading.Thread] = []
        self._call_start = ctypes.CFUNCTYPE(None)(self._start)
        self._words[_START] = ctypes.cast(self._call_start, ctypes.c_void_p).value or 0
        self._words[_STATE] = 0 if count > 1 else 2

    def _start(self) -> None:
        """Starts the workers. Called by `pfor`, which holds the pool's lock."""
        try:
            self._words[_SPIN] = self._spins()
            work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.address("worker"))
            for number in range(self.count - 1):
                thread = threading.Thread(
                    target=work, args=(self.address,), daemon=True, name=f"rushlight-{number + 1}"
                )
                thread.start()
                self._threads.append(thread)
        except RuntimeError:  # no more threads to be had, or the interpreter is going down
            pass
        self._words[_STATE] = 1 if self._threads else 2

    def _spins(self) -> int:
        """How many pauses take about a millisecond here."""
        spin = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self._library.address("spin"))
        sample, best = 1000, 1.0
        for _ in range(3):
            begin = time.perf_counter()
            spin(sample)
            best = min(best, time.perf_counter() - begin)
        return max(100, int(sample * _SPIN_SECONDS / max(best, 1e-7)))

    def _lock(self, seconds: float) -> bool:
        trylock = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(
            self._library.address("trylock")
        )
        end = time.monotonic() + seconds
        while not trylock(self.address):
            if time.monotonic() > end:
                return False
            time.sleep(1e-4)
        return True

    def resize(self, count: int) -> None:
        """Ends the workers; `count - 1` new ones start when they are needed."""
        self._lock(float("inf"))
        self._end_workers()
        self.count = count
        self._words[_STATE] = 0 if count > 1 else 2
        self._words[_LOCK] = 0

    def stop(self) -> None:
        """Ends the workers for good: later regions run serially."""
        if not self._lock(_JOIN_SECONDS):
            return  # a region that does not end; its daemon threads go down with the process
        self._end_workers()
        self._words[_STATE] = 2
        self._words[_LOCK] = 0

    def _end_workers(self) -> None:
        if self._threads:
            stop = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.address("stop"))
            stop(self.address)
            for thread in self._threads:
                thread.join(_JOIN_SECONDS)
        self._threads = []
        self._words[_STOP] = 0
        self._words[_SLEEPERS] = 0

    def reset_after_fork(self) -> None:
        """Forgets the parent's workers, and a region of another thread that the fork cut off."""
        self._threads = []
        for word in (_WORD, _DONE, _STOP, _SLEEPERS, _LOCK, _ALIVE):
            self._words[word] = 0
        if self._words[_STATE] == 1:
            self._words[_STATE] = 0

    def workers(self) -> int:
        """Worker threads inside the generated loop at this moment."""
        return self._words[_ALIVE]


_POOL: list[Pool] = []
_GUARD = threading.RLock()
_count = 0


def _default_count() -> int:
    for name in ("RUSHLIGHT_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdigit() and int(text) > 0:
            return int(text)
    return physical_cores()


def threads() -> int:
    """The number of threads that a parallel region uses, its caller included.

    `RUSHLIGHT_NUM_THREADS` or `OMP_NUM_THREADS`, else the physical cores this process may use.
    """
    global _count
    if not _count:
        _count = _default_count()
    return _count


def set_threads(count: int) -> None:
    """Sets `threads()`. Results do not depend on it.

    Raises:
        RuntimeError: `count` is not positive.
    """
    global _count
    if count < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    with _GUARD:
        if _POOL and count != threads():
            _POOL[0].resize(count)
        _count = count


def pool() -> Pool:
    """The process's pool. `pool().address` and `pool().pfor` go into a plan's table."""
    if not _POOL:
        with _GUARD:
            if not _POOL:
                _POOL.append(Pool(threads()))
                atexit.register(_POOL[0].stop)
    return _POOL[0]


def _after_fork() -> None:
    global _GUARD
    _GUARD = threading.RLock()
    if _POOL:
        _POOL[0].reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
