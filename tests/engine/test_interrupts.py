"""An exception at any line of the engine leaves the recorder whole (lines: pure build only)."""

from __future__ import annotations

import dis
import os
import sys
import threading
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine import core, stretch, trie

pytestmark = pytest.mark.skipif(
    not hasattr(core.record1, "__code__"), reason="lines of the compiled core cannot be traced"
)
HERE = os.path.dirname(core.__file__) + os.sep

# Statements over T and np; every one of them is interrupted at every line it reaches.
PROGRAMS = {
    "values": (
        "x = T.tensor([[1.0, -2.0], [3.0, 4.0]])",
        "y = x * 2.5",
        "z = (y + x).tanh()",
        "s = z.sum()",
        "k = s.item()",
        "w = z.to(T.float64) - 1",
        "q = (w @ w.t()).mean(0)",
        "engine.flush()",
    ),
    "writes": (
        "x = T.zeros(4, 3)",
        "v = x[1:3]",
        "u = v.view(-1)",
        "v.add_(1.5)",
        "p = u * 2",
        "x[0] = 7.0",
        "u[::2] = -1.0",
        "d = x.detach()",
        "d.mul_(3)",
        "engine.flush()",
        "v.copy_(p.view(2, 3))",
        "r = x + 1",
        "r.zero_()",
        "engine.flush()",
    ),
    "gradients": (
        "a = T.tensor([1.0, 2.0, 3.0], requires_grad=True)",
        "b = T.ones(3, requires_grad=True)",
        "y = (a * b).exp()",
        "s = y.sum()",
        "s.backward(retain_graph=True)",
        "k = s.item()",
        "s.backward()",
        "h = (a * a * b).sum()",
        "engine.flush()",
        "g = T.autograd.grad(h, [a], create_graph=True)[0]",
        "g.sum().backward()",
        "with T.no_grad(): a -= 0.5 * a.grad",
        "engine.flush()",
    ),
    "steps": (
        "w = T.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)",
        "o = T.optim.SGD([w], lr=0.1, momentum=0.9)",
        "l = (w * w).tanh().sum()",
        "l.backward()",
        "o.step()",
        "o.zero_grad()",
        "l = (w * w).tanh().sum()",
        "l.backward()",
        "o.step()",
        "m = w.detach() * 2",
    ),
    "arrays": (
        "n = np.arange(6.0).reshape(2, 3)",
        "t = T.from_numpy(n)",
        "y = t * 2",
        "n[0] = 9.0",
        "t.add_(1)",
        "z = t + y",
        "m = y.numpy()",
        "m[1] = 5.0",
        "y.mul_(2)",
        "engine.flush()",
    ),
    "large arrays": (  # beyond what is copied when it is read
        "n = np.arange(10000.0)",
        "t = T.from_numpy(n)",
        "v = t.view(100, 100)[1:]",
        "t.mul_(3)",
        "v.add_(1)",
        "y = (t * 2)[:4]",
        "engine.flush()",
    ),
}  # fmt: skip


def spared(frame: Any) -> bool:
    """Is this line only the end of a `with` statement, or nothing (`try:`)?  No interrupt comes
    there: the interpreter looks for one at calls, where functions begin and where loops go on."""
    code = frame.f_code
    found = SPARED.get(code)
    if found is None:
        steps = [(i.offset, i.opname, i.argval) for i in dis.get_instructions(code)]
        found = SPARED[code] = {
            steps[n][0]
            for n in range(len(steps) - 2)
            if steps[n][1] == "NOP"
            or all(name == "LOAD_CONST" and value is None for _, name, value in steps[n : n + 3])
        }
    return frame.f_lasti in found


SPARED: dict[Any, set[int]] = {}


class Stop:
    """Raises KeyboardInterrupt at a visit of a line of the engine; without a line, notes all."""

    def __init__(self, line: tuple[str, int] | None, visit: int = 0) -> None:
        self.line = line
        self.visit = visit
        self.seen: dict[tuple[str, int], int] = {}

    def calls(self, frame: Any, event: str, arg: Any) -> Any:
        return self.lines if frame.f_code.co_filename.startswith(HERE) else None

    def lines(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "line" and not spared(frame):
            key = (frame.f_code.co_filename, frame.f_lineno)
            n = self.seen.get(key, 0)
            self.seen[key] = n + 1
            if key == self.line and n == self.visit:
                raise KeyboardInterrupt
        return self.lines


def values(env: dict[str, Any]) -> dict[str, Any]:
    """Every tensor, gradient and array by name, as bytes."""
    out = {}
    for name, x in list(env.items()):
        if isinstance(x, engine.Tensor):
            out[name] = engine.read(x).tobytes()
            if x.requires_grad and engine.is_leaf(x):
                out[name + ".grad"] = None if x.grad is None else engine.read(x.grad).tobytes()
        elif isinstance(x, np.ndarray):
            out[name] = x.tobytes()
        elif isinstance(x, float):
            out[name] = x
    return out


def names() -> dict[str, Any]:
    return {"T": T, "np": np, "engine": engine}


def steps(program: str) -> list[dict[str, Any]]:
    """What every name stands for after each statement."""
    out = []
    for k in range(1, len(PROGRAMS[program]) + 1):
        env = names()
        for line in PROGRAMS[program][:k]:
            exec(line, env)
        out.append(values(env))
    return out


def interrupted(program: str, at: int, stop: Stop) -> tuple[dict[str, Any], bool]:
    """Run up to statement ``at`` and trace that one."""
    env = names()
    for line in PROGRAMS[program][:at]:
        exec(line, env)
    before = sys.gettrace()
    code = compile(PROGRAMS[program][at], "<program>", "exec")
    sys.settrace(stop.calls)
    try:
        exec(code, env)
    except KeyboardInterrupt:
        sys.settrace(before)
        if "no_grad" in PROGRAMS[program][at]:
            engine.set_grad_enabled(
                True
            )  # an interrupt in `__enter__`: Python never calls `__exit__`
        return env, True
    finally:
        sys.settrace(before)
    return env, False


def check_after(program: str, at: int, env: dict[str, Any], good: list[dict[str, Any]]) -> str:
    """What is wrong after an interrupt in statement ``at``; empty when nothing is."""
    try:
        got = values(env)
    except Exception as error:
        return f"reading: {type(error).__name__}: {error}"
    old = good[at - 1] if at else {}
    for name, v in got.items():
        # every name, and every `.grad`, is as before or as after the statement
        if v != good[at].get(name) and v != old.get(name):
            return f"{name} is neither what it was nor what it becomes"
    for other in ("gradients", program):
        env2 = names()
        try:
            for line in PROGRAMS[other]:
                exec(line, env2)
            if values(env2) != EXPECTED[other][-1]:
                return f"program {other!r} gives other values afterwards"
        except Exception as error:
            return f"program {other!r} fails afterwards: {type(error).__name__}: {error}"
    pending = T.tensor([1.0, 2.0]) * 3
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.append(pending.tolist()), daemon=True)
    reader.start()
    reader.join(20)
    return "" if seen == [[3.0, 6.0]] else "another thread cannot read what is pending here"


EXPECTED: dict[str, list[dict[str, Any]]] = {}
# One place in so many; all of them with RUSHLIGHT_INTERRUPTS=1 (some minutes).
EVERY = int(os.environ.get("RUSHLIGHT_INTERRUPTS", "23"))


@pytest.mark.parametrize("program", sorted(PROGRAMS))
@pytest.mark.parametrize("warm", [False, True])
def test_interrupt_at_every_line(program: str, warm: bool) -> None:
    """Cold: records are made; warm: recognised.  A sample of the lines that are reached."""
    with override(fuse_after=1 << 40):
        for q in PROGRAMS:
            EXPECTED.setdefault(q, steps(q))
        wrong: list[str] = []
        count = places = 0
        for at in range(len(PROGRAMS[program])):
            if not warm:
                forget()
            probe = Stop(None)
            interrupted(program, at, probe)
            for line, visits in sorted(probe.seen.items()):
                for visit in sorted({0, visits - 1} if warm else {0}):
                    places += 1
                    if places % EVERY:
                        continue
                    if not warm:
                        forget()
                    env, hit = interrupted(program, at, Stop(line, visit))
                    count += hit
                    bad = check_after(program, at, env, EXPECTED[program])
                    if bad:
                        place = f"{os.path.basename(line[0])}:{line[1]} visit {visit}"
                        wrong.append(f"{PROGRAMS[program][at]!r} at {place}: {bad}")
                        start_again()
        assert not wrong, f"{len(wrong)} of {count}\n" + "\n".join(wrong[:20])
        assert count > 10


def forget() -> None:
    """Drop what the recorder has learnt."""
    engine.flush()
    e = core.mine()
    e.roots = trie.new_root()
    stretch.clear(e)


def start_again() -> None:
    """After a failure: an empty recorder, so that one defect is counted once."""
    e = core.mine()
    e.gm = True
    e.roots = trie.new_root()
    stretch.clear(e)


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_interrupt_at_every_line_while_somebody_watches(program: str) -> None:
    """Records are made, observers told, every value probed."""
    told: list[Any] = []
    with (
        override(fuse_after=1 << 40),
        engine.watch.observe(told.append),
        engine.watch.probe(lambda s: True, ("max", "nan"), 1, told.append),
    ):
        for q in PROGRAMS:
            EXPECTED.setdefault(q, steps(q))
        wrong: list[str] = []
        count = places = 0
        for at in range(len(PROGRAMS[program])):
            forget()
            probe = Stop(None)
            interrupted(program, at, probe)
            for line, _ in sorted(probe.seen.items()):
                places += 1
                if places % (6 * EVERY if EVERY > 1 else 1):
                    continue
                forget()
                env, hit = interrupted(program, at, Stop(line, 0))
                count += hit
                bad = check_after(program, at, env, EXPECTED[program])
                if bad:
                    place = f"{os.path.basename(line[0])}:{line[1]}"
                    wrong.append(f"{PROGRAMS[program][at]!r} at {place}: {bad}")
                    start_again()
        assert not wrong, f"{len(wrong)} of {count}\n" + "\n".join(wrong[:20])
        assert count > 10 and len(told) > 100


def test_what_an_interrupt_left_behind_holds_nobody_up() -> None:
    """Interrupted between saying that it is in its middle and the line that takes it back."""
    e = core.mine()
    e.busy += 1
    try:
        x = T.tensor([1.0, 2.0]) * 3
        seen: list[Any] = []
        reader = threading.Thread(target=lambda: seen.append(x.tolist()), daemon=True)
        reader.start()
        reader.join(20)
        assert seen == [[3.0, 6.0]]
    finally:
        e.busy = 0
