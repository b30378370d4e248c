"""Threads take turns in the recorder.

What the engine does with handles, storages and plans is meant to be done in one go.  Compiled it
is: nothing lets another thread run in its middle but calls of Python, and those know it.  In plain
Python another thread may run between any two lines, so threads take turns there: `core.mine` finds
the recorder of one thread at a time, the one whose turn it is.  Another that wants its turn

1. takes that thread's recorder out of where `mine` looks,
2. looks whether the thread is inside: whether its stack has a frame of the engine.

Outside, it finds nothing when it comes back, and waits.  Inside, it goes on to the end of what it
is doing, and waits before the next thing.  There is no third case, since `mine` looks in a frame of
the engine: who found its recorder before (1) is seen in (2).  Frames, not counters, say who is
inside: an interrupt leaves no frame behind.  Python that the engine calls (hooks, custom functions,
observers) is outside: others may have their turn meanwhile, and `apart` waits for the next one.

While there is one thread, none of this costs anything.
"""

from __future__ import annotations

import _thread
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from .core import GONE, MAIN, PRESENT, RECORDERS, SLOW, Engine, mine
from .records import forget

OWN: Final[Any] = threading.local()
LOCK: Final[list[Any]] = [threading.RLock()]  # held by the thread that is the next to have its turn
LOOK: Final[list[Any]] = [
    threading.RLock()
]  # held by the thread that looks at another one's frames
ASKING: Final[list[int]] = [GONE]  # that thread, or one that has been interrupted since
TURN: Final[list[int]] = [GONE]  # the thread whose turn it is
LATER: Final[list[int]] = [GONE]  # it was found inside: goes on to the end of what it does
FORKING: Final[list[Any]] = []
SLICE: Final = 0.0005  # seconds that a thread found inside is left alone before it is asked
STUCK: Final = 30.0  # seconds at one instruction: it waits for somebody who waits for its turn


class Leaving:
    """Goes with its thread: what is pending is run, and the recorder forgotten."""

    def __init__(self, engine: Engine) -> None:
        self.engine: Engine = engine

    def __del__(self) -> None:
        e = self.engine
        if sys.is_finalizing() or threading.get_ident() != e.thread:
            return  # a daemon thread's, when the process ends: nothing may run any more
        try:
            again(e)
            SLOW[0].flush(e)
        except BaseException:  # a failed operation: its results stay without values
            pass
        PRESENT.pop(e.thread, None)
        e.thread = GONE
        RECORDERS.pop(int(e.epoch), None)
        for trie in (e.roots, *e.policies.values()):
            forget(trie)


def own() -> Engine:
    """This thread's recorder, made when it is first asked for."""
    e: Engine | None = getattr(OWN, "engine", None)
    if e is None:
        e = Engine()
        RECORDERS[int(e.epoch)] = e
        OWN.engine = e
        OWN.leaving = Leaving(e)
    return e


def several() -> None:
    """From now on there are several threads; this one has used the first recorder until now."""
    if MAIN.solo:
        MAIN.thread = threading.get_ident()
        OWN.engine = MAIN
        if threading.current_thread() is not threading.main_thread():
            OWN.leaving = Leaving(MAIN)
        RECORDERS[int(MAIN.epoch)] = MAIN
        PRESENT[MAIN.thread] = MAIN
        TURN[0] = MAIN.thread
        MAIN.solo = False


def find_recorder() -> Engine:
    """This thread's recorder, where `mine` did not find it: it is new, or it has to wait."""
    me = threading.get_ident()
    if COMPILED:
        e = own()
        PRESENT[me] = e
        return e
    while True:
        found = PRESENT.get(me)
        if found is not None:
            return found
        # Who calls `mine` in the middle of something has its turn until that is over.
        caller: Any = sys._getframe(1).f_back
        if TURN[0] == me and inside(caller.f_back if caller is not None else None):
            if LATER[0] == me or not look_at(ASKING[0], asks):
                return own()  # who asks from here on finds this thread inside
            time.sleep(0)
        else:
            wait(own())


def again(e: Engine) -> None:
    """Wait for this thread's turn, in the middle of something or not."""
    if not COMPILED:
        while PRESENT.get(e.thread) is not e:
            wait(e)


def wait(e: Engine) -> None:
    """Wait until it is this thread's turn.  It may be over again before this has returned: it is
    the caller's look for its recorder that counts, this frame stands for being outside."""
    me = e.thread
    with LOCK[0]:
        ASKING[0] = me
        if not sys.is_finalizing() and TURN[0] != me and look_at(TURN[0], inside):
            time.sleep(SLICE)
        pause = 0.0
        seen: Any = None
        since = 0.0
        while TURN[0] != me and not sys.is_finalizing():
            whose = TURN[0]
            PRESENT.pop(whose, None)
            LATER[0] = GONE
            if not look_at(whose, inside):
                break
            LATER[0] = whose
            time.sleep(pause)
            pause = min(pause + 0.00002, 0.001)
            at = look_at(whose, place)
            if at != seen:
                seen, since = at, time.monotonic()
            elif time.monotonic() - since > STUCK:
                break
        TURN[0] = me
        PRESENT[me] = e


def look_at(thread: int, judge: Callable[[Any], Any]) -> Any:
    """What ``judge`` says of a thread's innermost frame, which is None when the thread has ended.

    A frame's object is made when it is asked for.  Before Python 3.12 that may start the garbage
    collector, whose finalisers let other threads go on: the frame in question may then be gone, and
    its object lies in memory that is used for something else.  So nothing is collected meanwhile.
    """
    if sys.version_info >= (3, 12):
        return judge(sys._current_frames().get(thread))
    with LOOK[0]:
        on = gc.isenabled()
        try:
            gc.disable()
            found = judge(sys._current_frames().get(thread))
        finally:
            if on:
                gc.enable()
    return found


def asks(frame: Any) -> bool:
    """Does a thread with this innermost frame ask for its turn?"""
    while frame is not None and frame.f_code is not WAIT:
        frame = frame.f_back
    return frame is not None


def place(frame: Any) -> Any:
    """The instruction that a thread with this innermost frame is at."""
    return None if frame is None else (id(frame), frame.f_lasti)


def inside(frame: Any) -> bool:
    """Is a thread with this innermost frame in the middle of something that is done in one go?"""
    while frame is not None:
        code = frame.f_code
        if code is WAIT or code is CALLED or code is REST:
            return False
        if code.co_filename.startswith(HERE):
            return True
        back = frame.f_back
        if back is None:  # not the bottom of the stack: a generator that has been left since
            return bool(code.co_flags & GENERATOR)
        frame = back
    return False


def engaged(frame: Any) -> bool:
    """May the stretch of the recorder of the thread with this innermost frame not be run by
    another, whose turn it is?  It is in the middle of something, and does not wait in it for what
    another thread has pending."""
    while frame is not None:
        code = frame.f_code
        if code is REST or code is RESTS:
            return False
        back = frame.f_back
        if code is WAIT and back is not None and back.f_code is ENTER:
            # before its first look: whatever it has called, it has nothing in hand
            while back is not None and back.f_code.co_filename.startswith(HERE):
                back = back.f_back
        elif code.co_filename.startswith(HERE):
            return True
        elif back is None:
            return bool(code.co_flags & GENERATOR)
        frame = back
    return False


def apart(f: Callable[..., Any], *args: Any) -> Any:
    """``f(*args)``, Python that is not the engine's: other threads have their turn meanwhile."""
    if COMPILED:
        return f(*args)
    try:
        return called(f, *args)
    finally:
        if not MAIN.solo:
            again(own())


def called(f: Callable[..., Any], *args: Any) -> Any:
    """A frame that stands for being outside."""
    return f(*args)


def rest(e: Engine) -> None:
    """Let others have their turn; this thread's stretch may be run by one of them."""
    if COMPILED:
        was = e.busy
        if was == 0:
            e.busy = -1
        try:
            time.sleep(0.0002)
        finally:
            e.busy = was
    else:
        resting()
        again(e)


def resting() -> None:
    """A frame that stands for being outside, with a stretch that may be taken over."""
    time.sleep(0.0002)


HERE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
COMPILED: Final = not hasattr(find_recorder, "__code__")
ENTER: Final[Any] = getattr(find_recorder, "__code__", None)
WAIT: Final[Any] = getattr(wait, "__code__", None)
CALLED: Final[Any] = getattr(called, "__code__", None)
RESTS: Final[Any] = getattr(rest, "__code__", None)
REST: Final[Any] = getattr(resting, "__code__", None)
GENERATOR: Final = 0x20 | 0x80 | 0x200  # flags of generators, coroutines, asynchronous generators


# ---------------------------------------------------------------- threads and processes that start
def watch_threads() -> None:
    """Notice the first second thread: until then finding the recorder costs one look at ``solo``.

    What is pending is run before a thread starts, so that the new thread sees values.
    """
    module: Any = _thread
    users: Any = threading
    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        if hasattr(module, name):
            starts = noticed(getattr(module, name))
            setattr(module, name, starts)
            if hasattr(users, "_" + name):
                setattr(users, "_" + name, starts)
    if threading.current_thread() is not threading.main_thread():
        several()  # the others may use this package just as this one does
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=before_fork, after_in_parent=after_fork, after_in_child=after_fork_in_child
        )


def noticed(start: Any) -> Any:
    """What starts threads, with a look at them before."""

    def start_thread(*args: Any, **kwargs: Any) -> Any:
        f: Any = args[0] if args else kwargs.get("function")
        thread: Any = getattr(f, "__self__", None)
        if not str(getattr(thread, "name", "")).startswith("rushlight-"):  # the pool's: no tensors
            several()
            SLOW[0].flush(mine())
        return start(*args, **kwargs)

    return start_thread


def before_fork() -> None:
    """No thread is in the middle of anything when the process is copied."""
    if not MAIN.solo and not COMPILED:
        lock = LOCK[0]
        lock.acquire()
        FORKING.append(lock)
        again(own())
    look = LOOK[0]
    look.acquire()  # nobody has stopped the collector for a while: the child would never go on
    FORKING.append(look)


def after_fork() -> None:
    """Others have their turn again."""
    while FORKING:
        FORKING.pop().release()


def after_fork_in_child() -> None:
    """This thread is the only one here: what others had pending is run when it is asked for."""
    FORKING.clear()
    LOCK[0] = threading.RLock()
    LOOK[0] = threading.RLock()
    LATER[0] = GONE
    PRESENT.clear()
    if MAIN.solo:
        return
    e = own()
    for other in [MAIN, *RECORDERS.values()]:
        if other is not e:
            other.busy = 0
            other.thread = GONE
            other.runner = GONE
    PRESENT[e.thread] = e
    TURN[0] = e.thread
