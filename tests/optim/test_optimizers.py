"""Optimisers: values PyTorch 2.13 gave once, states, groups, hooks, and what is cached."""

import copy
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import optim

# Five steps on sum(p^3 - p) from (1, -2, 0.5), as PyTorch does them.
FIVE = [
    ("Adam", {"lr": 0.1}, [0.5468448996543884, -2.5022425651550293, 0.5484991073608398]),
    (
        "AdamW",
        {"lr": 0.1, "amsgrad": True},
        [0.5436344146728516, -2.491257667541504, 0.5480442643165588],
    ),
    ("Adagrad", {"lr": 0.1}, [0.7419570684432983, -2.342625617980957, 0.5775834321975708]),
    (
        "RMSprop",
        {"lr": 0.1, "centered": True, "momentum": 0.5},
        [0.6939679384231567, -9.423781394958496, 0.24150124192237854],
    ),
]


def parameter():
    return torch.tensor([1.0, -2.0, 0.5], requires_grad=True)


def descend(p, opt, steps):
    for _ in range(steps):
        opt.zero_grad()
        (p**3 - p).sum().backward()
        opt.step()


@pytest.mark.parametrize(("name", "settings", "expected"), FIVE)
def test_five_steps(name, settings, expected):
    p = parameter()
    descend(p, getattr(optim, name)([p], **settings), 5)
    assert p.tolist() == pytest.approx(expected, rel=2e-6)


def test_phases_of_radam():
    """The step that corrects the variance begins with the sixth, for these betas."""
    p = torch.tensor([1.0], requires_grad=True)
    opt = optim.RAdam([p], lr=0.1)
    want, m, v = 1.0, 0.0, 0.0
    rho = 2 / (1 - 0.999) - 1
    for t in range(1, 9):
        opt.zero_grad()
        (p**2).sum().backward()
        opt.step()
        g = 2 * want
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        now = rho - 2 * t * 0.999**t / (1 - 0.999**t)
        step = 0.1 * m / (1 - 0.9**t)
        if now > 5:
            r = ((now - 4) * (now - 2) * rho / ((rho - 4) * (rho - 2) * now)) ** 0.5
            step *= r * (1 - 0.999**t) ** 0.5 / (v**0.5 + 1e-8)
        want -= step
        assert p.item() == pytest.approx(want, rel=1e-5)


def test_rprop_by_the_formula():
    p = torch.tensor([1.0, -2.0], requires_grad=True)
    opt = optim.Rprop([p], lr=0.5)
    want, step, last = np.array([1.0, -2.0]), np.array([0.5, 0.5]), np.zeros(2)
    for _ in range(6):
        opt.zero_grad()
        (p**2).sum().backward()
        opt.step()
        g = 2 * want
        turn = np.sign(g * last)
        step = np.clip(step * np.where(turn > 0, 1.2, np.where(turn < 0, 0.5, 1)), 1e-6, 50)
        g = np.where(turn < 0, 0, g)
        want = want - np.sign(g) * step
        last = g
        assert p.tolist() == pytest.approx(want.tolist(), rel=1e-5)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_solves_a_quadratic(search):
    a = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    b = torch.tensor([1.0, -1.0], dtype=torch.float64)
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    opt = optim.LBFGS([x], max_iter=50, line_search_fn=search)

    def closure():
        opt.zero_grad()
        loss = 0.5 * x @ a @ x - b @ x
        loss.backward()
        return loss

    opt.step(closure)
    assert x.tolist() == pytest.approx([0.6, -0.8], abs=1e-6)
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [x]}, {"params": [torch.ones(1, requires_grad=True)]}])


def test_muon_takes_matrices_only():
    with pytest.raises(ValueError, match="2D parameters"):
        optim.Muon([torch.ones(3, requires_grad=True)])
    w = torch.eye(3).requires_grad_()
    opt = optim.Muon([w], lr=0.1, weight_decay=0.0)
    (w * w).sum().backward()
    opt.step()
    # The update of a multiple of the identity is nearly the identity.
    assert (w.detach() - torch.eye(3) * w[0, 0].item()).abs().max().item() < 0.02
    assert 0.85 < w[0, 0].item() < 0.97


def test_averages():
    model = torch.nn.Linear(1, 1, bias=False)
    mean = optim.swa_utils.AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        mean.update_parameters(model)
    assert mean.module.weight.item() == pytest.approx(3.0)
    assert mean.n_averaged.item() == 3


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_by_the_formula(nesterov):
    p = torch.tensor([1.0, -0.5], requires_grad=True)
    opt = optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=nesterov)
    want, buf = np.array([1.0, -0.5]), None
    for _ in range(4):
        opt.zero_grad()
        (p**2).sum().backward()
        opt.step()
        g = 2 * want + 0.1 * want
        buf = g if buf is None else 0.9 * buf + g
        want = want - 0.1 * (g + 0.9 * buf if nesterov else buf)
    assert p.tolist() == pytest.approx(want.tolist(), rel=1e-5)
    assert opt.state[p]["momentum_buffer"].tolist() == pytest.approx(buf.tolist(), rel=1e-5)


def test_dampening_does_not_touch_the_first_step():
    p = torch.tensor([1.0], requires_grad=True)
    opt = optim.SGD([p], lr=0.1, momentum=0.5, dampening=0.5)
    p.grad = torch.tensor([1.0])
    opt.step()
    assert p.item() == pytest.approx(0.9)
    opt.step()
    assert p.item() == pytest.approx(0.8)  # 0.5 * 1 + 0.5 * 1


def test_the_step_is_counted_as_pytorch_keeps_it():
    p = parameter()
    opt = optim.Adam([p])
    assert opt.state_dict()["state"] == {}
    descend(p, opt, 3)
    state = opt.state_dict()["state"][0]
    assert list(state) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["step"].dtype is torch.float32
    assert state["step"].item() == 3.0
    descend(p, opt, 1)
    assert opt.state[p]["step"].item() == 4.0


def test_states_come_back():
    p, q = parameter(), parameter()
    first, second = optim.Adam([p], lr=0.1), optim.Adam([q], lr=0.2)
    descend(p, first, 3)
    with torch.no_grad():
        q.copy_(p)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.param_groups[0]["lr"] == 0.1
    descend(p, first, 2)
    descend(q, second, 2)
    assert p.tolist() == q.tolist()
    third = pickle.loads(pickle.dumps(first))
    r = third.param_groups[0]["params"][0]
    descend(p, first, 1)
    descend(r, third, 1)
    assert r.tolist() == p.tolist()


def test_parameters_without_a_gradient_stay_and_are_counted_apart():
    p, q = parameter(), parameter()
    opt = optim.Adam([p, q], lr=0.1)
    descend(p, opt, 2)
    assert q.tolist() == [1.0, -2.0, 0.5]
    assert q not in opt.state
    for _ in range(2):
        opt.zero_grad()
        ((p**3 - p) + (q**3 - q)).sum().backward()
        opt.step()
    assert [opt.state[t]["step"].item() for t in (p, q)] == [4.0, 2.0]
    alone = parameter()
    descend(alone, optim.Adam([alone], lr=0.1), 2)
    assert q.tolist() == alone.tolist()


def test_what_is_changed_in_the_state_counts():
    p = parameter()
    opt = optim.Adam([p], lr=0.1)
    descend(p, opt, 2)
    opt.state[p]["exp_avg"] = torch.zeros(3)
    opt.state[p]["exp_avg_sq"] = torch.ones(3)
    opt.state[p]["step"] = torch.tensor(0.0)
    p.grad = torch.ones(3)
    before = p.tolist()
    opt.step()
    m, v = 0.1 / (1 - 0.9), (0.999 + 0.001) / (1 - 0.999)
    assert p.tolist() == pytest.approx([x - 0.1 * m / v**0.5 for x in before], rel=1e-5)


def test_a_parameter_can_be_replaced_in_its_group():
    p = parameter()
    opt = optim.SGD([p], lr=0.1)
    descend(p, opt, 1)
    q = torch.tensor([1.0], requires_grad=True)
    opt.param_groups[0]["params"][0] = q
    q.grad = torch.tensor([2.0])
    opt.step()
    assert q.item() == pytest.approx(0.8)


def test_groups_have_settings_of_their_own():
    p, q = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    opt = optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.5}], lr=0.1)
    opt.add_param_group({"params": torch.ones(1, requires_grad=True), "weight_decay": 0.1})
    p.grad, q.grad = torch.ones(1), torch.ones(1)
    opt.step()
    assert (p.item(), q.item()) == (pytest.approx(0.9), 0.5)
    assert repr(opt).startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    with pytest.raises(ValueError, match="more than one parameter group"):
        opt.add_param_group({"params": [p]})
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([p * 2])
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])


def test_hooks_and_closures():
    p = parameter()
    opt = optim.SGD([p], lr=0.1)
    log = []
    handle = opt.register_step_pre_hook(lambda o, args, kwargs: log.append("pre"))
    opt.register_step_post_hook(lambda o, args, kwargs: log.append("post"))

    def closure():
        log.append(torch.is_grad_enabled())
        opt.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert opt.step(closure).item() == pytest.approx(5.25)
    assert log == ["pre", True, "post"]
    handle.remove()
    opt.step()
    assert log == ["pre", True, "post", "post"]


def test_zero_grad():
    p = parameter()
    opt = optim.SGD([p], lr=0.1)
    p.sum().backward()
    opt.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0, 0.0]
    opt.zero_grad()
    assert p.grad is None


def test_a_step_writes_into_the_parameters_own_memory():
    p = parameter()
    view, array = p.detach(), p.detach().numpy()
    opt = optim.Adam([p], lr=0.1)
    descend(p, opt, 2)
    assert view.tolist() == p.tolist()
    assert array.tolist() == p.tolist()


def test_a_learning_rate_may_change_every_step():
    p = torch.zeros(1, requires_grad=True)
    opt = optim.SGD([p], lr=1.0)
    for i in range(1, 5):
        p.grad = torch.ones(1)
        opt.param_groups[0]["lr"] = 10.0**-i
        opt.step()
    assert p.item() == pytest.approx(-0.1111, rel=1e-5)


def test_sparse_adam_leaves_rows_alone():
    """Rows that no batch has touched keep their values and their running means."""
    table = torch.nn.Embedding(4, 2, sparse=True)
    start = table.weight.tolist()
    opt = optim.SparseAdam(table.parameters(), lr=0.1)
    want, m, v = np.array(start[2]), np.zeros(2), np.zeros(2)
    for t in range(1, 4):
        opt.zero_grad()
        (table(torch.tensor([2])) ** 2).sum().backward()
        opt.step()
        g = 2 * want
        m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
        size = 0.1 * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
        want = want - size * m / (np.sqrt(v) + 1e-8)
    got = table.weight.tolist()
    assert got[2] == pytest.approx(want.tolist(), rel=1e-4)
    assert [got[i] for i in (0, 1, 3)] == [start[i] for i in (0, 1, 3)]
    assert opt.state_dict()["state"][0]["step"] == 3
    other = optim.SparseAdam(table.parameters(), lr=0.1)
    other.load_state_dict(opt.state_dict())
    assert other.state_dict()["state"][0]["step"] == 3


def test_sparse_adam_wants_dense_parameters():
    place = torch.tensor([[0], [1]])
    table = torch.sparse_coo_tensor(place, torch.ones(1), (2, 2))
    for given in ([table], [{"params": [table]}]):
        with pytest.raises(ValueError, match=r"Sparse params at indices \[\[0, 0\]\]"):
            optim.SparseAdam(given)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SparseAdam([])


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "LBFGS"])
def test_parameters_that_are_parts_of_other_memory(name: str) -> None:
    """They move as parameters of their own do, and with them the memory; the rest stays."""

    def run(parts: bool) -> tuple[list[float], list[float]]:
        if parts:
            memory = torch.arange(8.0)
            a, b = memory[1:3].requires_grad_(), memory[4:8].view(2, 2)[1].requires_grad_()
        else:
            a = torch.tensor([1.0, 2.0], requires_grad=True)
            b = torch.tensor([6.0, 7.0], requires_grad=True)
        c = torch.ones(2, requires_grad=True)
        more = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(torch.optim, name)([a, c, b], lr=0.05, **more)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (a * c - 1).square().sum() + (b - c).square().mean()
            loss.backward()
            return loss

        for _ in range(4):
            optimizer.step(closure)
        if parts:
            assert [memory[i].item() for i in (0, 3, 4, 5)] == [0.0, 3.0, 4.0, 5.0]
            assert memory[1:3].tolist() == a.tolist() and memory[6:].tolist() == b.tolist()
        return a.tolist() + b.tolist(), c.tolist()

    assert run(True) == run(False)


def test_a_gradient_that_is_a_view_is_read_only() -> None:
    p, g = torch.nn.Parameter(torch.zeros(2)), torch.arange(4.0)
    p.grad = g[1:3]
    optimizer = torch.optim.SGD([p], lr=1.0)
    for _ in range(3):
        optimizer.step()
    assert p.tolist() == [-3.0, -6.0]
    assert g.tolist() == [0.0, 1.0, 2.0, 3.0] and g._version == 0
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch.optim.SGD([p * 2], lr=1.0)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("NAdam", "momentum_decay", 0.25), ("RMSprop", "alpha", 0.75), ("Adadelta", "rho", 0.75)],
)
def test_options_that_are_tensors(name: str, option: str, value: float) -> None:
    """They are read before the step is recorded, which is whole afterwards."""

    def trained(given: object) -> list[float]:
        p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        o = getattr(torch.optim, name)([p], **{option: given})
        for _ in range(3):
            o.zero_grad()
            (p**2).sum().backward()
            o.step()
        return p.tolist()

    want = trained(value)
    assert trained(torch.tensor(value)) == want
    assert trained(value) == want
