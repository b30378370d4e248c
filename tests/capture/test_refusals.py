"""What makes a step run as it is, and what is said about it."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight import nn

LOG: list[Any] = []
RATES = {"weight": 2.0}


class Config:
    """An ordinary object that a step reads."""

    def __init__(self) -> None:
        self.weight = 1.0
        self.names = ["a"]


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return self.layer(x)


CONFIG = Config()


class Setting:
    """A small model with its optimiser."""

    def __init__(self, net: Any = None) -> None:
        torch.manual_seed(0)
        self.net = nn.Linear(3, 1) if net is None else net
        self.opt = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.x = torch.randn(4, 3)


def status(make: Callable[[Setting], Any], calls: int = 6, net: Any = None) -> str:
    """What a compiled step says after some calls, and that it computed what the plain one does."""
    results = []
    for capture in (False, True):
        LOG.clear()
        random.seed(0)
        s = Setting(None if net is None else net())
        step = make(s)
        f = torch.compile(step) if capture else step
        torch.manual_seed(1)
        out = [f(s.x) for _ in range(calls)]
        values = [v.item() if isinstance(v, torch.Tensor) else v for v in out]
        results.append((values, [p.tolist() for p in s.net.parameters()], len(LOG)))
    assert repr(results[0]) == repr(results[1])
    said: str = f.capture_status()
    return said


def with_body(body: Callable[[Setting, Any], Any]) -> Callable[[Setting], Any]:
    """A step whose loss comes from ``body``."""

    def make(s: Setting) -> Any:
        net, opt = s.net, s.opt

        def step(x: Any) -> Any:
            opt.zero_grad()
            loss = body(net, x)
            loss.backward()
            opt.step()
            return loss

        return step

    return make


def printing(net: Any, x: Any) -> Any:
    loss = net(x).sum()
    print("loss", end="")
    return loss


def logging(net: Any, x: Any) -> Any:
    loss = net(x).sum()
    LOG.append(1)
    return loss


def extending(net: Any, x: Any) -> Any:
    log = LOG
    log += [1]
    return net(x).sum()


def reading(net: Any, x: Any) -> Any:
    loss = net(x).sum()
    if loss.item() > 1e9:
        loss = loss * 2
    return loss


def deciding(net: Any, x: Any) -> Any:
    loss = net(x).sum()
    return loss if loss > 0 else -loss


def timing(net: Any, x: Any) -> Any:
    return net(x).sum() * (1.0 if time.time() > 0 else 2.0)


def drawing(net: Any, x: Any) -> Any:
    return net(x).sum() * random.random()


def dropping(net: Any, x: Any) -> Any:
    return nn.functional.dropout(net(x), 0.5).sum()


def noisy(net: Any, x: Any) -> Any:
    return (net(x) + torch.randn(4, 1)).sum()


def remembering(net: Any, x: Any) -> Any:
    CONFIG.weight = 1.0
    return net(x).sum()


def counting(net: Any, x: Any) -> Any:
    global COUNT
    COUNT = 1
    return net(x).sum()


def from_data(net: Any, x: Any) -> Any:
    return (net(x) * torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1)).sum()


def importing(net: Any, x: Any) -> Any:
    import os

    return net(x).sum() * len(os.sep)


def closing(net: Any, x: Any) -> Any:
    def inner(v: Any) -> Any:
        return v.sum()

    return inner(net(x))


def looking(net: Any, x: Any) -> Any:
    return net(x).sum() * float(id(x) > 0)


COUNT = 0

REFUSED = {
    printing: "calls print|uses print",
    logging: "changes a list",
    extending: "changes a list",
    reading: "reads a value in its middle",
    deciding: "reads a value in its middle",
    timing: "calls time|uses the module time",
    drawing: "uses the module random|calls",
    dropping: "draws random numbers",
    noisy: "draws random numbers",
    remembering: "sets CONFIG.weight",
    counting: "sets global names|sets COUNT",
    from_data: "data of Python",
    importing: "imports a module",
    closing: "makes a function",
    looking: "calls id|uses id",
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda f: f.__name__)
def test_refused(body: Callable[[Any, Any], Any], capsys: pytest.CaptureFixture[str]) -> None:
    said = status(with_body(body))
    assert said.startswith("not captured: ")
    assert re.search(REFUSED[body], said), said
    if body is not from_data:
        assert "test_refusals.py:" in said, said


def test_a_module_that_counts_its_calls() -> None:
    said = status(with_body(lambda_free), net=Counted)
    assert "sets self.calls" in said


def lambda_free(net: Any, x: Any) -> Any:
    return net(x).sum()


def plain(net: Any, x: Any) -> Any:
    total = 0.0
    for k in range(3):
        total = total + k * CONFIG.weight
    parts = [net(x[i : i + 2]) for i in (0, 2)]
    parts.append(net(x))
    return torch.cat(parts).pow(2).mean() * math.sqrt(4.0) * RATES["weight"] + total


def mapped(net: Any, x: Any) -> Any:
    out = {name: p.square().sum() for name, p in net.named_parameters()}
    return net(x).sum() + 0.1 * sum(out.values())


def in_training_mode(net: Any, x: Any) -> Any:
    net.train()
    return net(x).sum()


def without_grad(net: Any, x: Any) -> Any:
    with torch.no_grad():
        offset = x.mean()
    return (net(x) - offset).square().mean()


@pytest.mark.parametrize(
    "body", [plain, mapped, without_grad, in_training_mode, lambda_free], ids=lambda f: f.__name__
)
def test_captured(body: Callable[[Any, Any], Any]) -> None:
    said = status(with_body(body), 9)
    assert said.startswith("captured"), said


def test_what_captured_steps_rest_on() -> None:
    results = []
    for capture in (False, True):
        s = Setting()
        CONFIG.weight = 1.0
        RATES["weight"] = 2.0
        step = with_body(plain)(s)
        f = torch.compile(step) if capture else step
        values = []
        for k in range(30):
            if k == 6:
                CONFIG.weight = 3.0
            if k == 14:
                RATES["weight"] = 0.5
            values.append(f(s.x).item())
        results.append(values)
    assert results[0] == results[1]
    CONFIG.weight = 1.0
    RATES["weight"] = 2.0


def test_no_step_and_no_source() -> None:
    net = nn.Linear(3, 1)

    @torch.compile
    def loss(x: Any) -> Any:
        return net(x).sum()

    x = torch.randn(2, 3)
    for _ in range(5):
        loss(x).backward()
    assert "no optimiser takes a step" in loss.capture_status()
    space: dict[str, Any] = {}
    exec("def double(x, opt):\n    opt.zero_grad()\n    return x * 2\n", space)
    double = torch.compile(space["double"])
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        assert double(x, opt).tolist() == (x * 2).tolist()
    assert double.capture_status().startswith("not captured")


def test_numbers_returned() -> None:
    def make(s: Setting) -> Any:
        net, opt = s.net, s.opt

        def step(x: Any) -> tuple[float, float]:
            opt.zero_grad()
            out = net(x)
            loss = (out * out).mean()
            loss.backward()
            opt.step()
            return loss.item(), float(out.sum())

        return step

    assert status(make, 9).startswith("captured")


def test_functions_look_like_themselves() -> None:
    @torch.compile
    def named(x: Any, *, y: int = 2) -> Any:
        """What it says."""
        return x * y

    assert named.__name__ == "named" and named.__doc__ == "What it says."
    assert named(torch.ones(1), y=3).item() == 3.0

    class Trainer:
        def __init__(self) -> None:
            self.s = Setting()

        @torch.compile
        def step(self, x: Any) -> Any:
            self.s.opt.zero_grad()
            loss = self.s.net(x).square().mean()
            loss.backward()
            self.s.opt.step()
            return loss

    a, b = Trainer(), Trainer()
    for _ in range(10):
        assert a.step(a.s.x).item() == b.step(b.s.x).item()
    assert Trainer.step.capture_status().startswith("captured"), Trainer.step.capture_status()


def test_compiled_modules() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    made: Any = torch.compile(net)
    assert isinstance(made, nn.Module) and made._orig_mod is net
    assert next(iter(made.state_dict())) == "_orig_mod.0.weight"
    x = torch.randn(2, 3)
    assert made(x).tolist() == net(x).tolist()
    made.eval()
    assert not net.training and not made.training
    made.tag = 5
    assert net.tag == 5 and made.tag == 5  # type: ignore[comparison-overlap]
    assert len(list(made.parameters())) == 2
    made.load_state_dict(made.state_dict())
