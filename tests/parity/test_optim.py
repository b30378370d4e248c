"""Optimisers and schedules beside PyTorch: the same trainings, states and errors."""

import warnings

import numpy as np
import pytest
import torch

import rushlight

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.01, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.3, 0.9), "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "lr": 0.05}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"maximize": True, "amsgrad": True, "lr": 0.01}),
    ("Adagrad", {}),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.1},
    ),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.9, "weight_decay": 0.01}),
    ("RMSprop", {"momentum": 0.5}),
]
WAYS = ["plain", "reload", "skip"]


def trained(module, name, settings, way, steps=12):
    """Three parameters in two groups after some steps; `skip`: each misses some gradients."""
    module.manual_seed(0)
    ps = [module.randn(n, requires_grad=True) for n in ((3, 4), (5,), (2,))]
    make = getattr(module.optim, name)
    opt = make([{"params": ps[:2]}, {"params": ps[2:], "lr": 0.02}], **settings)
    for i in range(steps):
        opt.zero_grad()
        loss = 0
        for j, p in enumerate(ps):
            if not (way == "skip" and i % 3 == j):
                loss = loss + ((p * (j + 1)).sin() ** 2).sum() + (p**3).sum() * 0.1
        loss.backward()
        opt.step()
        if way == "reload" and i == 6:
            state = opt.state_dict()
            opt = make([{"params": ps[:2]}, {"params": ps[2:]}], **settings)
            opt.load_state_dict(state)
    return ps, opt


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)]
)
def test_trainings(name, settings, way):
    ours, mine = trained(rushlight, name, settings, way)
    theirs, other = trained(torch, name, settings, way)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-5, 2e-6)
    assert repr(mine) == repr(other)
    a, b = mine.state_dict(), other.state_dict()
    assert a["param_groups"] == b["param_groups"]
    assert a["state"].keys() == b["state"].keys()
    for key, state in a["state"].items():
        assert list(state) == list(b["state"][key])
        for part, value in state.items():
            assert str(value.dtype) == str(b["state"][key][part].dtype)
            np.testing.assert_allclose(value.numpy(), b["state"][key][part].numpy(), 1e-4, 1e-5)


ERRORS = [
    "SGD([])", "SGD(p)", "SGD([p], lr=-1)", "SGD([p], momentum=-1)", "SGD([p], weight_decay=-1)",
    "SGD([p], nesterov=True)", "Adam([p], betas=(1., .9))", "Adam([p], betas=(.5, -1.))",
    "Adam([p], eps=-1)", "Adam([p], lr=-1)", "Adam([p], weight_decay=-1)",
    "Adam([p], betas=(0, .9))",
    "Adagrad([p], lr_decay=-1)", "Adagrad([p], initial_accumulator_value=-1)",
    "RMSprop([p], alpha=-1)", "RMSprop([p], momentum=-1)", "SGD([p, p * 2])", "SGD([3])",
    "SGD([{'params': {p}}])", "SGD([{'params': [p]}, {'params': [p]}])", "SGD([('a', p)])",
    "SGD([('a', p), p])", "SGD([p], fused=True, foreach=True)",
    "SGD([p]).load_state_dict({'state': {}, 'param_groups': []})",
    "SGD([p]).load_state_dict({'state': {}, 'param_groups': [{'params': [0, 1]}]})",
    "lr_scheduler.StepLR(3, 1)", "lr_scheduler.ConstantLR(o, 2)", "lr_scheduler.LinearLR(o, 0)",
    "lr_scheduler.LambdaLR(o, [1, 2])", "lr_scheduler.MultiplicativeLR(o, 3)",
    "lr_scheduler.StepLR(o, 1, last_epoch=3)", "lr_scheduler.OneCycleLR(o, 1)",
    "lr_scheduler.OneCycleLR(o, 1, 0)", "lr_scheduler.OneCycleLR(o, 1, 5, pct_start=2)",
    "lr_scheduler.OneCycleLR(o, [1, 2], 5)", "lr_scheduler.CyclicLR(o, 1, 2, mode='x')",
    "lr_scheduler.ReduceLROnPlateau(o, 'x')", "lr_scheduler.ReduceLROnPlateau(o, factor=2)",
    "lr_scheduler.ReduceLROnPlateau(o, min_lr=[1, 2])", "lr_scheduler.SequentialLR(o, [], [])",
    "lr_scheduler.ChainedScheduler([])", "lr_scheduler.CosineAnnealingWarmRestarts(o, 0)",
]  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    found = []
    for module in (rushlight, torch):
        p = module.ones(2, requires_grad=True)
        names = {"p": p, "o": module.optim.SGD([p]), "lr_scheduler": module.optim.lr_scheduler}
        names |= {
            n: getattr(module.optim, n) for n in ("SGD", "Adam", "AdamW", "Adagrad", "RMSprop")
        }
        try:
            found.append(repr(eval(text, names)))
        except Exception as error:
            found.append((type(error).__name__, str(error)))
    assert found[0] == found[1]


def step_by_step(i):
    """A measure that gets better, then does not."""
    return 3 - i * 0.5 if i < 5 else 1 + i % 2 * 0.1


SCHEDULES = [
    ("StepLR(opt, 4)", None), ("MultiStepLR(opt, [3, 3, 9], .5)", None), ("ConstantLR(opt)", None),
    ("LinearLR(opt, .1, .7, 9)", None), ("ExponentialLR(opt, .9)", None),
    ("PolynomialLR(opt, 9, 2.)", None), ("CosineAnnealingLR(opt, 7, .01)", None),
    ("LambdaLR(opt, lambda e: .9 ** e)", None), ("LambdaLR(opt, [lambda e: .9 ** e] * 2)", None),
    ("MultiplicativeLR(opt, lambda e: .9)", None), ("CosineAnnealingWarmRestarts(opt, 5, 2)", None),
    ("CosineAnnealingWarmRestarts(opt, 5, 2)", lambda i: i * 0.7),
    ("CyclicLR(opt, .01, .1, 5)", None), ("CyclicLR(opt, .01, .1, 5, 3, 'triangular2')", None),
    ("CyclicLR(opt, .01, [.1, .2], 5, 3, 'exp_range', .99)", None),
    ("CyclicLR(opt, .01, .1, 5, scale_fn=lambda x: .5)", None), ("OneCycleLR(opt, .5, 20)", None),
    ("OneCycleLR(opt, .5, 40, three_phase=True, anneal_strategy='linear')", None),
    ("OneCycleLR(opt, [.5, .3], epochs=5, steps_per_epoch=8, cycle_momentum=False)", None),
    ("OneCycleLR(adam, .5, 40)", None),
    ("SequentialLR(opt, [ConstantLR(opt, .1, 5), ExponentialLR(opt, .9), StepLR(opt, 3)], "
     "[5, 12])", None),
    ("ChainedScheduler([ConstantLR(opt, .1, 5), ExponentialLR(opt, .9)])", None),
    ("SequentialLR(opt, [LinearLR(opt, .1, 1., 5), CosineAnnealingLR(opt, 20)], [5])", None),
    ("ReduceLROnPlateau(opt, patience=2, cooldown=1)", step_by_step),
    ("ReduceLROnPlateau(opt, 'max', .5, 1, threshold_mode='abs')", lambda i: i % 4),
    ("StepLR(opt, 4)", lambda i: i * 2), ("LinearLR(opt)", lambda i: i),
]  # fmt: skip


def course(module, text, argument, reload):
    """The settings of both groups at every epoch, and the schedule's state at the end."""
    ps = [module.ones(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.3}]
    opt = module.optim.Adam(groups, lr=0.1) if "adam" in text else None
    opt = opt or module.optim.SGD(groups, lr=0.1, momentum=0.5)
    names = vars(module.optim.lr_scheduler) | {"opt": opt, "adam": opt}
    schedule = eval(text, names)
    out = []
    for i in range(30):
        opt.step()
        try:
            schedule.step(*([argument(i)] if argument else []))
        except ValueError as error:
            out.append(str(error))
            break
        out.append([(g["lr"], g.get("momentum", g.get("betas"))) for g in opt.param_groups])
        out.append(schedule.get_last_lr())
        if reload and i == 7:
            state = schedule.state_dict()
            schedule = eval(text, names)
            schedule.load_state_dict(state)
    return out, {k: v for k, v in schedule.state_dict().items() if not k.startswith("_s")}


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize(("text", "argument"), SCHEDULES)
def test_schedules(text, argument, reload):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = course(rushlight, text, argument, reload)
        theirs = course(torch, text, argument, reload)
    assert ours == theirs
