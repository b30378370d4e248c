"""Order statistics that skip NaN, slopes, running integrals, histograms; copies and parts."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight as torch

NAN = math.nan
X = torch.tensor([[3.0, NAN, 1.0, 2.0], [NAN, NAN, 5.0, 4.0]], dtype=torch.float64)


def test_statistics_that_skip_nan() -> None:
    assert torch.nanmedian(X).item() == 3.0
    found = X.nanmedian(1)
    assert found.values.tolist() == [2.0, 4.0] and found.indices.tolist() == [3, 3]
    q = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        got = torch.nanquantile(X, q, dim=1, interpolation=how).numpy()
        assert np.allclose(got, np.nanquantile(X.numpy(), q.numpy(), 1, method=how))
    assert torch.nanquantile(X, 0.5, dim=0, keepdim=True).shape == (1, 4)


def test_integrals_and_slopes() -> None:
    y = torch.tensor([[1.0, 4.0, 9.0, 16.0], [2.0, 3.0, 5.0, 7.0]], dtype=torch.float64)
    x = torch.tensor([0.0, 1.0, 3.0, 4.0], dtype=torch.float64)
    assert torch.cumulative_trapezoid(y[0]).tolist() == [2.5, 9.0, 21.5]
    assert torch.cumulative_trapezoid(y, x)[0].tolist() == [2.5, 15.5, 28.0]
    for order in (1, 2):
        want = np.gradient(y.numpy(), x.numpy(), axis=1, edge_order=order)
        (got,) = torch.gradient(y, spacing=(x,), dim=1, edge_order=order)
        assert np.allclose(got.numpy(), want)
        (got,) = torch.gradient(y, spacing=2.0, dim=1, edge_order=order)
        assert np.allclose(got.numpy(), np.gradient(y.numpy(), 2.0, axis=1, edge_order=order))


def test_histograms() -> None:
    x = torch.tensor([0.0, 1.0, 1.5, 2.0, 4.0])
    hist, edges = torch.histogram(x, 4, range=(0.0, 4.0))
    assert hist.tolist() == [1.0, 2.0, 1.0, 1.0] and edges.tolist() == [0, 1, 2, 3, 4]
    weighed = torch.histogram(x, torch.tensor([0.0, 2.0, 4.0]), weight=x, density=True)
    assert weighed.hist.tolist() == pytest.approx([2.5 / 17, 6.0 / 17])
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    assert torch.histogramdd(points, (2, 2)).hist.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_copies_and_parts() -> None:
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    made = torch.t_copy(x)
    assert made.stride() == (2, 1) and not made._is_view()
    (torch.select_scatter(x, torch.zeros(3), 0, 1) * 2).sum().backward()
    assert x.grad.tolist() == [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]
    part = torch.slice_scatter(x.detach(), torch.ones(2, 1), 1, 1, 2)
    assert part.tolist() == [[0.0, 1.0, 2.0], [3.0, 1.0, 5.0]]
    assert torch.diagonal_scatter(x.detach(), torch.tensor([7.0, 8.0])).tolist() == [
        [7.0, 1.0, 2.0],
        [3.0, 8.0, 5.0],
    ]
    with pytest.raises(RuntimeError, match="size equal to the slice"):
        torch.select_scatter(x, torch.zeros(2), 0, 1)


def test_combined_at_one_place() -> None:
    x, i = torch.tensor([1.0, 5.0]), torch.tensor([0, 0, 1])
    src = torch.tensor([3.0, 2.0, 4.0], requires_grad=True)
    made = x.scatter_reduce(0, i, src, "amax")
    assert made.tolist() == [3.0, 5.0]
    made.sum().backward()
    assert src.grad.tolist() == [1.0, 0.0, 0.0]
    assert x.scatter_reduce(0, i, src, "prod", include_self=False).tolist() == [6.0, 4.0]
    assert torch.index_reduce(x, 0, i, src, "amin").tolist() == [1.0, 4.0]
    assert x.clone().index_reduce_(0, i, src.detach(), "mean").tolist() == [2.0, 4.5]


def test_segments_are_reduced_run_by_run() -> None:
    x = torch.arange(6.0).reshape(3, 2).requires_grad_()
    lengths = torch.tensor([1, 0, 2])
    assert torch.segment_reduce(x, "sum", lengths=lengths).tolist() == [[0, 1], [0, 0], [6, 8]]
    assert torch.segment_reduce(x, "prod", lengths=lengths).tolist() == [[0, 1], [1, 1], [8, 15]]
    low = float("-inf")
    made = torch.segment_reduce(x, "max", lengths=lengths)
    assert made.tolist() == [[0, 1], [low, low], [4, 5]]
    made[2].sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, 0], [1, 1]]
    mean = torch.segment_reduce(x, "mean", lengths=lengths, initial=1)
    assert mean.tolist() == [[1, 2], [1, 1], [3.5, 4.5]]
    assert torch.segment_reduce(x, "mean", lengths=lengths)[1].isnan().all()
    # where they begin and end, with rows before and after that belong to none
    assert torch.segment_reduce(x, "min", offsets=torch.tensor([1, 2])).tolist() == [[2, 3]]
    rows = torch.tensor([[1, 1], [0, 2], [2, 0]])
    assert torch.segment_reduce(x, "sum", lengths=rows, axis=1).tolist() == [[0, 1], [0, 5], [9, 0]]
    loose = torch.segment_reduce(x, "sum", lengths=torch.tensor([1, 1]), unsafe=True)
    assert loose.tolist() == [[0, 1], [2, 3]]
    with pytest.raises(RuntimeError, match="Either lengths or offsets"):
        torch.segment_reduce(x, "sum")
    with pytest.raises(RuntimeError, match="to sum to"):
        torch.segment_reduce(x, "sum", lengths=torch.tensor([1, 1]))
    with pytest.raises(NotImplementedError, match="for 'Long'"):
        torch.segment_reduce(x.detach().long(), "sum", lengths=lengths)
