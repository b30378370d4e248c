"""What random programs found, made small: each test is one defect that was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import rushlight as torch
from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine.record import write


def filled(*shape: int) -> torch.Tensor:
    n = int(np.prod(shape))
    return torch.tensor(np.arange(1.0, n + 1, dtype=np.float32).reshape(shape))


@pytest.mark.parametrize("limit", range(2, 9))
def test_views_and_aliases_made_where_a_stretch_ends(limit: int) -> None:
    """The end comes after the memory was looked at: it stands still by then."""
    with override(limit=limit):
        for _ in range(3):
            x = filled(2, 3) * 2
            part = x[::2, 1:]
            none = part[:, 2:2]
            assert none.detach().tolist() == [[]]
            again = part[:, :1]
            assert again.detach().tolist() == [[4.0]]
            assert again.t().tolist() == [[4.0]]
            x.fill_(0.5)
            assert again.tolist() == [[0.5]]


@pytest.mark.parametrize("limit", range(2, 12))
def test_grad_where_a_stretch_ends(limit: int) -> None:
    """Slots of what is asked for are taken after the stretch's last chance to end."""
    with override(limit=limit):
        for _ in range(2):
            x = filled(3).requires_grad_()
            y = x.tanh()
            z = y * x
            (a, b) = torch.autograd.grad([z, z], [y, x], [torch.ones(3), torch.ones(3)])
            assert a.tolist() == (2 * x).tolist()
            assert b.shape == (3,)


def test_a_hook_on_a_value_whose_data_was_written() -> None:
    for _ in range(2):
        x = filled(3).requires_grad_()
        y = x * 3
        y.data.mul_(0.5)
        y.register_hook(lambda g: g * 2)
        (y * 5).sum().backward()
        assert x.grad.tolist() == [30.0] * 3


@pytest.mark.parametrize("eager", [False, True])
def test_asking_for_what_leads_nowhere_releases_nothing(eager: bool) -> None:
    """A leaf that was only looked at without gradient mode beside the value is not on the way."""
    with override(eager=eager):
        x, w = filled(3).requires_grad_(), filled(3).requires_grad_()
        y = x.tanh() * x
        with torch.no_grad():
            z = w * y
        assert z.tolist()
        loss = y.sum()
        (g,) = torch.autograd.grad((loss * 0.5).tanh(), [w], allow_unused=True)
        assert g is None
        loss.backward()
        assert w.grad is None and x.grad is not None


@pytest.mark.parametrize("read", [False, True])
def test_a_view_is_one_node_wherever_stretches_end(read: bool) -> None:
    """Its gradient is summed before it goes on, its hooks see the sum, `grad` can ask for it."""

    def look(t: torch.Tensor) -> None:
        if read:
            assert t.tolist() is not None

    x = filled(3, 3).requires_grad_()
    y = x * 2
    for gaps in (y[:, 1], y.diagonal(), y[1:]):
        seen: list[list[float]] = []
        gaps.register_hook(lambda g, seen=seen: seen.append(g.flatten().tolist()))
        look(gaps)
        a = (gaps * 3).sum()
        look(a)
        part = gaps[:2]
        look(part)
        b = (part * gaps[:2]).sum()
        look(b)
        (g,) = torch.autograd.grad([a, b], [gaps], retain_graph=True)
        assert seen == [g.flatten().tolist()]
        want = torch.full_like(g, 3.0)
        want[:2] += 2 * gaps.detach()[:2]
        assert g.tolist() == want.tolist()
        (whole,) = torch.autograd.grad([a, b], [x], retain_graph=True)
        assert whole.sum().item() == 2 * g.sum().item()


@pytest.mark.parametrize("eager", [False, True])
def test_gradient_kept_at_a_view(eager: bool) -> None:
    with override(eager=eager):
        x = filled(4).requires_grad_()
        v = x[1:3]
        v.retain_grad()
        (v * v).sum().backward()
        assert v.grad is not None and v.grad.tolist() == [4.0, 6.0]
        assert x.grad.tolist() == [0.0, 4.0, 6.0, 0.0]


@pytest.mark.parametrize("eager", [False, True])
def test_writes_through_a_view_that_was_used(eager: bool) -> None:
    """A write ends the view's own place: from then on it is a view of what the base became."""
    with override(eager=eager):
        x = filled(2, 2).requires_grad_()
        y = x * 1
        d = y.diagonal()
        first = (d * 10).sum()
        d.sigmoid_()
        assert (y.detach()[0, 1], d.shape) == (2.0, (2,))
        (first + d.sum()).backward()
        s = 1 / (1 + np.exp(-np.array([1.0, 4.0])))
        want = np.diag(10 + s * (1 - s))
        np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-5)
        leaf = filled(3).requires_grad_()
        part = leaf[1:]
        assert (part * 2).sum().item() == 10.0
        with pytest.raises(RuntimeError, match="a view of a leaf"):
            part.add_(1)
        with torch.no_grad():
            part.mul_(2)
        (part * 3).sum().backward()
        assert leaf.tolist() == [1.0, 4.0, 6.0] and leaf.grad.tolist() == [0.0, 3.0, 3.0]


@pytest.mark.parametrize("eager", [False, True])
def test_a_leaf_on_reachable_memory_gets_its_whole_gradient(eager: bool) -> None:
    """Exposed memory enters a stretch anew at every use, its history only once."""
    with override(eager=eager):
        for n in (3, 40_000):
            array = np.ones(n, np.float32)
            x = torch.from_numpy(array).requires_grad_()
            y, z = x * 2, x * 3
            array[0] = 7
            w = x * x
            (y.sum() + z.sum() + w.sum()).backward()
            assert x.grad[:2].tolist() == [19.0, 7.0]


@pytest.mark.parametrize("eager", [False, True])
def test_second_derivatives_across_stretches(eager: bool) -> None:
    """A saved value that enters again brings no second entry of its history."""
    with override(eager=eager):
        x, w = filled(3).requires_grad_(), filled(3).requires_grad_()
        u = w * w - w
        v = x * x - x
        assert u.tolist() == [0.0, 2.0, 6.0]
        y = x * x - v
        loss = y.sum() * 0.5 + u.sum() + v.sum() * 2
        (g,) = torch.autograd.grad(loss, [x], create_graph=True)
        assert g.tolist() == [2.5, 6.5, 10.5]
        (g * g * x).sum().backward()
        assert x.grad.tolist() == [2.5**2 + 8 * 2.5, 6.5**2 + 16 * 6.5, 10.5**2 + 24 * 10.5]


@pytest.mark.parametrize("eager", [False, True])
def test_values_of_views_with_gaps_are_kept_for_gradients(eager: bool) -> None:
    """Not with the view's layout: its base is kept."""
    with override(eager=eager):
        x = filled(3, 3).requires_grad_()
        for view in (x.diagonal(), x[:, 1], x[:, ::2].t(), x[1].expand(2, 3)):
            assert view.tolist()
            y = view * view * view
            assert y.tolist()
            (g,) = torch.autograd.grad(y.sum(), [view], create_graph=True)
            np.testing.assert_allclose(g.tolist(), (3 * view * view).tolist())
            (h,) = torch.autograd.grad(g.sum(), [view], retain_graph=True, allow_unused=True)
            x.grad = None
            g.sum().backward()
            assert x.grad.sum().item() == pytest.approx(float((6 * view).sum()))
            assert h is None or h.tolist() == (6 * view).tolist()


@pytest.mark.parametrize("eager", [False, True])
def test_a_gradient_stays_when_the_flag_changes(eager: bool) -> None:
    with override(eager=eager):
        for _ in range(2):
            x = filled(2)
            x.requires_grad_()
            (x * 3).sum().backward()
            x.requires_grad_(False)
            assert x.grad.tolist() == [3.0, 3.0]
            y = x * 2
            assert not y.requires_grad and y.tolist() == [2.0, 4.0]
            x.requires_grad = True
            (x * 4).sum().backward()
            assert x.grad.tolist() == [7.0, 7.0]
            x.requires_grad_(False)
            x.grad = None
            assert x.grad is None
            x.grad = torch.ones(2)  # may be given without the flag
            assert x.grad.tolist() == [1.0, 1.0]
            z = x + 1
            z.grad = torch.zeros(2)
            assert z.grad.tolist() == [0.0, 0.0] and z.tolist() == [2.0, 3.0]
            x.data = torch.zeros(2)
            assert x.grad.tolist() == [1.0, 1.0] and x.tolist() == [0.0, 0.0]
            with pytest.raises(RuntimeError, match="are the same size"):
                z.grad = torch.ones(3)


def test_composite_of_a_turned_value_keeps_its_layout() -> None:
    """A softmax is row-major whatever its operand's layout, fused as one at a time."""
    x = torch.arange(6.0).view(2, 1, 3)
    for _ in range(3):
        turned = x.permute(2, 1, 0).sin()
        y = torch.softmax(turned, 0)
        read = y.detach().numpy()
        assert np.allclose(read.sum(0), 1.0), (turned.stride(), y.stride())
        assert np.allclose(read, torch.softmax(turned.contiguous(), 0).numpy())


def test_first_run_keeps_what_waiting_steps_read() -> None:
    """Parts of a composite that are too large for the arena live until the native program that
    reads them has run: sizes that never repeat are always run for the first time."""
    rng = np.random.default_rng(0)
    for n in range(1500, 1540):
        a = rng.standard_normal((n, 6))
        x = torch.tensor(a, requires_grad=True)
        y = torch.log_softmax(x, 1)
        want = a - a.max(1, keepdims=True)
        want -= np.log(np.exp(want).sum(1, keepdims=True))
        (y * y).sum().backward()
        assert np.allclose(y.detach().numpy(), want)
        g = 2 * want - np.exp(want) * (2 * want).sum(1, keepdims=True)
        assert np.allclose(x.grad.numpy(), g)


FUSING = pytest.mark.parametrize("fuse_after", [0, 2, 1 << 40])


@FUSING
def test_views_of_a_part_with_a_history_of_its_own(fuse_after: int) -> None:
    """A part is read again from where its base starts, and the base need not start its memory."""
    with override(fuse_after=fuse_after):
        for _ in range(4):
            part = torch.ones(1, 2).narrow(1, 1, 1)
            leaf = part.detach().requires_grad_()
            part.masked_fill_(part > 0, -0.5)
            assert leaf[torch.tensor([0]), 0].tolist() == [-0.5]
            assert (leaf.view(-1) * 2).tolist() == [-1.0]
            w = torch.tensor([2.0], requires_grad=True)
            end = (w * filled(5))[4:5]
            for k in range(3):
                end.unsqueeze(1).add_(2)
                assert end.tolist() == [12.0 + 2 * k]
                end.round()
            end.sum().backward()
            assert w.grad is not None and w.grad.tolist() == [5.0]


@FUSING
def test_as_strided_counts_from_the_start_of_the_memory(fuse_after: int) -> None:
    with override(fuse_after=fuse_after):
        for _ in range(4):
            w = torch.arange(10.0).requires_grad_()
            x = w * 1
            y = x[2:5]
            assert (y.as_strided((2,), (1,), 1) * 1).tolist() == [1.0, 2.0]
            z = y.as_strided((3,), (2,), 2) * filled(3)
            assert z.tolist() == [2.0, 8.0, 18.0]
            z.sum().backward()
            # what lies outside of `y` has no way back through it
            assert w.grad is not None and w.grad.tolist() == [0, 0, 1, 0, 2, 0, 0, 0, 0, 0]
            column = x.detach().view(5, 2)[:, 1]
            assert (column.as_strided((2, 2), (4, 2)) + 0).tolist() == [[1.0, 3.0], [5.0, 7.0]]


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 8, 9, 17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.bfloat16])
def test_rows_written_to_one_place_leave_the_last(rows: int, dtype: torch.dtype) -> None:
    """Lanes of one store went to one place as a whole vector."""
    numbers = (torch.arange(rows) * 37 % 5).to(dtype)
    for limit in (3, 2000):
        with override(fuse_after=2, limit=limit):
            for _ in range(4):
                memory = torch.zeros(3, dtype=dtype)
                row = numbers | numbers if dtype is torch.bool else numbers * 1
                column = memory.expand(rows, 3).narrow(1, 2, 1)
                write(column, row.unsqueeze(1), True)  # `copy_` refuses such memory
                assert memory.tolist() == [0, 0, row[-1].item()]


LONG_PROGRAM = """
import rushlight as torch

def step():
    x = torch.ones(3, requires_grad=True)
    y = x
    for k in range(150):
        y = y * 1.5 + k % 3
    y.sum().backward()
    return x.grad.tolist()

steps = [step() for _ in range(4)]
assert steps[0] == steps[3]
torch.set_default_dtype(torch.float64)  # what was recognised is forgotten
assert step() == step()
"""


def test_long_programs_end_without_touching_other_memory() -> None:
    """Records end in the middle of others that end; the allocator checks what lies around them."""
    settings = {**os.environ, "PYTHONMALLOC": "debug"}
    command = [sys.executable, "-c", LONG_PROGRAM]
    done = subprocess.run(
        command, check=False, env=settings, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr


def second_of_overlapping() -> bytes:
    x = (torch.arange(70.0) * 0.37).sin().requires_grad_()
    v = x.as_strided((5, 7, 2), (2, 10, 1), 0)
    torch.nn.functional.normalize(v, dim=2, eps=1e-2).mean().backward(create_graph=True)
    x.grad.sum().backward()
    return bytes(x.grad.detach().numpy().tobytes())


@pytest.mark.parametrize("fuse_after", [1, 1 << 40])
def test_what_shows_its_memory_several_times_is_kept_once(fuse_after: int) -> None:
    """A plan wrote an expanded value whole, where what reads it looks for one copy."""
    with override(eager=True):
        want = second_of_overlapping()
    with override(fuse_after=fuse_after, limit=20):
        assert [second_of_overlapping() == want for _ in range(4)] == [True] * 4


@pytest.mark.parametrize("limit", range(2, 16))
def test_gradients_meet_at_a_view_wherever_stretches_end(limit: int) -> None:
    """A saved view was read from its base again, and what went to it was summed at the base."""
    with override(eager=True):
        want = second_of_overlapping()
    with override(limit=limit):
        assert second_of_overlapping() == want


@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_gradients_that_come_in_another_layout(limit: int) -> None:
    """The gradient of an older stretch was read as contiguous when it was not: of the norm of a
    transposed slice, whose gradient has length one, the second derivative is nothing."""
    x = (torch.arange(12.0).reshape(4, 3) * 0.37).sin().requires_grad_()

    def derivatives() -> torch.Tensor:
        (g,) = torch.autograd.grad(x.transpose(0, 1)[1:].norm(), x, create_graph=True)
        (h,) = torch.autograd.grad((g * g).sum(), x)
        return h

    with override(eager=True):
        assert float(derivatives().abs().max()) < 1e-6
    with override(limit=limit):
        assert float(derivatives().abs().max()) < 1e-6


@pytest.mark.parametrize("limit", [2, 4, 6, 1000])
def test_a_gradient_that_goes_to_two_older_stretches_is_one_value(limit: int) -> None:
    """It left as two: what came back to it in a third derivative was summed in another order."""

    def third() -> bytes:
        x = (torch.arange(70.0).reshape(10, 7) * 0.37).sin().requires_grad_()
        y = x * 1.3 + 0.1
        a = y.clone()
        b = y.clone()
        value = (a.norm() * a).mean() + b.square().mean()
        (g,) = torch.autograd.grad(value, [x], create_graph=True)
        (g,) = torch.autograd.grad((g * g).sum(), [x], create_graph=True)
        (g,) = torch.autograd.grad((g * g).sum(), [x])
        return bytes(g.numpy().tobytes())

    with override(eager=True):
        want = third()
    with override(limit=limit):
        assert third() == want


@pytest.mark.parametrize("settings", [{}, {"eager": True}, {"fuse_after": 1}, {"limit": 6}])
def test_parts_of_gradients_that_are_read_by_strides(settings: dict[str, int]) -> None:
    """A part that a rule took out of a gradient was read where its base lies: derivatives through
    `roll` of a column were wrong.  The numbers are known."""
    with override(**settings):
        for _ in range(3):
            x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]], requires_grad=True)
            column = x[..., 1:]
            value = (column.roll(1, 0) * column).sum()
            (g,) = torch.autograd.grad(value, x, create_graph=True)
            assert g.tolist() == [[0.0, 3.0], [0.0, 6.0], [0.0, 1.0]]
            (h,) = torch.autograd.grad((g * g * g.detach()).sum(), x, create_graph=True)
            assert h.tolist() == [[0.0, 74.0], [0.0, 20.0], [0.0, 90.0]]
            (k,) = torch.autograd.grad(h.reshape(-1)[1] * 2, x)
            assert k.tolist() == [[0.0, 28.0], [0.0, 4.0], [0.0, 24.0]]


SPREAD = np.sin(np.arange(512, dtype=np.float32) * np.float32(0.37)).reshape(128, 4)


def test_a_view_that_numpy_shared_when_its_stretch_was_met_first() -> None:
    """The stretch of a view of exposed memory had no node for it, nor had the same one met again
    on other memory: gradients were then summed at the base, in another order."""

    def gradients(end: Callable[[], None]) -> list[list[float]]:
        leaf = torch.tensor(SPREAD, requires_grad=True)
        end()
        y = leaf * leaf
        end()
        view = y[:]
        end()
        a = (y * 0.25).tanh().sum()
        end()
        b = (y * 0.3).tanh().sum()
        end()
        value = a + b + (view * 0.1).sum()
        return [g.tolist() for g in torch.autograd.grad(value, [view, leaf])]

    given = SPREAD.copy()
    shared = torch.from_numpy(given).requires_grad_()
    engine.flush()
    kept = shared[:]
    engine.flush()
    assert gradients(engine.flush) == gradients(lambda: None)
    assert kept.shape == shared.shape
