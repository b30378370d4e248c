"""Long runs at bounded memory: programs that repeat for ever, and programs that never do.

    python scripts/soak.py classifier --steps 1000000
    python scripts/soak.py tree --steps 100000 --framework torch

Prints the resident memory and what is kept while a program runs, and the time of a step. Each
program is written against PyTorch's API and takes the framework as an argument, so that PyTorch
runs the very same.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[int], Any]
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def classifier(torch: Any) -> Step:
    """The same step for ever: a 5-8-4-1 classifier."""
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(
        nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid()
    )
    x = torch.randn(100, 5)
    y = (x.sum(1) > 0).float()
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(_: int) -> Any:
        optimizer.zero_grad()
        loss = criterion(net(x).view(100), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def batches(torch: Any) -> Step:
    """200 batch sizes in turn."""
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.randn(300, 5)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    def step(i: int) -> Any:
        n = 50 + i * 7 % 200
        optimizer.zero_grad()
        loss = (net(x[:n]) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def sequence(torch: Any) -> Step:
    """Attention over a cache that grows by one row a step; sizes come again in other company."""
    torch.manual_seed(0)
    state: dict[str, Any] = {"length": 0, "width": 7, "last": 0}

    def step(i: int) -> Any:
        if i == 0 or state["length"] >= state["last"]:
            state["width"] = w = 8 + state["width"] * 5 % 57
            state["last"] = 100 + i * 13 % 89
            state["q"], state["k"], state["v"] = (torch.randn(w, w) for _ in range(3))
            state["keys"] = state["values"] = torch.zeros(0, w)
            state["x"] = torch.randn(1, w)
            state["length"] = 0
        x = state["x"]
        state["keys"] = torch.cat([state["keys"], x @ state["k"]])
        state["values"] = torch.cat([state["values"], x @ state["v"]])
        weights = ((x @ state["q"]) @ state["keys"].t() / state["width"] ** 0.5).softmax(-1)
        state["x"] = x = (weights @ state["values"]).tanh() + 0.1 * x
        state["length"] += 1
        return x.sum().item()

    return step


def tree(torch: Any) -> Step:
    """A random expression of Python's making each step, and its gradient."""
    torch.manual_seed(0)
    r = random.Random(0)
    w = torch.randn(6, 4, requires_grad=True)
    inputs = [torch.randn(6, 4) for _ in range(4)]
    two = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, torch.maximum]
    one = [torch.tanh, torch.relu, torch.sigmoid, lambda a: a * 0.5, torch.exp, lambda a: -a]

    def expression(depth: int) -> Any:
        kind = r.random()
        if depth == 0 or kind < 0.1:
            return w if r.random() < 0.4 else r.choice(inputs)
        if kind < 0.55:
            return r.choice(one)(torch.tanh(expression(depth - 1)))
        return r.choice(two)(expression(depth - 1), expression(depth - 1))

    def step(_: int) -> Any:
        w.grad = None
        loss = (expression(5) * w).sum()
        loss.backward()
        return loss.item()

    return step


def ragged(torch: Any) -> Step:
    """Training on batches whose two sizes do not come again."""
    torch.manual_seed(0)
    nn = torch.nn
    r = random.Random(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x = torch.randn(400, 300, 8)

    def step(_: int) -> Any:
        n, m = r.randrange(1, 60), r.randrange(1, 300)
        optimizer.zero_grad()
        out = net(x[:n, :m])
        loss = torch.nn.functional.cross_entropy(
            out.reshape(n * m, 4), torch.zeros(n * m, dtype=torch.int64)
        )
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def shapes(torch: Any) -> Step:
    """A few operations on a shape that was never there before."""
    torch.manual_seed(0)

    def step(i: int) -> Any:
        x = torch.ones(1 + i % 331, 1 + i // 331)
        return ((x * 2 + 1).relu() - x).sum().item()

    return step


PROGRAMS = {f.__name__: f for f in (classifier, batches, sequence, tree, ragged, shapes)}


def resident() -> float:
    """MiB of memory in use now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE / 2**20


def kept() -> str:
    """What the framework keeps, in words."""
    core = sys.modules.get("rushlight.engine.core")
    if core is None:
        return ""
    e = core.MAIN
    jit: Any = sys.modules["rushlight.runtime.jit"]
    made = [*jit._LIBRARIES.values(), *jit._PASSING.values()]
    code = sum(library.size for library in made)
    return (
        f"{e.nrec:6d} records, {e.misses:8d} misses, {e.nplan:7d} plans made, "
        f"{len(made):5d} libraries of {code / 2**20:6.1f} MiB"
    )


def main() -> None:
    """Runs one program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--framework", default="rushlight")
    parser.add_argument("--looks", type=int, default=10, help="how often memory is looked at")
    given = parser.parse_args()
    torch = importlib.import_module(given.framework)
    if given.framework == "torch":
        torch.set_num_threads(1)
    step = PROGRAMS[given.program](torch)
    block = max(1, given.steps // given.looks)
    done, total = 0, 0.0
    print(f"{given.program} under {given.framework}: {resident():.1f} MiB before the first step")
    while done < given.steps:
        begin = time.process_time()
        for i in range(done, min(done + block, given.steps)):
            step(i)
        spent = time.process_time() - begin
        total += spent
        done = min(done + block, given.steps)
        print(
            f"{done:9d} steps  {resident():8.1f} MiB  {spent / block * 1e6:8.1f} us  {kept()}",
            flush=True,
        )
    print(f"{total / given.steps * 1e6:.1f} us of processor time a step")


if __name__ == "__main__":
    main()
