"""The first run of a stretch: general kernels give the bits of one operation at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.base.settings import override
from rushlight.base.target import host
from rushlight.engine import eager_steps, first, products, steps
from rushlight.engine.eager_native import SUPPORTED

F = torch.nn.functional


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Kernels are compiled when they are first wanted, every run is compared with NumPy's."""
    before = eager_steps.PATIENCE[0]
    eager_steps.PATIENCE[0] = 0
    try:
        with override(verify=True):
            yield
    finally:
        eager_steps.PATIENCE[0] = before


def filled(*shape: int, dtype: Any = torch.float32) -> torch.Tensor:
    n = int(np.prod(shape))
    a = (np.arange(n, dtype=np.float64).reshape(shape) * 0.37) % 3.1 - 1.3
    return torch.tensor(a.tolist()).to(dtype) if n else torch.zeros(shape, dtype=dtype)


def places(x: torch.Tensor) -> torch.Tensor:
    """Integers of x's shape that are indices into both of its dimensions."""
    rows, columns = x.shape
    line = [[(3 * i + 5 * j) % min(rows, columns) for j in range(columns)] for i in range(rows)]
    return torch.tensor(line)


def ops() -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    return {
        "rows": lambda x: (x * 2 + 1).relu() - x.exp(),
        "short": lambda x: (x[:1, :3] * 0.5).tanh(),
        "bias": lambda x: x + x[0],
        "columns": lambda x: x * x[:, :1] + x.sum(),
        "turned": lambda x: x + x.t().contiguous().t(),
        "across": lambda x: x[:, : x.shape[0]] - x[:, : x.shape[0]].t(),
        "gaps": lambda x: x[::2, 1::2] * 3,
        "wide": lambda x: x[:, None, :] * x[None, :, :1],
        "scalar": lambda x: x.sum() * 2 + x.mean(),
        "compare": lambda x: (x > 0.1) & (x < x[0]),
        "where": lambda x: torch.where(x > 0, x, -x * 2),
        "cast": lambda x: x.to(torch.int64) + x.to(torch.int32) + (x > 0),
        "double": lambda x: x.double() / 3 + x,
        "whole": lambda x: (x.to(torch.int64) * 5 - 2) ^ 7,
        "sum": lambda x: x.sum(0) + x.sum(1).max(),
        "folds": lambda x: x[None].expand(3, *x.shape).amax((0, 2)) + x.prod(1) + x.amin(1),
        "middle": lambda x: (x[:, :, None] * x[0, :5]).sum(1),
        "apart": lambda x: (x[:, :, None] * x[0, :5]).sum((0, 2)),
        "product": lambda x: x @ x.t() @ x,
        "batches": lambda x: (x[None] * 2) @ x.t().expand(4, *x.t().shape),
        "rows of batches": lambda x: torch.stack([x, x + 1]) @ x.t(),
        "rows turned": lambda x: F.linear(x[None].transpose(0, 1), x * 0.5),
        "one row": lambda x: x[:1] @ x.t() + x[:1] @ x.t().contiguous(),
        "one row turned": lambda x: x.t()[:1] @ x + x[:, 0] @ x[:, ::1],
        "one row with gaps": lambda x: x[:1, ::2] @ x.t()[::2] + x[None, 0, ::2] @ x[:, ::2].t(),
        "linear": lambda x: F.linear(torch.stack([x, x]), x * 0.5, x.sum(1)),
        "softmax": lambda x: x.softmax(1) + x.log_softmax(0) + x.t().softmax(0).t(),
        "spread": lambda x: x.var(1) + x.logsumexp(1),
        "cat": lambda x: torch.cat([x, x * 2, x[:1]], 0).t(),
        "cat across": lambda x: torch.cat([x.t(), x[:, :2].t() * 3], 0),
        "stack": lambda x: torch.stack([x, -x], 2),
        "reshape": lambda x: x.t().reshape(-1) * x.reshape(-1),
        "gather": lambda x: x.gather(1, places(x)) + x.t().gather(0, places(x).t()).t(),
        "narrow places": lambda x: x.gather(0, (places(x) * 0)[:, :1].expand(*x.shape)),
        "rows at": lambda x: x[places(x)[0]] * 2 + x[-1],
        "columns at": lambda x: x[:, places(x)[:1]].sum(1),
        "embedding": lambda x: F.embedding(places(x), x),
        "added at": lambda x: x.index_add(0, places(x)[0], x[places(x)[0]] * 0.3),
        "few": lambda x: (x[:, :4] - x[:, :4].amax(1, keepdim=True)) * x[0, :4],
        "few turned": lambda x: (x[:3] * x[:3].sum(0)).t() + x[0, :3],
        "classes": lambda x: F.cross_entropy(x, places(x)[:, 0]) + F.nll_loss(x, places(x)[:, 0]),
        "full": lambda x: torch.full((3, 5), 2.5) * torch.ones(5, dtype=torch.int32),
    }


@pytest.mark.parametrize("name", ops())
@pytest.mark.parametrize("shape", [(7, 11), (1, 3), (40, 65)])
def test_bits_are_those_of_one_at_a_time(
    name: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also: nothing of it falls back to NumPy."""
    alone: list[str] = []
    by_numpy = first.Runner.by_numpy

    def watched(self: Any, op: Any, *more: Any) -> None:
        alone.append(op.name)
        by_numpy(self, op, *more)

    if not hasattr(first, "__loader__") or str(first.__file__).endswith(".py"):
        monkeypatch.setattr(first.Runner, "by_numpy", watched)
    f = ops()[name]
    if name in ("middle", "apart", "cat across", "across") and min(shape) < 2:
        return
    x = filled(*shape) if name != "across" else filled(shape[0], max(shape))
    got = f(x)
    again = f(x.clone())
    assert torch.equal(got, again)
    if SUPPORTED:
        assert not alone


def test_products_have_room() -> None:
    for kind in (torch.float32, torch.float64):
        code = eager_steps.matmul.general_matmul(kind, host())
        for m in (0, 1, 5, 13, 97, 1000):
            for k in (1, 3, 250, 390, 5000):
                for n in (1, 7, 33, 3000):
                    assert products.bench_of(kind.code, m, k, n) >= code.workspace(m, k, n)


def test_gradients_and_steps() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for n in range(3, 12):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(filled(n, 5)), torch.arange(n) % 3)
        loss.backward()
        optimizer.step()
        assert loss.item() > 0


def test_views_writes_and_empties() -> None:
    x = filled(6, 4)
    for n in range(1, 5):
        y = x.clone()
        y[1 : n + 1, ::2] += 5
        y.t()[0] = n
        y.diagonal().mul_(3)
        z = torch.cat([y[:0], y[n:]], 0)
        assert z.sum().item() == pytest.approx(float(np.sum(z.numpy())), rel=1e-5)
        assert (y[:0] * 2).sum().item() == 0
        assert tuple((y[:, :0] @ y[:0, :]).shape) == (6, 4)
        assert (y[:, :0] @ y[:0, :]).abs().sum().item() == 0


def test_an_index_outside_is_told_with_its_line() -> None:
    """The program is ended where it stands: what came before is there, what comes after is not."""
    table = filled(5, 3)
    for n in range(2, 6):
        i = torch.tensor([0, n - 7, n + 3] if n < 4 else [[0, 1], [4, 3 + n]]) * 1
        before = table[:n] * 2
        bad = table[i]
        after = table[:n] * 3
        with pytest.raises(IndexError, match="out of") as error:
            (bad.sum() + after.sum()).item()
        assert any("test_first.py" in note for note in error.value.__notes__)
        assert torch.equal(before, table[:n] * 2)
        with pytest.raises(IndexError, match="Target"):
            F.nll_loss(table, torch.arange(5) * n).item()
        with pytest.raises(RuntimeError, match="out of bounds"):
            table.gather(1, torch.full((5, n), 3)).sum().item()


def test_a_failure_in_the_middle_keeps_what_came_before() -> None:
    for n in range(2, 6):
        x = filled(n, 3)
        y = x * 2
        i = torch.tensor([n + 3]) * 1
        bad = x[i] if n % 2 else x.index_select(0, i)
        with pytest.raises(IndexError, match="out of"):
            bad.sum().item()
        assert torch.equal(y, x * 2)


def test_numbers_of_every_kind() -> None:
    x = filled(3, 4)
    k = torch.arange(6)
    for n in range(2, 5):
        assert (x[:, :n] * True + 2).dtype is torch.float32
        assert (k[:n] + True).tolist() == [i + 1 for i in range(n)]
        assert (k[:n] * 2.5).tolist() == [2.5 * i for i in range(n)]
        assert (k[:n] > -1).all().item()


def test_float64_as_the_default_type() -> None:
    before = torch.get_default_dtype()
    try:
        for kind in (torch.float64, torch.float32):
            torch.set_default_dtype(kind)
            for n in range(1, 4):
                assert (torch.arange(n + 2) / 3).dtype is kind
                assert (torch.arange(n + 2) / 3)[1].item() == pytest.approx(1 / 3)
    finally:
        torch.set_default_dtype(before)


def test_copies_of_operands_live_as_long_as_their_program() -> None:
    """Writing a copy may run what was written before: its own memory has to be kept after that."""
    runner = first.Runner()
    x = steps.Cell()
    base = torch.ones(128, 80)
    spec = first.Spec((80, 128), torch.float32, (1, 80))
    x.mem = held = first.Buffer(base.numel() * 4)
    held.array(np.dtype(np.float32), (128 * 80,))[:] = 1
    x.at = held.address
    x.spec = spec
    for make in (
        lambda: runner.laid(x, spec.shape, spec.strides),
        lambda: runner.turned(x, [0, 1], 2),
        lambda: runner.contiguous(x),
    ):
        runner.idle = steps.IDLE + 1  # the copy begins a new program
        made = make()
        memory = made.mem
        assert memory is not runner.arena and any(m is memory for m in runner.waiting)
        runner.flush()
        assert (runner.array(made) == 1).all()


def test_copies_in_more_dimensions_than_a_nest_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "DEEP", 2)
    x = filled(3, 2, 5, 4)
    turned = x.permute(2, 0, 3, 1)
    want = np.asarray(x.tolist()).transpose(2, 0, 3, 1)
    assert (turned.contiguous() * 1).tolist() == want.astype(np.float32).tolist()
    assert (turned + turned[:, :1, :, :1]).shape == (5, 3, 4, 2)


def test_windows_without_an_element() -> None:
    """Wide steps may lead around the whole plane: nothing wins, and no gradient goes anywhere."""
    for shape, kernel, pad, wide in (
        ((2, 2, 2), 2, 1, 3),
        ((2, 2, 1, 40), (1, 2), (0, 1), (1, 41)),
        ((1, 2, 2, 2), 2, 1, 3),
    ):
        pool = F.max_pool1d if len(shape) == 3 else F.max_pool2d
        x = torch.ones(shape, requires_grad=True)
        y = pool(x, kernel, 1, pad, wide)
        y.sum().backward()
        assert x.grad.abs().sum().item() == 0
        assert (y == -float("inf")).all()


def test_places_outside_are_refused_where_nothing_is_read() -> None:
    x, at, row = torch.zeros(3, 0), torch.tensor([7]), torch.zeros(1, 0)
    for make, error in (
        (lambda i: x[i], IndexError),
        (lambda i: torch.index_select(x, 0, i), IndexError),
        (lambda i: x.index_add(0, i, row), RuntimeError),
        (lambda i: x.index_put((i,), row, accumulate=True), IndexError),
        (lambda i: torch.zeros(0, 2).index_add(0, i, torch.zeros(1, 2)), RuntimeError),
    ):
        for known in (True, False):
            with pytest.raises(error, match=r"index 7 is out of bounds|index out of range in self"):
                make(at if known else at * 1).tolist()


def test_what_a_gradient_keeps_of_a_view_with_gaps() -> None:
    """A gradient that may be differentiated keeps what the view it read is a part of."""
    x = filled(3, 3, 1, 5)
    w = filled(2, 3, 1, 1).requires_grad_()
    y = F.conv2d(x[:, :, :, 1:3], w)
    found = []
    for _ in range(4):
        (g,) = torch.autograd.grad((y * 0.5).tanh().sum(), [w], create_graph=True)
        found.append(g.tolist())
        (twice,) = torch.autograd.grad(g.sum(), [w], retain_graph=True)
        assert bool(torch.isfinite(twice).all())
    assert found[1:] == found[:-1]
