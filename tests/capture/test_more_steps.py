"""Steps of other shapes, and worlds that change between calls: always what plain runs give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight import nn


class Net(nn.Module):
    factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.last(torch.tanh(self.norm(self.first(x)))) * self.factor


def other_forward(self: Any, x: Any) -> Any:
    return self.last(self.first(x))


def helper(v: Any) -> Any:
    return v.square().mean()


def clipping(net: Any, ema: Any, opt: Any, x: Any) -> Any:
    opt.zero_grad()
    loss = helper(net(x))
    loss.backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), 0.1)
    opt.step()
    return loss, norm


def averaging(net: Any, ema: Any, opt: Any, x: Any) -> Any:
    opt.zero_grad()
    loss = helper(net(x))
    loss.backward()
    opt.step()
    with torch.no_grad():
        for e, p in zip(ema.parameters(), net.parameters()):
            e.mul_(0.9).add_(p, alpha=0.1)
    return loss


def retaining(net: Any, ema: Any, opt: Any, x: Any) -> Any:
    opt.zero_grad(set_to_none=False)
    loss = helper(net(x)) * 0.5
    loss.backward(retain_graph=True)
    opt.step()
    return loss


def two_losses(net: Any, ema: Any, opt: Any, x: Any) -> Any:
    opt.zero_grad()
    out = net(x)
    helper(out).backward(retain_graph=True)
    out.abs().sum().backward()
    opt.step()
    return out


def several_steps(net: Any, ema: Any, opt: Any, x: Any) -> Any:
    total = torch.zeros(())
    for part in (x[:3], x[3:]):
        opt.zero_grad()
        loss = helper(net(part))
        loss.backward()
        opt.step()
        total = total + loss.detach()
    return total


BODIES = [clipping, averaging, retaining, two_losses, several_steps]


def worlds(body: Callable[..., Any], times: int, change: Callable[[int, Any], None]) -> str:
    """Run plainly and compiled, changing the world between calls; what the compiled one says."""
    results = []
    said = ""
    for capture in (False, True):
        torch.manual_seed(0)
        net, ema = Net(), Net()
        opt = torch.optim.Adam(net.parameters(), lr=0.01)
        x = torch.randn(6, 3)

        def step(x: Any, net: Any = net, ema: Any = ema, opt: Any = opt) -> Any:
            return body(net, ema, opt, x)

        f: Any = torch.compile(step) if capture else step
        seen: list[Any] = []
        for k in range(times):
            change(k, net)
            out = f(x)
            for t in out if isinstance(out, tuple) else (out,):
                seen.append((t.tolist(), t.requires_grad, t.is_leaf))
            x.add_(0.01)
            if k % 5 == 4:
                seen.append([p.tolist() for p in (*net.parameters(), *ema.parameters())])
                seen.append([b.tolist() for b in net.buffers()])
                seen.append([None if p.grad is None else p.grad.tolist() for p in net.parameters()])
            if body is retaining and k % 3 == 2:
                out.backward()
                seen.append([p.grad.tolist() for p in net.parameters()])
        results.append(seen)
        if capture:
            said = f.capture_status()
    assert repr(results[0]) == repr(results[1])
    return said


@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
def test_bodies(body: Callable[..., Any]) -> None:
    said = worlds(body, 12, lambda k, net: None)
    if body is not several_steps:  # two steps of one Adam in a call are counted one by one
        assert said.startswith("captured"), said


def test_patched_classes_and_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(k: int, net: Any) -> None:
        if k == 0:
            monkeypatch.undo()
        if k == 6:
            monkeypatch.setattr(Net, "factor", 2.0)
        if k == 12:
            monkeypatch.setattr(Net, "forward", other_forward)
        if k == 18:
            monkeypatch.setitem(globals(), "helper", lambda v: v.abs().sum())

    worlds(averaging, 24, change)


def test_evaluation_between_steps() -> None:
    def change(k: int, net: Any) -> None:
        if k % 4 == 0:
            net.eval()
            net(torch.ones(2, 3)).sum().item()
            net.train()

    worlds(clipping, 30, change)


def test_names_rebound() -> None:
    results = []
    for capture in (False, True):
        torch.manual_seed(0)
        net = Net()
        opt: Any = torch.optim.SGD(net.parameters(), lr=0.1)
        x = torch.randn(6, 3)

        def step() -> Any:
            opt.zero_grad()
            loss = helper(net(x))
            loss.backward()
            opt.step()
            return loss.item()

        f: Any = torch.compile(step) if capture else step
        seen = []
        for k in range(20):
            if k == 6:
                opt = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.5)
            if k == 12:
                x = x * 2
            if k == 16:
                opt.param_groups[0]["lr"] = 0.01
            seen.append(f())
        results.append(seen)
    assert results[0] == results[1]
