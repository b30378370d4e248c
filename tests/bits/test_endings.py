"""How processes begin and end around pending work: daemon threads, `os._exit`, `atexit`, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BEGIN = """
import atexit, os, sys, threading, time, warnings
warnings.simplefilter("ignore")
import rushlight as T

w = T.tensor([1.0, 2.0, 3.0], requires_grad=True)
o = T.optim.SGD([w], lr=0.1)

def step():
    o.zero_grad()
    loss = ((w * w).tanh() + T.ones(3)).sum()
    loss.backward()
    o.step()
    return loss.item()

def big():
    x = T.ones(300, 300) / 7
    return (x @ x).exp().sum().item()
"""

PROGRAMS = {
    # what a thread is doing when the process ends is nobody's business: no word, no crash, no wait
    "daemon threads at work": """
        def work():
            while True:
                x = T.ones(8, 8)
                for _ in range(20):
                    x = (x @ x).tanh() + 1
                x.sum().item()
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(5):
            step()
        pending = T.ones(3) * 2
        print("end")
    """,
    "daemon thread in a parallel region": """
        def work():
            while True:
                big()
        threading.Thread(target=work, daemon=True).start()
        big(); time.sleep(0.3)
        print("end")
    """,
    "_exit with pending work": """
        step(); big()
        pending = (T.ones(3) * 2).exp()
        print("end", flush=True)
        os._exit(0)
    """,
    "at exit, before and after the pool": """
        def last():
            assert (T.ones(3) * 2).tolist() == [2.0, 2.0, 2.0]
            assert big() == value
            step()
            print("end")
        atexit.register(last)  # runs after the pool has stopped: registered before it started
        value = big()
        atexit.register(lambda: big() == value or os._exit(1))
        pending = T.ones(3) * 2
    """,
    "an exception nobody catches in a thread": """
        def work():
            y = T.ones(3) * 2
            raise SystemExit
        t = threading.Thread(target=work); t.start(); t.join()
        step()
        print("end")
    """,
    "a thread that outlives the main one": """
        def work():
            time.sleep(0.2)
            first = [step() for _ in range(3)]
            assert all(a > b for a, b in zip(first, first[1:]))
            big()
            print("end")
        y = w * 2
        threading.Thread(target=work).start()
    """,
    "fork in a thread while others record": """
        stop = []
        def noise():
            while not stop:
                (T.ones(5) * 2).exp().sum().item()
        others = [threading.Thread(target=noise, daemon=True) for _ in range(2)]
        for t in others: t.start()
        out = []
        def forks():
            y = (T.ones(4) * 3).exp()
            pid = os.fork()
            if pid == 0:
                good = y.tolist() == (T.ones(4) * 3).exp().tolist() and big() > 0 and step() > 0
                os._exit(0 if good else 1)
            out.append(os.waitpid(pid, 0)[1])
        t = threading.Thread(target=forks); t.start(); t.join(60)
        stop.append(1)
        assert out == [0], out
        print("end")
    """,
    "children of children, each with a pool": """
        value, losses = big(), [step(), step()]
        def descend(depth):
            if not depth:
                return
            y = T.ones(3) * depth
            pid = os.fork()
            if pid == 0:
                try:
                    assert y.tolist() == [float(depth)] * 3
                    assert big() == value
                    assert step() < losses[-1]
                    descend(depth - 1)
                except BaseException as error:
                    print(error, flush=True)
                    os._exit(1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert big() == value
        descend(3)
        print("end")
    """,
    "a pool of processes": """
        import multiprocessing as mp
        def work(n):
            return (T.ones(n) * n).sum().item(), big()
        value = big()
        with mp.get_context("fork").Pool(2) as pool:
            assert pool.map(work, range(1, 9)) == [(float(n * n), value) for n in range(1, 9)]
        print("end")
    """,
}
FORKS = {name for name, text in PROGRAMS.items() if "fork" in text}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("threads", [1, 4])
def test_ending(name: str, threads: int, tmp_path: Path) -> None:
    if name in FORKS and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    path = tmp_path / "program.py"
    path.write_text(BEGIN + textwrap.dedent(PROGRAMS[name]))
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(q for q in sys.path if q))
    env["RUSHLIGHT_NUM_THREADS"] = str(threads)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(path)],
        check=False, capture_output=True, text=True, env=env, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
