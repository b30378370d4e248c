"""Captured steps: whatever happens between and in the calls, the values are those of plain runs."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.base.settings import override

Step = Callable[..., Any]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l1 = nn.Linear(5, 8)
        self.l2 = nn.Linear(8, 1)
        self.relu = nn.ReLU()
        self.scale = 1.0

    def forward(self, x: Any) -> Any:
        return self.l2(self.relu(self.l1(x))) * self.scale


class World:
    """A model, its optimiser, a step, and everything a program could look at afterwards."""

    def __init__(self, optimizer: Callable[[Any], Any], capture: bool) -> None:
        torch.manual_seed(0)
        self.net = Net()
        self.optimizer = optimizer(self.net.parameters())
        self.x = torch.randn(12, 5)
        self.y = torch.randn(12, 1)
        net, opt, criterion = self.net, self.optimizer, nn.MSELoss()

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            opt.step()
            return loss

        self.plain = step
        self.step: Any = torch.compile(step) if capture else step

    def seen(self) -> list[Any]:
        out = [p.tolist() for p in self.net.parameters()]
        out += [None if p.grad is None else p.grad.tolist() for p in self.net.parameters()]
        out += [p._version for p in self.net.parameters()]
        state = self.optimizer.state_dict()
        out.append([g["lr"] for g in state["param_groups"]])
        for own in state["state"].values():
            out.append({k: v.tolist() for k, v in own.items()})
        return out

    def replays(self) -> int:
        return sum(c.replays for c in self.step._step.captured)


def sgd(params: Any) -> Any:
    return torch.optim.SGD(params, lr=0.05)


OPTIMIZERS = {
    "sgd": sgd,
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


@pytest.fixture
def pair() -> tuple[World, World]:
    return World(sgd, False), World(sgd, True)


def both(worlds: tuple[World, World], act: Callable[[World], Any], times: int = 1) -> None:
    """Do the same in both worlds; what can be seen has to be the same."""
    for _ in range(times):
        a, b = (act(w) for w in worlds)
        assert same(a, b)
    assert same(worlds[0].seen(), worlds[1].seen())


def same(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)


def run(w: World) -> float:
    return float(w.step(w.x, w.y).item())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers(name: str) -> None:
    worlds = World(OPTIMIZERS[name], False), World(OPTIMIZERS[name], True)
    for _ in range(4):
        for _ in range(5):
            assert run(worlds[0]) == run(worlds[1])
        assert same([p.tolist() for p in worlds[0].net.parameters()],
                    [p.tolist() for p in worlds[1].net.parameters()])  # fmt: skip
    assert worlds[1].replays() > 10
    assert same(worlds[0].seen(), worlds[1].seen())


def test_a_replay_runs_no_python() -> None:
    count: list[str] = []

    class Counting(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    net, tail = Net(), Counting()
    opt = sgd(net.parameters())

    @torch.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = tail(net(x)).sum()
        loss.backward()
        opt.step()
        return loss

    x = torch.randn(3, 5)
    for _ in range(5):
        step(x)

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            count.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        step(x)
    finally:
        sys.setprofile(None)
    assert "forward" not in count and "step" not in count, step.capture_status()
    assert step.capture_status().startswith("captured")


def test_schedulers(pair: tuple[World, World]) -> None:
    schedulers = {id(w): torch.optim.lr_scheduler.ExponentialLR(w.optimizer, 0.9) for w in pair}

    def act(w: World) -> float:
        out = run(w)
        schedulers[id(w)].step()
        return out

    both(pair, act, 12)
    assert pair[1].replays() > 5


def test_batch_contents_and_sizes(pair: tuple[World, World]) -> None:
    for n in (12, 12, 12, 12, 7, 12, 7, 7, 7, 12, 3, 12, 7, 3, 3, 3, 3):
        torch.manual_seed(n)
        x, y = torch.randn(n, 5), torch.randn(n, 1)
        both(pair, lambda w, x=x, y=y: w.step(x, y).item())
    assert len(pair[1].step._step.captured) >= 2
    assert pair[1].replays() > 3, pair[1].step.capture_status()


def test_slices_and_views_as_arguments(pair: tuple[World, World]) -> None:
    data, target = torch.randn(60, 5), torch.randn(60, 1)
    for i in range(0, 60, 6):
        both(pair, lambda w, i=i: w.step(data[i : i + 6], target[i : i + 6]).item())
    assert pair[1].replays() > 4, pair[1].step.capture_status()
    wide = torch.randn(5, 12)
    both(pair, lambda w: w.step(wide.t(), w.y).item(), 6)


def test_what_is_done_to_parameters_between_calls(pair: tuple[World, World]) -> None:
    both(pair, run, 6)
    saved = copy.deepcopy(pair[0].net.state_dict())
    both(pair, run, 3)
    both(pair, lambda w: w.net.load_state_dict(saved))
    both(pair, run, 6)

    def data(w: World) -> None:
        w.net.l1.weight.data = torch.ones(8, 5) * 0.1

    both(pair, data)
    both(pair, run, 6)
    both(pair, lambda w: w.net.l1.weight.requires_grad_(False))
    both(pair, run, 6)
    both(pair, lambda w: w.net.l1.weight.requires_grad_(True))
    both(pair, run, 6)
    with torch.no_grad():
        both(pair, lambda w: w.net.l2.bias.add_(1.0).tolist())
    both(pair, run, 3)

    def swapped(w: World) -> None:
        w.net.l2 = nn.Linear(8, 1)
        with torch.no_grad():
            for p in w.net.l2.parameters():
                p.fill_(0.25)

    both(pair, swapped)
    both(pair, run, 6)


def test_gradients_between_calls(pair: tuple[World, World]) -> None:
    both(pair, run, 6)

    def doubled(w: World) -> list[float]:
        g = w.net.l2.weight.grad
        g.mul_(2)
        return list(g.tolist())

    both(pair, doubled)
    both(pair, run, 2)
    both(pair, lambda w: w.optimizer.zero_grad())
    both(pair, run, 6)
    kept = [w.net.l2.weight.grad for w in pair]
    before = kept[1].tolist()
    both(pair, run, 2)
    assert kept[1].tolist() == before  # a gradient the program holds is not written to


def test_losses_kept_by_the_caller(pair: tuple[World, World]) -> None:
    losses: list[list[Any]] = [[], []]
    for _ in range(12):
        for k, w in enumerate(pair):
            losses[k].append(w.step(w.x, w.y))
    assert same([t.item() for t in losses[0]], [t.item() for t in losses[1]])
    for t in losses[1]:
        assert t.requires_grad and not t.is_leaf
        with pytest.raises(RuntimeError, match="second time"):
            t.backward()


def test_accumulating_gradients() -> None:
    worlds = []
    for capture in (False, True):
        w = World(sgd, False)
        net, opt = w.net, w.optimizer

        def step(x: Any, y: Any, net: Any = net, opt: Any = opt) -> Any:
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            opt.step()
            return loss

        w.step = torch.compile(step) if capture else step
        worlds.append(w)
    pair = (worlds[0], worlds[1])
    both(pair, run, 10)
    assert worlds[1].replays() > 3
    both(pair, lambda w: w.optimizer.zero_grad())
    both(pair, run, 6)
    both(pair, lambda w: w.optimizer.zero_grad(set_to_none=False))
    both(pair, run, 6)


def test_two_groups_and_two_optimisers() -> None:
    worlds = []
    for capture in (False, True):
        w = World(
            lambda ps: torch.optim.Adam([{"params": list(ps)[:2]}, {"params": [], "lr": 0.5}]),
            False,
        )
        net = w.net
        w.optimizer.param_groups[1]["params"].append(net.l2.weight)
        first, second = w.optimizer, torch.optim.SGD([net.l2.bias], lr=0.1, momentum=0.5)

        def step(x: Any, y: Any, net: Any = net, a: Any = first, b: Any = second) -> Any:
            a.zero_grad()
            b.zero_grad()
            out = net(x)
            loss = ((out - y) ** 2).mean()
            loss.backward()
            a.step()
            b.step()
            return loss, out.detach()

        w.step = torch.compile(step) if capture else step
        worlds.append(w)

    def act(w: World) -> Any:
        loss, out = w.step(w.x, w.y)
        return loss.item(), out.tolist(), out.requires_grad

    both((worlds[0], worlds[1]), act, 10)
    assert worlds[1].replays() > 3, worlds[1].step.capture_status()


def test_two_captured_functions_share_a_model(pair: tuple[World, World]) -> None:
    steps = []
    for k, w in enumerate(pair):
        net, opt = w.net, w.optimizer

        def other(x: Any, net: Any = net, opt: Any = opt) -> Any:
            opt.zero_grad()
            loss = net(x).abs().mean()
            loss.backward()
            opt.step()
            return loss.item()

        steps.append(torch.compile(other) if k else other)

    def act(w: World) -> Any:
        return run(w), steps[pair.index(w)](w.x)

    both(pair, act, 10)
    assert pair[1].replays() > 5
    assert steps[1].capture_status().startswith("captured")  # type: ignore[attr-defined]


def test_errors_and_interrupts_in_the_middle(pair: tuple[World, World]) -> None:
    both(pair, run, 6)

    def wrong(w: World) -> str:
        with pytest.raises(RuntimeError) as info:
            w.step(torch.randn(4, 6), w.y)
        return str(info.value)

    both(pair, wrong)
    both(pair, run, 6)
    for w in pair:

        def stop(grad: Any) -> None:
            raise KeyboardInterrupt

        handle = w.net.l1.weight.register_hook(stop)
        with pytest.raises(KeyboardInterrupt):
            run(w)
        handle.remove()
    both(pair, run, 6)


def test_hooks_come_and_go(pair: tuple[World, World]) -> None:
    both(pair, run, 6)
    calls: dict[int, list[Any]] = {id(w): [] for w in pair}
    handles = [
        w.net.l1.register_forward_hook(lambda m, a, out, w=w: calls[id(w)].append(out.shape))
        for w in pair
    ]
    both(pair, run, 4)
    for h in handles:
        h.remove()
    handles = [w.net.l2.bias.register_hook(lambda g: g * 2) for w in pair]
    both(pair, run, 4)
    for h in handles:
        h.remove()
    handles = [
        w.optimizer.register_step_post_hook(lambda *a, w=w: calls[id(w)].append("step"))
        for w in pair
    ]
    both(pair, run, 4)
    for h in handles:
        h.remove()
    both(pair, run, 6)
    a, b = calls.values()
    assert len(a) == len(b) == 8


def test_attributes_modes_and_names(pair: tuple[World, World]) -> None:
    both(pair, run, 6)

    def scale(w: World) -> None:
        w.net.scale = 3.0

    both(pair, scale)
    both(pair, run, 5)
    both(pair, lambda w: w.net.eval().training)
    both(pair, run, 5)
    with torch.no_grad(), pytest.raises(RuntimeError):
        run(pair[1])
    both(pair, run, 5)
    with override(eager=True):
        both(pair, run, 2)
    with override(verify=True):
        both(pair, run, 2)
    both(pair, run, 2)


FLAG = 1.0


def test_a_global_changes() -> None:
    global FLAG
    out = []
    for capture in (False, True):
        FLAG = 1.0
        w = World(sgd, False)
        net, opt = w.net, w.optimizer

        def step(x: Any, net: Any = net, opt: Any = opt) -> Any:
            opt.zero_grad()
            loss = (net(x) * FLAG).sum()
            loss.backward()
            opt.step()
            return loss

        f: Any = torch.compile(step) if capture else step
        seen = []
        for i in range(14):
            if i == 7:
                FLAG = -2.0
            seen.append(f(w.x).item())
        out.append(seen)
    assert out[0] == out[1]
    assert f.capture_status().startswith("captured")


def test_arguments_that_are_no_tensors() -> None:
    out = []
    for capture in (False, True):
        w = World(sgd, False)
        net, opt = w.net, w.optimizer

        def step(
            batch: Any, weight: float, kind: str = "sum", net: Any = net, opt: Any = opt
        ) -> Any:
            opt.zero_grad()
            loss = net(batch["x"]) - batch["y"]
            loss = getattr_free(loss, kind) * weight
            loss.backward()
            opt.step()
            return {"loss": loss, "kind": kind}

        f: Any = torch.compile(step) if capture else step
        seen = []
        for i in range(24):
            weight = 0.5 if i < 12 else -0.0 if i < 18 else 0.0
            got = f({"x": w.x, "y": w.y}, weight, kind="sum" if i % 2 else "mean")
            seen.append((repr(got["loss"].item()), got["kind"]))
        out.append(seen)
    assert out[0] == out[1]
    assert f.capture_status().startswith("captured")


def getattr_free(loss: Any, kind: str) -> Any:
    return (loss * loss).sum() if kind == "sum" else (loss * loss).mean()


def test_writing_into_arguments_and_buffers() -> None:
    out = []
    for capture in (False, True):
        w = World(sgd, False)
        net, opt = w.net, w.optimizer
        mean = torch.zeros(5)

        def step(x: Any, count: Any, net: Any = net, opt: Any = opt, mean: Any = mean) -> Any:
            with torch.no_grad():
                mean.mul_(0.9).add_(x.mean(0) * 0.1)
                count.add_(1)
            opt.zero_grad()
            loss = (net(x - mean) ** 2).sum()
            loss.backward()
            opt.step()
            return loss

        f: Any = torch.compile(step) if capture else step
        count = torch.zeros(3)
        seen = []
        for i in range(10):
            x = w.x if i < 8 else mean.expand(2, 5)
            if i == 6:
                count = count[1:]
            seen.append((f(x, count).item(), mean.tolist(), count.tolist(), mean._version))
        out.append(seen)
    assert out[0] == out[1]


def test_an_argument_that_aliases_a_parameter(pair: tuple[World, World]) -> None:
    both(pair, run, 6)
    both(pair, lambda w: w.step(w.net.l1.weight.detach(), w.y[:8]).item(), 6)
    both(pair, lambda w: w.step(w.net.l1.weight, w.y[:8]).item(), 3)
    both(pair, run, 3)


def test_numpy_memory(pair: tuple[World, World]) -> None:
    array = np.arange(60, dtype=np.float32).reshape(12, 5) / 60
    x = torch.from_numpy(array)
    both(pair, lambda w: w.step(x, w.y).item(), 6)
    array *= 0.5
    both(pair, lambda w: w.step(x, w.y).item(), 3)
    both(pair, run, 6)
    views = [w.net.l2.weight.detach().numpy() for w in pair]
    both(pair, run, 3)
    assert same(views[0].tolist(), views[1].tolist())  # they show what was written since
    assert same(views[1].tolist(), pair[1].net.l2.weight.tolist())
    for v in views:
        v += 1
    both(pair, run, 3)
    del views, v
    both(pair, run, 8)
    assert pair[1].replays() > 5


def test_pending_work_around_a_call(pair: tuple[World, World]) -> None:
    total = {id(w): torch.zeros(()) for w in pair}

    def act(w: World) -> float:
        x = w.x * 0.5 + 0.1
        loss = w.step(x, w.y)
        total[id(w)] = total[id(w)] + loss.detach()
        counts[id(w)] += 1
        return float(total[id(w)].item()) if counts[id(w)] % 3 == 0 else float(loss.item())

    counts = {id(w): 0 for w in pair}
    both(pair, act, 12)
    assert pair[1].replays() > 5


def test_threads(pair: tuple[World, World]) -> None:
    both(pair, run, 6)

    def elsewhere(w: World) -> float:
        got: list[float] = []
        thread = threading.Thread(target=lambda: got.append(run(w)))
        thread.start()
        thread.join()
        return got[0]

    both(pair, elsewhere, 3)
    both(pair, run, 6)


def test_default_dtype(pair: tuple[World, World]) -> None:
    both(pair, run, 6)
    torch.set_default_dtype(torch.float64)
    try:
        both(pair, run, 4)
    finally:
        torch.set_default_dtype(torch.float32)
    both(pair, run, 4)


@pytest.fixture(autouse=True)
def whole() -> Iterator[None]:
    yield
    assert torch.get_default_dtype() is torch.float32
