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

# What the child computes and trains reaches no memory of its parent's: neither that of tensors
# nor what lies idle. Sizes of which pages come from the system.
MEMORY = """
import os, warnings
warnings.simplefilter("ignore")
import rushlight as T

def make(v):
    y = T.full((200, 200), v) * 2 + v
    y.sum().item()
    return y

net = T.nn.Linear(200, 200)
o = T.optim.SGD(net.parameters(), lr=1.0)

def step():
    o.zero_grad()
    net(T.ones(2, 200)).sum().backward()
    o.step()
    return net.weight.detach().sum().item()

for _ in range(4):
    make(5.0)
    before = step()
there, here = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    code = 1
    try:
        mine = make(1.0)
        os.write(there[1], b"x")
        os.read(here[0], 1)              # the parent has computed something of the same size
        code = 0 if float(mine[0, 0]) == 3.0 and step() != before else 2
    finally:
        os._exit(code)
os.read(there[0], 1)
mine = make(7.0)
os.write(here[1], b"x")
assert os.waitpid(pid, 0)[1] == 0
assert float(mine[0, 0]) == 21.0
assert net.weight.detach().sum().item() == before
print("same")
"""

# Forks while other threads record, run, differentiate and wait; from the first thread and others.
THREADS = """
import faulthandler, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
sys.setswitchinterval({switch})
import rushlight as T

shared = T.ones(4)
stop, hooked, leave = threading.Event(), threading.Event(), threading.Event()
made = {}
want = {k: ((T.full((4,), float(k)) * 2 + shared).tanh() - shared).tolist() for k in range(3)}

def work(k):
    x = T.full((4,), float(k))
    while not stop.is_set():
        made[k] = (x * 2 + shared).tanh() - shared          # pending there
        stop.wait(0.0005)

def differentiate():
    w = T.ones(2, requires_grad=True)
    def hook(g):
        made["hook"] = T.full((2,), 3.0) + 1                # pending in the middle of a backward
        hooked.set()
        leave.wait(100)
    w.register_hook(hook)
    (w * w).sum().backward()

def step():
    w = T.ones(3, requires_grad=True)
    (w * 3).sum().backward()
    return w.grad.tolist()

def child(out):
    out.append(step())
    out.append([made[k].tolist() for k in range(3)])
    out.append(made["hook"].tolist())

right = [[3.0] * 3, [want[k] for k in range(3)], [4.0, 4.0]]

def fork():
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(45)
        signal.alarm(60)                                    # a child that hangs is ended
        code = 1
        try:
            out, again = [], []
            child(out)
            t = threading.Thread(target=child, args=(again,), daemon=True)
            t.start()
            t.join(50)
            code = 0 if out == again == right else 2
            if code:
                print("in a child:", out, again, t.is_alive(), file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]

threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(3)]
threads.append(threading.Thread(target=differentiate, daemon=True))
for t in threads:
    t.start()
hooked.wait(60)
while len(made) < 4:
    time.sleep(0.001)
codes = [fork() for _ in range(3)]
t = threading.Thread(target=lambda: codes.extend([fork() for _ in range(2)]), daemon=True)
t.start()
t.join(100)
stop.set()
leave.set()
for t in threads:
    t.join(60)
    assert not t.is_alive()
assert codes == [0] * 5, codes
out = []
child(out)
assert out == right, out
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_has_memory_of_its_own(tmp_path: object) -> None:
    assert run(MEMORY, str(tmp_path)) == "same\n"


FIRST = """
import threading
import rushlight as T

made, box = threading.Event(), []

def work():
    made.wait(60)
    box.append(box[0].tolist())

t = threading.Thread(target=work, daemon=True)
t.start()                                # nothing has been recorded until now
box.append((T.ones(2) + 1) * 3)          # pending in the first recorder
made.set()
t.join(60)
assert box[1] == [6.0, 6.0]
print("same")
"""


def test_the_first_recorder_is_known_from_the_first_thread_on(tmp_path: object) -> None:
    assert run(FIRST, str(tmp_path)) == "same\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("switch", [1e-5, 5e-3])
def test_fork_beside_other_threads(switch: float, tmp_path: object) -> None:
    """The child has what threads it does not have were in the middle of."""
    assert run(THREADS.replace("{switch}", str(switch)), str(tmp_path)) == "same\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_started_afresh(method: str, tmp_path: object) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    assert run(SPAWN.replace("{method}", method), str(tmp_path)) == "same\n"
