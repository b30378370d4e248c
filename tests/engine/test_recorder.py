"""The recorder through the public names: recognition, views, histories, hooks, interruptions."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import numpy as np
import pytest

import rushlight as torch
from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine.core import MAIN


def hexes(t: torch.Tensor) -> list[str]:
    return [v.hex() for v in t.reshape(-1).tolist()]


def training(steps: int) -> tuple[list[float], Callable[[], float]]:
    torch.manual_seed(0)
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    w = torch.zeros(3, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    rate = [0.1]

    def step() -> float:
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                p -= rate[0] * p.grad
                p.grad = None
        rate[0] *= 0.99  # a number that changes is no new program
        return float(loss.item())

    return [step() for _ in range(steps)], step


def test_a_repeated_step_makes_no_record_and_no_plan() -> None:
    _, step = training(5)
    before = (MAIN.misses, MAIN.nplan)
    for _ in range(20):
        step()
    assert (MAIN.misses, MAIN.nplan) == before


def test_losses_are_the_same_one_at_a_time_recorded_and_verified() -> None:
    recorded, _ = training(6)
    with override(eager=True):
        alone, _ = training(6)
    with override(verify=True, fuse_after=1):
        verified, _ = training(6)
    assert recorded == alone == verified


def test_slices_at_changing_places_share_one_plan() -> None:
    x = torch.arange(400.0).reshape(100, 4)
    for i in range(0, 8, 4):
        (x[i : i + 4] * 2).sum().item()
    before = MAIN.nplan
    sums = [(x[i : i + 4] * 2).sum().item() for i in range(8, 100, 4)]
    assert MAIN.nplan == before
    assert sums == [2.0 * sum(range(4 * i, 4 * i + 16)) for i in range(8, 100, 4)]


def test_a_view_sees_writes_through_its_base_and_the_other_way() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    row, part = x[1], x[:, 1:3]
    x.mul_(2)
    assert row.tolist() == [8.0, 10.0, 12.0, 14.0]
    row.add_(100)
    assert part.tolist() == [[2.0, 4.0], [110.0, 112.0], [18.0, 20.0]]
    y = torch.zeros(2, 3)
    z = y[0]
    y.add_(1)
    assert z.tolist() == [1.0, 1.0, 1.0]


def test_a_leaf_that_is_a_view_gets_a_gradient_of_its_own_shape() -> None:
    a = torch.ones(1, 1).reshape(-1).requires_grad_()
    assert a.is_leaf
    m = torch.zeros(2, 3)[0].detach().requires_grad_()
    m.sum().backward()
    assert m.grad is not None and m.grad.tolist() == [1.0, 1.0, 1.0]


def test_views_made_without_gradient_mode_have_no_history() -> None:
    x = torch.zeros(2, 4).requires_grad_()
    with torch.no_grad():
        v = x[0:1]
    assert not v.requires_grad and v.is_leaf


def test_gradients_are_asked_for_only_where_they_lead() -> None:
    x, z = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    assert torch.autograd.grad(y, [z], allow_unused=True) == (None,)
    s = x.sum()
    torch.autograd.grad(s, [x])
    (again,) = torch.autograd.grad(s, [x])  # a sum saves nothing: a second time is allowed
    assert again.tolist() == [1.0, 1.0]


def test_gradient_at_a_view_that_was_run_meanwhile() -> None:
    x = torch.tensor([[2.0, 3.0]], requires_grad=True)
    w = x * 1
    v = w[0]
    y = (v * v).sum()
    y.item()
    (g,) = torch.autograd.grad(y, [v])
    assert g.tolist() == [4.0, 6.0]
    assert v.grad is None


@pytest.mark.parametrize("hooked", [False, True])
def test_bits_of_gradients_do_not_depend_on_where_stretches_end(hooked: bool) -> None:
    def run(cut: bool) -> list[str]:
        r = np.random.default_rng(34)
        x = torch.tensor(r.normal(size=(5,)).astype("f4"), requires_grad=True)
        w = torch.tensor(r.normal(size=(5,)).astype("f4"), requires_grad=True)
        a = x.tanh() * x
        b = x.flip(0)
        b.data.mul_(0.5)
        c = b * b - w
        if cut:
            engine.flush()
        d = b.sigmoid()
        e = a.tanh() * d
        if hooked:
            d.retain_grad()
        if cut:
            engine.flush()
        (c.sum() * 2 + b.sum() * 0.5 + e.sum() * 0.5 + (x * x).sum()).backward()
        return hexes(x.grad)

    assert run(False) == run(True)


def test_hooks_may_read_and_change_gradients() -> None:
    seen: list[float] = []
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: seen.append(g.sum().item()))
    y.register_hook(lambda g: g * 10)
    (y * 3).sum().backward()
    assert seen == [9.0]
    assert x.grad is not None and x.grad.tolist() == [60.0, 60.0, 60.0]


def test_contributions_survive_hooks_off_the_path() -> None:
    x, w = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    p = (x.detach().tanh() * w).tanh() * x
    q = w * 0.1 + x
    p.retain_grad()
    loss = x.sum() * 2 + q.sum() * 2
    loss.item()
    loss.backward()
    assert x.grad is not None and x.grad.tolist() == [4.0, 4.0, 4.0]


def test_second_derivatives_across_stretches() -> None:
    v = (torch.ones(3) @ torch.ones(3)).requires_grad_()
    u = v.unsqueeze(0)
    engine.flush()
    y = (u * u * u).sum()
    engine.flush()
    (g,) = torch.autograd.grad(y, [v], create_graph=True)
    engine.flush()
    (gg,) = torch.autograd.grad(g, [v])
    assert (g.item(), gg.item()) == (27.0, 18.0)


def test_saved_exposed_memory_is_that_of_its_time() -> None:
    n = np.ones((130, 140))
    t = torch.from_numpy(n.T)
    w = torch.ones(t.shape, dtype=torch.float64, requires_grad=True)
    y = (t * w).sum()
    n *= 0.5
    y.backward()
    assert w.grad is not None and w.grad[0, 0].item() == 1.0


def test_empty_views() -> None:
    x = torch.ones(2, 2).t().select(0, -1)
    e = x[2:2:2]
    e.abs_()
    assert x.tolist() == [1.0, 1.0]
    assert e.shape == (0,)


def test_losses_kept_in_a_list_keep_their_values() -> None:
    torch.manual_seed(0)
    x = torch.randn(10, 3)
    w = torch.zeros(3, requires_grad=True)
    kept, told = [], []
    for _ in range(12):
        loss = ((x @ w - 1) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.grad = None
        kept.append(loss)
        told.append(loss.item())
    assert [v.item() for v in kept] == told


def test_alternating_sizes_are_bounded() -> None:
    w = torch.zeros(3, requires_grad=True)
    sizes = [n % 40 + 1 for n in range(200)]
    for n in sizes[:80]:
        (torch.ones(n, 3) @ w).sum().backward()
    before = MAIN.nplan
    for n in sizes[80:]:
        (torch.ones(n, 3) @ w).sum().backward()
        w.grad = None
    assert MAIN.nplan - before <= 160


def test_an_error_names_the_line_that_recorded_the_operation() -> None:
    x = torch.zeros(3)
    where = torch.tensor([0, 7])
    with pytest.raises(IndexError) as caught:
        y = torch.index_select(x, 0, where * 1)
        y.tolist()
    notes = getattr(caught.value, "__notes__", [])
    assert any("test_recorder.py" in n for n in notes)
    assert (x + 1).tolist() == [1.0, 1.0, 1.0]


def test_tensors_cross_threads_before_they_are_run() -> None:
    made: list[torch.Tensor] = []
    ready, go = threading.Event(), threading.Event()

    def work() -> None:
        made.append(torch.ones(3) * 2 + 1)
        ready.set()
        go.wait(10)

    t = threading.Thread(target=work)
    t.start()
    assert ready.wait(10)
    assert (made[0] + 1).tolist() == [4.0, 4.0, 4.0]
    go.set()
    t.join()


def test_scatters_into_one_element_start_afresh_each_time() -> None:
    def gradient() -> float:
        x = torch.tensor([2.5], requires_grad=True)
        x[torch.tensor([0, 0])].sum().backward()
        assert x.grad is not None
        return float(x.grad.item())

    def added() -> float:
        return float(torch.zeros(1).index_add(0, torch.tensor([0]), torch.ones(1)).item())

    assert [gradient() for _ in range(5)] == [2.0] * 5
    assert [added() for _ in range(5)] == [1.0] * 5


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_copy_onto_itself_is_a_write_to_the_history(looked_at: bool) -> None:
    """What was made of the value before it leads to the old value, as in PyTorch."""
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for k in range(1, 4):
        y = x * k
        view = y[0]
        before = (view * 3).sum() + (y * 2).sum()
        if looked_at:
            y.tolist()
        y.copy_(y)
        g = torch.autograd.grad(before, [y, view, x], allow_unused=True, retain_graph=True)
        assert g[0] is None and g[1] is None
        assert g[2].tolist() == [[5.0 * k, 5.0 * k], [2.0 * k, 2.0 * k]]
        after = torch.autograd.grad((y * y).sum(), [y, x])
        assert after[0].tolist() == (x.detach() * 2 * k).tolist()
        assert after[1].tolist() == (x.detach() * 2 * k * k).tolist()
        with torch.no_grad():
            y.copy_(y)
        assert y.tolist() == (x.detach() * k).tolist() and y.requires_grad


def test_a_gradient_that_cannot_be_kept_leaves_the_mode_as_it_was() -> None:
    """An error while backward keeps a gradient does not switch gradients off for good."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    view = y[:]
    view.retain_grad()
    loss = view.sum() + y.sum()
    with torch.no_grad():
        view += 1  # its history is its base's from here on, and has no place for its gradient
    with contextlib.suppress(RuntimeError):
        loss.backward()
    assert torch.is_grad_enabled()
    z = x * 3
    z.retain_grad()
    z.sum().backward()
    assert z.grad is not None and z.grad.tolist() == [1.0, 1.0]
