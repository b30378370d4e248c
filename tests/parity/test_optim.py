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
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.3, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 6e-3}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.9, 0.8), "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.5, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.6, 1.5), "step_sizes": (0.05, 0.3), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "t0": 3, "lambd": 0.1, "weight_decay": 0.1}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "d": 1.5, "eps": (1e-8, 1e-2), "weight_decay": 0.1}),
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


NAMES = [*dict.fromkeys(name for name, _ in CASES), "LBFGS", "Muon", "SparseAdam", "lr_scheduler",
         "swa_utils"]  # fmt: skip
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
    "Adamax([p], betas=(1., .9))", "NAdam([p], momentum_decay=-1)", "RAdam([p], eps=-1)",
    "Adadelta([p], rho=2)", "Rprop([p], etas=(2., .5))", "ASGD([p], weight_decay=-1)",
    "Adafactor([p], beta2_decay=1)", "Adafactor([p], d=0)", "Muon([p])", "Muon([p], momentum=-1)",
    "Muon([p], adjust_lr_fn='x')", "LBFGS([{'params': [p]}, {'params': [q]}])",
    "LBFGS([p], lr=-1)", "SparseAdam([p], lr=0)", "Adam([p], lr=t, foreach=True)",
    "Adam([p], betas=(t, t), foreach=True)", "swa_utils.SWALR(o, .1, -1)",
    "swa_utils.SWALR(o, .1, 3, 'x')", "swa_utils.SWALR(o, [.1, .2])",
    "swa_utils.get_ema_avg_fn(2)",
    "lr_scheduler.ChainedScheduler([])", "lr_scheduler.CosineAnnealingWarmRestarts(o, 0)",
]  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    found = []
    for module in (rushlight, torch):
        p = module.ones(2, requires_grad=True)
        q = module.ones(2, requires_grad=True)
        names = {"p": p, "q": q, "t": module.tensor(0.5), "o": module.optim.SGD([p])}
        names |= {n: getattr(module.optim, n) for n in NAMES}
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


def averaged(module, how, use_buffers):
    """An averaged model after some updates, and the rates of an annealed schedule."""
    module.manual_seed(0)
    model = module.nn.Sequential(module.nn.Linear(3, 4), module.nn.BatchNorm1d(4))
    utils = module.optim.swa_utils
    settings = {
        "equal": {},
        "multi": {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
        "ema": {"avg_fn": utils.get_ema_avg_fn(0.9)},
        "multi ema": {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.9)},
    }[how]
    mean = utils.AveragedModel(model, use_buffers=use_buffers, **settings)
    optimizer = module.optim.SGD(model.parameters(), lr=0.1)
    schedule = utils.SWALR(optimizer, 0.05, 4, "linear" if use_buffers else "cos")
    rates = []
    for _ in range(6):
        optimizer.zero_grad()
        x = module.randn(8, 3)
        ((model(x) - x.sum(1, keepdim=True)) ** 2).sum().backward()
        optimizer.step()
        mean.update_parameters(model)
        schedule.step()
        rates.append(schedule.get_last_lr())
    utils.update_bn([module.randn(8, 3), [module.randn(8, 3), 1]], mean)
    return mean.state_dict(), rates, sorted(k for k in schedule.state_dict() if k[0] != "_")


# With buffers "multi" fails in PyTorch: it does not divide integers in place.
@pytest.mark.parametrize(
    ("how", "use_buffers"),
    [(h, b) for h in ("equal", "multi", "ema", "multi ema") for b in (False, True)
     if (h, b) != ("multi", True)],
)  # fmt: skip
def test_averages(how, use_buffers):
    ours, theirs = averaged(rushlight, how, use_buffers), averaged(torch, how, use_buffers)
    assert ours[1:] == theirs[1:]
    assert list(ours[0]) == list(theirs[0])
    for name, value in ours[0].items():
        np.testing.assert_allclose(value.numpy(), theirs[0][name].numpy(), 1e-5, 1e-6)


def rosenbrock(module, settings):
    """Where L-BFGS gets to in the narrow valley, and what it remembers."""
    p = module.tensor([-1.5, 2.0], dtype=module.float64, requires_grad=True)
    optimizer = module.optim.LBFGS([p], **settings)

    def closure():
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(4)]
    return p.tolist(), losses, optimizer.state_dict()["state"][0]


@pytest.mark.parametrize(
    "settings",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 7},
        {"lr": 1e-3},
        {"line_search_fn": "strong_wolfe", "max_eval": 9, "lr": 0.5},
    ],
)
def test_lbfgs(settings):
    ours, theirs = rosenbrock(rushlight, settings), rosenbrock(torch, settings)
    np.testing.assert_allclose(ours[0], theirs[0], 1e-6)
    np.testing.assert_allclose(ours[1], theirs[1], 1e-6, 1e-12)
    assert list(ours[2]) == list(theirs[2])
    assert ours[2]["func_evals"] == theirs[2]["func_evals"]
    assert ours[2]["n_iter"] == theirs[2]["n_iter"]
