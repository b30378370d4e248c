"""Schedules: their rates, the warning about the order of calls, states."""

import math
import warnings

import pytest

import rushlight as torch
from rushlight import optim
from rushlight.optim import lr_scheduler as S


def optimizer(lr=1.0, **settings):
    return optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, **settings)


def rates(schedule, opt, n):
    """The rate at epochs 0 to n."""
    out = [opt.param_groups[0]["lr"]]
    for _ in range(n):
        opt.step()
        schedule.step()
        out.append(opt.param_groups[0]["lr"])
    return out


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: S.StepLR(o, 2, 0.5), lambda t: 0.5 ** (t // 2)),
        (lambda o: S.MultiStepLR(o, [1, 4], 0.1), lambda t: 0.1 ** ((t >= 1) + (t >= 4))),
        (lambda o: S.ExponentialLR(o, 0.9), lambda t: 0.9**t),
        (lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 1 / (1 + t)),
        (lambda o: S.ConstantLR(o, 0.5, 3), lambda t: 0.5 if t < 3 else 1.0),
        (lambda o: S.LinearLR(o, 0.2, 1.0, 4), lambda t: 0.2 + 0.8 * min(t, 4) / 4),
        (lambda o: S.PolynomialLR(o, 5, 2.0), lambda t: (1 - min(t, 5) / 5) ** 2),
        (lambda o: S.CosineAnnealingLR(o, 6), lambda t: (1 + math.cos(math.pi * t / 6)) / 2),
        (
            lambda o: S.CosineAnnealingWarmRestarts(o, 3),
            lambda t: (1 + math.cos(math.pi * (t % 3) / 3)) / 2,
        ),
    ],
)
def test_rates(make, expected):
    opt = optimizer()
    found = rates(make(opt), opt, 6)
    assert found == pytest.approx([expected(t) for t in range(7)], abs=1e-12)


def test_one_cycle_goes_up_and_down_and_moves_the_momentum():
    opt = optimizer(momentum=0.9)
    schedule = S.OneCycleLR(opt, max_lr=1.0, total_steps=10)
    found = rates(schedule, opt, 9)
    assert found[0] == pytest.approx(1 / 25)
    assert max(found) == pytest.approx(1.0)
    assert found[-1] == pytest.approx(1 / 25 / 1e4)
    assert opt.param_groups[0]["momentum"] == pytest.approx(0.95)
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        schedule.step()


def test_plateaus():
    opt = optimizer()
    schedule = S.ReduceLROnPlateau(opt, patience=1, factor=0.1)
    for value in (3.0, 2.0, 2.0, 2.0, 2.0):
        schedule.step(torch.tensor(value))
    assert opt.param_groups[0]["lr"] == pytest.approx(0.1)
    assert schedule.get_last_lr() == [pytest.approx(0.1)]


def test_chains():
    opt = optimizer()
    schedule = S.SequentialLR(opt, [S.ConstantLR(opt, 0.1, 10), S.ExponentialLR(opt, 0.5)], [2])
    assert rates(schedule, opt, 4) == pytest.approx([0.1, 0.1, 1.0, 0.5, 0.25])
    opt = optimizer()
    schedule = S.ChainedScheduler([S.ConstantLR(opt, 0.1, 2), S.ExponentialLR(opt, 0.5)])
    assert rates(schedule, opt, 3) == pytest.approx([0.1, 0.05, 0.25, 0.125])


def test_states_come_back():
    opt = optimizer()
    schedule = S.StepLR(opt, 2, 0.5)
    rates(schedule, opt, 3)
    other = S.StepLR(optimizer(), 99, 0.1)
    other.load_state_dict(schedule.state_dict())
    assert (other.step_size, other.last_epoch, other.gamma) == (2, 3, 0.5)


def test_a_wrong_order_is_noticed():
    opt = optimizer()
    schedule = S.StepLR(opt, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        schedule.get_lr()

    class Own(optim.Optimizer):
        def step(self, closure=None):
            return "stepped"

    own = Own([torch.zeros(1, requires_grad=True)], {"lr": 0.1})
    schedule = S.StepLR(own, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own.step() == "stepped"
        schedule.step()
    with pytest.raises(TypeError, match="is not an Optimizer"):
        S.StepLR(3, 1)
