"""Recurrent layers over whole sequences, as one record each.

    lstm_layer(pre, h0, c0, w)      (T + 1, B, H): the last memory, then the states of all steps
    gru_layer(pre, h0, w[, b])      (T, B, H): the states of all steps
    rnn_layer(pre, h0, w)           (T, B, H)

``pre`` (T, B, k * H) is what the input contributes to the gates, ``w`` (k * H, H) multiplies the
state.  arg = (backwards,), of ``rnn_layer`` (backwards, nonlinearity).  The composites unroll; what
one step needs of another is computed once however many of these rows ask for it.  The gradient at
the gates (``*_back``, of ``pre``'s shape) is a loop as well, that of the weights one product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..op import COMPOSITE, Op, Spec, register
from ..value import Val
from .contract import matmul, transpose
from .elementwise import add, gt, relu, sigmoid, tanh, where
from .join import cat
from .movement import reshape, select, slice_, unsqueeze
from .recurrent import gate, joined
from .reduce import sum_

Gates = tuple[Val, ...]


def _at(v: Val, t: int) -> Val:
    return select(v, arg=(0, t))


def _stacked(parts: Sequence[Val]) -> Val:
    return cat(*[unsqueeze(p, arg=0) for p in parts], arg=0)


def _steps(count: int, backwards: bool) -> list[int]:
    return list(range(count))[::-1] if backwards else list(range(count))


def _before(out: Val, first: Val, backwards: bool) -> Val:
    """The states (T, B, H) that the steps began with, given those that they ended with."""
    n = out.shape[0]
    start = unsqueeze(first, arg=0)
    if n == 1:
        return start
    if backwards:
        return cat(slice_(out, arg=(0, 1, n, 1)), start, arg=0)
    return cat(start, slice_(out, arg=(0, 0, n - 1, 1)), arg=0)


def _flat(v: Val) -> Val:
    return reshape(v, arg=(v.shape[0] * v.shape[1], v.shape[2]))


def _weight_slope(d: Val, states: Val) -> Val:
    """The gradient of w: one product over all steps and sequences."""
    return matmul(transpose(_flat(d)), _flat(states))


def _check(op: Op, srcs: Sequence[Spec], gates: int) -> Spec:
    pre, first, *rest = srcs
    t, b = pre.shape[:2]
    h = first.shape[-1]
    shapes = [s.shape for s in srcs]
    if pre.shape != (t, b, gates * h) or first.shape != (b, h):
        raise RuntimeError(f"{op.name}: operands of shapes {[list(s) for s in shapes]} do not fit")
    for s in rest:
        if s.dtype is not pre.dtype:
            raise RuntimeError(
                f"{op.name}: expected operands of one dtype, got {pre.dtype.typename} and "
                f"{s.dtype.typename}"
            )
    return Spec((t, b, h), pre.dtype, None, pre.device)


def _infer(gates: int, more: int = 0) -> Callable[..., Spec]:
    def infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
        s = _check(op, srcs, gates)
        return Spec((s.shape[0] + more, *s.shape[1:]), s.dtype, None, s.device)

    return infer


def _like(i: int) -> Callable[..., Spec]:
    """The spec of operand i."""
    return lambda op, srcs, arg: Spec(srcs[i].shape, srcs[i].dtype, None, srcs[i].device)


# ---------------------------------------------------------------- LSTM
def _lstm_steps(
    pre: Val, h: Val, c: Val, w: Val, backwards: bool
) -> list[tuple[int, Gates, Val, Val, Val]]:
    """In the order of computation: step, gates (i, f, g, o), memory before, memory, state."""
    turned = transpose(w)
    n = h.shape[-1]
    found: list[tuple[int, Gates, Val, Val, Val]] = []
    for t in _steps(pre.shape[0], backwards):
        x, v = _at(pre, t), matmul(h, turned)
        parts = [gate(x, k, n) + gate(v, k, n) for k in range(4)]
        i, f, o = (sigmoid(parts[k]) for k in (0, 1, 3))
        u = tanh(parts[2])
        old, c = c, f * c + i * u
        h = o * tanh(c)
        found.append((t, (i, f, u, o), old, c, h))
    return found


def _lstm(pre: Val, h0: Val, c0: Val, w: Val, arg: Any = None) -> Val:
    steps = _lstm_steps(pre, h0, c0, w, arg[0])
    states = [s[-1] for s in sorted(steps, key=lambda s: s[0])]
    return _stacked([steps[-1][3], *states])


def _lstm_walk(
    g: Val, pre: Val, h0: Val, c0: Val, w: Val, backwards: bool
) -> tuple[list[Val], Val]:
    """Gradients at the gates by step, and at the first memory."""
    dc, dh = _at(g, 0), None
    found: dict[int, Val] = {}
    for t, (i, f, u, o), old, c, _ in reversed(_lstm_steps(pre, h0, c0, w, backwards)):
        here = _at(g, t + 1)
        d = here if dh is None else here + dh
        q = tanh(c)
        dc = dc + d * o * (1.0 - q * q)
        found[t] = joined(
            dc * u * i * (1.0 - i),
            dc * old * f * (1.0 - f),
            dc * i * (1.0 - u * u),
            d * q * o * (1.0 - o),
        )
        dh = matmul(found[t], w)
        dc = dc * f
    return [found[t] for t in range(pre.shape[0])], dc


def _lstm_back(g: Val, pre: Val, h0: Val, c0: Val, w: Val, arg: Any = None) -> Val:
    return _stacked(_lstm_walk(g, pre, h0, c0, w, arg[0])[0])


def _lstm_back_memory(g: Val, pre: Val, h0: Val, c0: Val, w: Val, arg: Any = None) -> Val:
    return _lstm_walk(g, pre, h0, c0, w, arg[0])[1]


def _lstm_grad(i: int, g: Val, out: Val, pre: Val, h0: Val, c0: Val, w: Val) -> Val:
    if i == 2:
        return lstm_back_memory(g, pre, h0, c0, w, arg=out.arg)
    d = lstm_back(g, pre, h0, c0, w, arg=out.arg)
    n = pre.shape[0]
    backwards = out.arg[0]
    if i == 0:
        return d
    if i == 1:
        return matmul(_at(d, n - 1 if backwards else 0), w)
    states = slice_(out, arg=(0, 1, n + 1, 1))
    return _weight_slope(d, _before(states, h0, backwards))


def _define(name: str, infer: Any, decompose: Any, grads: Any = ()) -> Op:
    op = register(Op(name, COMPOSITE, infer))
    op.decompose, op.grads = decompose, grads
    return op


lstm_layer: Op = _define("lstm_layer", _infer(4, 1), _lstm, _lstm_grad)
lstm_back: Op = _define("lstm_back", _like(1), _lstm_back)
lstm_back_memory: Op = _define("lstm_back_memory", _like(3), _lstm_back_memory)


# ---------------------------------------------------------------- GRU
def _gru_steps(
    pre: Val, h: Val, w: Val, b: tuple[Val, ...], backwards: bool
) -> list[tuple[int, Gates, Val, Val]]:
    """In the order of computation: step, (r, z, n, the state's part of n), state before, state."""
    turned = transpose(w)
    width = h.shape[-1]
    found: list[tuple[int, Gates, Val, Val]] = []
    for t in _steps(pre.shape[0], backwards):
        x = _at(pre, t)
        v = matmul(h, turned)
        if b:
            v = add(v, b[0])
        r, z = (sigmoid(gate(x, k, width) + gate(v, k, width)) for k in (0, 1))
        part = gate(v, 2, width)
        u = tanh(gate(x, 2, width) + r * part)
        old, h = h, (h - u) * z + u
        found.append((t, (r, z, u, part), old, h))
    return found


def _gru(pre: Val, h0: Val, w: Val, *b: Val, arg: Any = None) -> Val:
    steps = _gru_steps(pre, h0, w, b, arg[0])
    return _stacked([s[-1] for s in sorted(steps, key=lambda s: s[0])])


def _gru_walk(
    g: Val, pre: Val, h0: Val, w: Val, b: tuple[Val, ...], backwards: bool
) -> tuple[list[Val], list[Val], Val]:
    """Gradients by step at the input's and the state's gates; that of the first state."""
    dh: Val | None = None
    at_input: dict[int, Val] = {}
    at_state: dict[int, Val] = {}
    for t, (r, z, u, part), old, _ in reversed(_gru_steps(pre, h0, w, b, backwards)):
        here = _at(g, t)
        d = here if dh is None else here + dh
        dz = d * (old - u) * z * (1.0 - z)
        du = d * (1.0 - z) * (1.0 - u * u)
        dr = du * part * r * (1.0 - r)
        at_input[t] = joined(dr, dz, du)
        at_state[t] = joined(dr, dz, du * r)
        dh = matmul(at_state[t], w) + d * z
    assert dh is not None
    order = range(pre.shape[0])
    return [at_input[t] for t in order], [at_state[t] for t in order], dh


def _gru_back(g: Val, pre: Val, h0: Val, w: Val, *b: Val, arg: Any = None) -> Val:
    return _stacked(_gru_walk(g, pre, h0, w, b, arg[0])[0])


def _gru_back_state(g: Val, pre: Val, h0: Val, w: Val, *b: Val, arg: Any = None) -> Val:
    return _stacked(_gru_walk(g, pre, h0, w, b, arg[0])[1])


def _gru_back_first(g: Val, pre: Val, h0: Val, w: Val, *b: Val, arg: Any = None) -> Val:
    return _gru_walk(g, pre, h0, w, b, arg[0])[2]


def _gru_grad(i: int, g: Val, out: Val, pre: Val, h0: Val, w: Val, *b: Val) -> Val:
    if i == 0:
        return gru_back(g, pre, h0, w, *b, arg=out.arg)
    if i == 1:
        return gru_back_first(g, pre, h0, w, *b, arg=out.arg)
    d = gru_back_state(g, pre, h0, w, *b, arg=out.arg)
    if i == 3:
        return sum_(d, arg=((0, 1), False))
    return _weight_slope(d, _before(out, h0, out.arg[0]))


gru_layer: Op = _define("gru_layer", _infer(3), _gru, _gru_grad)
gru_back: Op = _define("gru_back", _like(1), _gru_back)
gru_back_state: Op = _define("gru_back_state", _like(1), _gru_back_state)
gru_back_first: Op = _define("gru_back_first", _like(2), _gru_back_first)


# ---------------------------------------------------------------- plain
def _rnn_steps(pre: Val, h: Val, w: Val, arg: Any) -> list[tuple[int, Val]]:
    turned = transpose(w)
    found = []
    for t in _steps(pre.shape[0], arg[0]):
        h = (tanh if arg[1] == "tanh" else relu)(_at(pre, t) + matmul(h, turned))
        found.append((t, h))
    return found


def _rnn(pre: Val, h0: Val, w: Val, arg: Any = None) -> Val:
    return _stacked([h for _, h in sorted(_rnn_steps(pre, h0, w, arg), key=lambda s: s[0])])


def _rnn_back(g: Val, out: Val, w: Val, arg: Any = None) -> Val:
    dh: Val | None = None
    found: dict[int, Val] = {}
    for t in reversed(_steps(out.shape[0], arg[0])):
        here, h = _at(g, t), _at(out, t)
        d = here if dh is None else here + dh
        found[t] = d * (1.0 - h * h) if arg[1] == "tanh" else where(gt(h, 0.0), d, 0.0)
        dh = matmul(found[t], w)
    return _stacked([found[t] for t in range(out.shape[0])])


def _rnn_grad(i: int, g: Val, out: Val, pre: Val, h0: Val, w: Val) -> Val:
    d = rnn_back(g, out, w, arg=out.arg)
    backwards = out.arg[0]
    if i == 0:
        return d
    if i == 1:
        return matmul(_at(d, pre.shape[0] - 1 if backwards else 0), w)
    return _weight_slope(d, _before(out, h0, backwards))


rnn_layer: Op = _define("rnn_layer", _infer(1), _rnn, _rnn_grad)
rnn_back: Op = _define("rnn_back", _like(1), _rnn_back)
