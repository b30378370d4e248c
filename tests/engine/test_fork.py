"""`fork` in the middle of recording, and processes started afresh."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap

import pytest

# A program of its own: Python's warnings about forking with threads are then not this process's.
FORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
import rushlight as T

w = T.tensor([1.0, 2.0, 3.0], requires_grad=True)
o = T.optim.SGD([w], lr=0.1)

def step():
    o.zero_grad()
    loss = (w * w).sum()
    loss.backward()
    o.step()
    return loss.item()

for _ in range(4):
    step()
pending = (w.detach() * 2).exp()     # recorded, not run
big = T.ones(300, 300) @ T.ones(300, 300)
if {run_first}:
    big.sum().item()                 # the pool's threads exist now
pid = os.fork()
first = [pending.tolist(), step(), step(), float((big * 2).sum())]
if pid == 0:
    try:
        with open(sys.argv[1], "w") as f:
            f.write(repr(first))
    finally:
        os._exit(0)
_, status = os.waitpid(pid, 0)
with open(sys.argv[1]) as f:
    there = f.read()
assert status == 0, status
assert there == repr(first), (there, first)
print("same")
"""

SPAWN = """
import multiprocessing as mp
import rushlight as T

def child(q):
    x = T.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    q.put(x.grad.tolist())

if __name__ == "__main__":
    y = T.ones(3) * 2                # pending while the child starts
    ctx = mp.get_context("{method}")
    q = ctx.Queue()
    p = ctx.Process(target=child, args=(q,))
    p.start()
    assert q.get(timeout=60) == [2.0, 4.0]
    p.join(60)
    assert p.exitcode == 0
    assert y.tolist() == [2.0, 2.0, 2.0]
    print("same")
"""


def run(text: str, folder: str, *args: str) -> str:
    path = os.path.join(folder, "program.py")
    with open(path, "w") as f:
        f.write(textwrap.dedent(text))
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(q for q in sys.path if q)
    done = subprocess.run(
        [sys.executable, path, *args],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("run_first", [True, False])
def test_fork_in_the_middle(run_first: bool, tmp_path: object) -> None:
    """Both processes go on from what was pending, with the same bits."""
    text = FORK.replace("{run_first}", str(run_first))
    assert run(text, str(tmp_path), os.path.join(str(tmp_path), "out")) == "same\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_started_afresh(method: str, tmp_path: object) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    assert run(SPAWN.replace("{method}", method), str(tmp_path)) == "same\n"
