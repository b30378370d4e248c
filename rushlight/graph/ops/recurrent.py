"""What recurrent cells do once their products are known: gates to states, with their gradients.

    lstm_memory(a, b, c)   the next memory of an LSTM cell; gates a + b in order i, f, g, o
    lstm_state(a, b, c)    its next state, from the gates and the next memory
    gru_state(a, b, h)     the next state of a GRU cell; gates r, z, n of input and of state

Gates are (..., k * H), states (..., H).  Composites: the derivative is stated with the gates that
the forward pass had, and goes back as one value of all gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..op import COMPOSITE, Op, Spec, register
from ..value import Val
from .elementwise import R, sigmoid, tanh, zeros_like
from .join import cat
from .movement import slice_


def gate(v: Val, i: int, width: int) -> Val:
    """The i-th gate of a value of several."""
    return slice_(v, arg=(len(v.shape) - 1, i * width, (i + 1) * width, 1))


def joined(*parts: Val) -> Val:
    """Gates beside each other."""
    return cat(*parts, arg=len(parts[0].shape) - 1)


def _infer(gates: int) -> Callable[..., Spec]:
    def infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
        a, b, state = srcs
        wanted = (*state.shape[:-1], gates * state.shape[-1])
        if a.shape != wanted or b.shape != wanted:
            raise RuntimeError(
                f"{op.name}: gates of shapes {list(a.shape)} and {list(b.shape)} for a state of "
                f"shape {list(state.shape)}; expected {list(wanted)}"
            )
        if a.dtype is not state.dtype or b.dtype is not state.dtype:
            raise RuntimeError(
                f"{op.name}: expected gates and state of one dtype, got {a.dtype.typename}, "
                f"{b.dtype.typename} and {state.dtype.typename}"
            )
        return Spec(state.shape, state.dtype, None, state.device)

    return infer


def _define(name: str, gates: int, decompose: Any, grads: Any) -> Op:
    op = register(Op(name, COMPOSITE, _infer(gates)))
    op.decompose, op.grads, op.domain = decompose, grads, (R, R, R)
    return op


# ---------------------------------------------------------------- LSTM
def _lstm_memory(a: Val, b: Val, c: Val, arg: Any = None) -> Val:
    v = a + b
    n = c.shape[-1]
    kept = sigmoid(gate(v, 1, n)) * c
    return kept + sigmoid(gate(v, 0, n)) * tanh(gate(v, 2, n))


def _memory_gates(g: Val, out: Val, a: Val, b: Val, c: Val) -> Val:
    v = a + b
    n = c.shape[-1]
    i, f, u = sigmoid(gate(v, 0, n)), sigmoid(gate(v, 1, n)), tanh(gate(v, 2, n))
    di = g * u * i * (1.0 - i)
    df = g * c * f * (1.0 - f)
    du = g * i * (1.0 - u * u)
    return joined(di, df, du, zeros_like(du))


def _memory_memory(g: Val, out: Val, a: Val, b: Val, c: Val) -> Val:
    return g * sigmoid(gate(a + b, 1, c.shape[-1]))


def _lstm_state(a: Val, b: Val, c: Val, arg: Any = None) -> Val:
    return sigmoid(gate(a + b, 3, c.shape[-1])) * tanh(c)


def _state_gates(g: Val, out: Val, a: Val, b: Val, c: Val) -> Val:
    o = sigmoid(gate(a + b, 3, c.shape[-1]))
    d = g * tanh(c) * o * (1.0 - o)
    none = zeros_like(d)
    return joined(none, none, none, d)


def _state_memory(g: Val, out: Val, a: Val, b: Val, c: Val) -> Val:
    t = tanh(c)
    return g * sigmoid(gate(a + b, 3, c.shape[-1])) * (1.0 - t * t)


lstm_memory: Op = _define(
    "lstm_memory", 4, _lstm_memory, (_memory_gates, _memory_gates, _memory_memory)
)
lstm_state: Op = _define("lstm_state", 4, _lstm_state, (_state_gates, _state_gates, _state_memory))


# ---------------------------------------------------------------- GRU
def _gru_parts(a: Val, b: Val, h: Val) -> tuple[Val, Val, Val, Val]:
    """Reset, update and new gates; the state's part of the new one."""
    n = h.shape[-1]
    r = sigmoid(gate(a, 0, n) + gate(b, 0, n))
    z = sigmoid(gate(a, 1, n) + gate(b, 1, n))
    part = gate(b, 2, n)
    return r, z, tanh(gate(a, 2, n) + r * part), part


def _gru_state(a: Val, b: Val, h: Val, arg: Any = None) -> Val:
    _, z, u, _ = _gru_parts(a, b, h)
    return (h - u) * z + u


def _gru_slopes(g: Val, a: Val, b: Val, h: Val) -> tuple[Val, Val, Val, Val]:
    r, z, u, part = _gru_parts(a, b, h)
    dz = g * (h - u) * z * (1.0 - z)
    du = g * (1.0 - z) * (1.0 - u * u)
    return du * part * r * (1.0 - r), dz, du, r


def _gru_input(g: Val, out: Val, a: Val, b: Val, h: Val) -> Val:
    dr, dz, du, _ = _gru_slopes(g, a, b, h)
    return joined(dr, dz, du)


def _gru_hidden(g: Val, out: Val, a: Val, b: Val, h: Val) -> Val:
    dr, dz, du, r = _gru_slopes(g, a, b, h)
    return joined(dr, dz, du * r)


def _gru_back(g: Val, out: Val, a: Val, b: Val, h: Val) -> Val:
    n = h.shape[-1]
    return g * sigmoid(gate(a, 1, n) + gate(b, 1, n))


gru_state: Op = _define("gru_state", 3, _gru_state, (_gru_input, _gru_hidden, _gru_back))
