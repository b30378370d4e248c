"""Losses: values against NumPy, gradients, extremes, errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import losses as ls
from tests.graph.rows import check_gradients, evaluate, first_order, spec_of

RNG = np.random.default_rng(2)
X = RNG.uniform(-2, 2, (3, 4))
T = RNG.uniform(-2, 2, (3, 4))
P = RNG.uniform(0.1, 0.9, (3, 4))
Q = RNG.uniform(0.1, 0.9, (3, 4))
REDUCE: dict[str, Any] = {"none": lambda v: v, "mean": np.mean, "sum": np.sum}
PAIRS: dict[str, tuple[Any, list[Any], Any, list[int]]] = {
    "mse_loss": (ls.mse_loss, [X, T], lambda x, t: (x - t) ** 2, [0, 1]),
    "l1_loss": (ls.l1_loss, [X, T], lambda x, t: np.abs(x - t), [0, 1]),
    "smooth_l1_loss": (ls.smooth_l1_loss, [X, T, 0.7], ls.smooth_l1.reference, [0, 1]),
    "huber_loss": (ls.huber_loss, [X, T, 0.7], ls.huber.reference, [0, 1]),
    "binary_cross_entropy": (ls.binary_cross_entropy, [P, Q], ls.bce.reference, [0, 1]),
    "binary_cross_entropy weighted": (
        ls.binary_cross_entropy,
        [P, Q, T[0]],
        lambda x, t, w: ls.bce.reference(x, t) * w,
        [0, 1],  # type: ignore[misc]
    ),
    "with_logits": (ls.binary_cross_entropy_with_logits, [X, Q], ls.bce_logits.reference, [0, 1]),
    "with_logits_pos": (
        ls.binary_cross_entropy_with_logits_pos,
        [X, Q, P[0]],
        ls.bce_logits_pos.reference,
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCE)
def test_pairs(name: str, reduction: str) -> None:
    op, operands, reference, wants = PAIRS[name]
    f = lambda *v: op(*v, arg=(reduction,))  # noqa: E731
    got = evaluate(f, *operands)
    np.testing.assert_allclose(got, REDUCE[reduction](reference(*operands)), rtol=1e-12)
    assert spec_of(f, *operands).shape == got.shape
    check_gradients(f, operands, wants)


def test_bce_at_the_ends() -> None:
    """Logarithms stop at -100 and the gradient's divisor at 1e-12: no infinity, no NaN."""
    x = np.array([0.0, 1.0, 0.0, 1.0], np.float32)
    t = np.array([0.0, 1.0, 1.0, 0.0], np.float32)
    f = lambda *v: ls.binary_cross_entropy(*v, arg=("none",))  # noqa: E731
    assert evaluate(f, x, t).tolist() == [0, 0, 100, 100]
    (g,) = first_order(f, [x, t], [0])
    assert np.isfinite(g).all() and g[0] == 0 and abs(g[2]) > 1e11
    with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
        evaluate(f, np.array([0.5, 1.5]), np.array([1.0, 1.0]))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        evaluate(f, np.array([np.nan]), np.array([1.0]))


def test_logits_are_stable() -> None:
    x = np.array([-200.0, 200.0, 0.0], np.float32)
    t = np.array([0.0, 1.0, 0.5], np.float32)
    f = lambda *v: ls.binary_cross_entropy_with_logits(*v, arg=("none",))  # noqa: E731
    got = evaluate(f, x, t)
    assert got[0] == 0 and got[1] == 0 and got[2] == pytest.approx(np.log(2))
    (g,) = first_order(f, [x, t], [0])
    assert np.isfinite(g).all()


def class_loss(x: Any, t: Any, w: Any, arg: Any) -> Any:
    """Cross-entropy by loops; x is (N, C, ...) moved to (N, ..., C)."""
    reduction, ignore, eps = arg
    x = np.moveaxis(x, 1, -1)
    c = x.shape[-1]
    w = np.ones(c) if w is None else w
    lp = x - np.log(np.exp(x).sum(-1, keepdims=True))
    out, weights = np.zeros(t.shape), np.zeros(t.shape)
    for at in np.ndindex(*t.shape):
        k = t[at]
        if k == ignore:
            continue
        out[at] = -(1 - eps) * w[k] * lp[at][k] - eps / c * (w * lp[at]).sum()
        weights[at] = w[k]
    if reduction == "none":
        return out
    return out.sum() / (weights.sum() if reduction == "mean" else 1)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    ("weighted", "ignore", "eps"), list(itertools.product([False, True], [-100, 1], [0.0, 0.2]))
)
def test_cross_entropy(shape: Any, reduction: str, weighted: bool, ignore: int, eps: float) -> None:
    r = np.random.default_rng(len(shape))
    x = r.uniform(-2, 2, shape)
    t = np.arange(4).reshape(shape[:1] + shape[2:]) * 2 % 3
    if ignore < 0:
        t.flat[0] = ignore
    more = [r.uniform(0.5, 2, 3)] if weighted else []
    arg = (reduction, ignore, eps)
    f = lambda *v: ls.cross_entropy(*v, arg=arg)  # noqa: E731
    got = evaluate(f, x, t, *more)
    np.testing.assert_allclose(got, class_loss(x, t, more[0] if more else None, arg), rtol=1e-12)
    assert spec_of(f, x, t, *more).shape == got.shape
    check_gradients(f, [x, t, *more], [0], second=reduction == "mean")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_loss(reduction: str, weighted: bool) -> None:
    t = np.array([2, 0, 3])
    more = [np.array([0.5, 1.0, 2.0, 1.5])] if weighted else []
    f = lambda *v: ls.nll_loss(*v, arg=(reduction, -100))  # noqa: E731
    each = np.array([-X[i, k] * (more[0][k] if weighted else 1) for i, k in enumerate(t)])
    want = {
        "none": each,
        "sum": each.sum(),
        "mean": each.sum() / (more[0][t].sum() if weighted else 3),
    }[reduction]
    np.testing.assert_allclose(evaluate(f, X, t, *more), want, rtol=1e-12)
    check_gradients(f, [X, t, *more], [0])


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_probabilities(eps: float, reduction: str, weighted: bool) -> None:
    t = Q / Q.sum(1, keepdims=True)
    more = [np.array([0.5, 1.0, 2.0, 1.5])] if weighted else []
    f = lambda *v: ls.cross_entropy_soft(*v, arg=(reduction, eps))  # noqa: E731
    lp = X - np.log(np.exp(X).sum(1, keepdims=True))
    each = -((t * (1 - eps) + eps / 4) * lp * (more[0] if weighted else 1)).sum(1)
    want = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
    np.testing.assert_allclose(evaluate(f, X, t, *more), want, rtol=1e-12)
    check_gradients(f, [X, t, *more], [0, 1])


def test_one_example_without_batch() -> None:
    f = lambda *v: ls.cross_entropy(*v, arg=("mean", -100, 0.0))  # noqa: E731
    x = X[0]
    want = -(x[2] - np.log(np.exp(x).sum()))
    assert evaluate(f, x, np.array(2)) == pytest.approx(want, rel=1e-13)
    check_gradients(f, [x, np.array(2)], [0])
    none = lambda *v: ls.cross_entropy(*v, arg=("none", -100, 0.0))  # noqa: E731
    assert evaluate(none, x, np.array([2])).shape == (1,)
    check_gradients(none, [x, np.array([2])], [0])


def test_everything_ignored_is_nan() -> None:
    f = lambda *v: ls.cross_entropy(*v, arg=("mean", 1, 0.0))  # noqa: E731
    assert np.isnan(evaluate(f, X, np.array([1, 1, 1])))


@pytest.mark.parametrize(
    ("x", "t", "error", "words"),
    [
        (
            X,
            np.array([0, 1]),
            ValueError,
            r"Expected input batch_size \(3\) to match target batch_size \(2\).",
        ),
        (
            X,
            np.array([0.0, 1, 2]),
            RuntimeError,
            "expected target dtype to be Long or Byte, but got Double",
        ),
        (
            X,
            np.zeros((3, 1), int),
            RuntimeError,
            "0D or 1D target tensor expected, multi-target not supported",
        ),
        (
            X[0],
            np.array([1, 1]),
            ValueError,
            "For 1D input, 1D target must have size 1, but got target size: 2",
        ),
        (
            np.zeros((2, 3, 4)),
            np.zeros((2, 5), int),
            RuntimeError,
            r"Expected target size \[2, 4\], got \[2, 5\]",
        ),
    ],
)
def test_shape_errors(x: Any, t: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        spec_of(lambda *v: ls.cross_entropy(*v, arg=("mean", -100, 0.0)), x, t)


def test_target_out_of_bounds() -> None:
    with pytest.raises(IndexError, match=r"^Target 7 is out of bounds.$"):
        evaluate(lambda *v: ls.cross_entropy(*v, arg=("mean", -100, 0.0)), X, np.array([0, 7, 1]))
    with pytest.raises(IndexError, match=r"^Target -1 is out of bounds.$"):
        evaluate(lambda *v: ls.nll_loss(*v, arg=("mean", -100)), X, np.array([0, -1, 1]))


def test_unknown_reduction() -> None:
    with pytest.raises(ValueError, match="average is not a valid value for reduction"):
        spec_of(lambda *v: ls.mse_loss(*v, arg=("average",)), X, T)
