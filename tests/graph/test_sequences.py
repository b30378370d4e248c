"""Recurrent rows against NumPy; gradients of two orders of every operand, in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import recurrent as rc
from rushlight.graph.ops import sequences as sq
from tests.graph.rows import check_gradients, evaluate

RNG = np.random.default_rng(4)
T, B, H = 3, 2, 2


def draw(*shape: int) -> Any:
    return RNG.uniform(-1, 1, shape)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm(pre: Any, h: Any, c: Any, w: Any, backwards: bool) -> Any:
    out: dict[int, Any] = {}
    for t in range(T)[:: -1 if backwards else 1]:
        i, f, u, o = np.split(pre[t] + h @ w.T, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(u)
        out[t] = h = sigmoid(o) * np.tanh(c)
    return np.stack([c, *(out[t] for t in range(T))])


def gru(pre: Any, h: Any, w: Any, b: Any, backwards: bool) -> Any:
    out: dict[int, Any] = {}
    for t in range(T)[:: -1 if backwards else 1]:
        (r, z, u), (vr, vz, vu) = np.split(pre[t], 3, -1), np.split(h @ w.T + b, 3, -1)
        z = sigmoid(z + vz)
        out[t] = h = (1 - z) * np.tanh(u + sigmoid(r + vr) * vu) + z * h
    return np.stack([out[t] for t in range(T)])


def rnn(pre: Any, h: Any, w: Any, backwards: bool, nonlinearity: str) -> Any:
    out: dict[int, Any] = {}
    for t in range(T)[:: -1 if backwards else 1]:
        v = pre[t] + h @ w.T
        out[t] = h = np.tanh(v) if nonlinearity == "tanh" else np.maximum(v, 0)
    return np.stack([out[t] for t in range(T)])


CASES: dict[str, tuple[Any, Any, list[Any], tuple[Any, ...]]] = {
    "lstm": (
        sq.lstm_layer, lstm, [draw(T, B, 4 * H), draw(B, H), draw(B, H), draw(4 * H, H)], (),
    ),
    "gru": (
        sq.gru_layer, gru, [draw(T, B, 3 * H), draw(B, H), draw(3 * H, H), draw(3 * H)], (),
    ),
    "tanh": (sq.rnn_layer, rnn, [draw(T, B, H), draw(B, H), draw(H, H)], ("tanh",)),
    "relu": (sq.rnn_layer, rnn, [draw(T, B, H), draw(B, H), draw(H, H)], ("relu",)),
}  # fmt: skip


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_layers(name: str, backwards: bool) -> None:
    op, reference, operands, more = CASES[name]
    f = lambda *v: op(*v, arg=(backwards, *more))  # noqa: E731
    got = evaluate(f, *operands)
    np.testing.assert_allclose(got, reference(*operands, backwards, *more), rtol=1e-12)
    check_gradients(f, operands, list(range(len(operands))))


def test_cells() -> None:
    gates, more, state = draw(B, 4 * H), draw(B, 4 * H), draw(B, H)
    for op in (rc.lstm_memory, rc.lstm_state):
        check_gradients(op, [gates, more, state], [0, 1, 2])
    check_gradients(rc.gru_state, [draw(B, 3 * H), draw(B, 3 * H), state], [0, 1, 2])
    i, f, u, o = np.split(gates + more, 4, -1)
    memory = evaluate(rc.lstm_memory, gates, more, state)
    np.testing.assert_allclose(memory, sigmoid(f) * state + sigmoid(i) * np.tanh(u), rtol=1e-12)
    np.testing.assert_allclose(
        evaluate(rc.lstm_state, gates, more, memory), sigmoid(o) * np.tanh(memory), rtol=1e-12
    )


def test_refused() -> None:
    with pytest.raises(RuntimeError, match="do not fit"):
        evaluate(lambda *v: sq.rnn_layer(*v, arg=(False, "tanh")), draw(2, 2, 3), draw(2, 2))
    with pytest.raises(RuntimeError, match="gru_state: gates of shapes"):
        evaluate(rc.gru_state, draw(2, 6), draw(2, 5), draw(2, 2))
