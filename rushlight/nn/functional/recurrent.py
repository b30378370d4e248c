"""Recurrent layers and cells: what ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` compute.

A layer walks over a sequence of steps.  A packed sequence is steps of shrinking batches one after
the other, with ``batch_sizes`` saying how many of each.  Weights come as PyTorch lists them: for
every layer and direction ``weight_ih, weight_hh[, bias_ih, bias_hh][, weight_hr]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ... import engine
from ...engine import Tensor, apply
from ...graph.ops import movement, sequences
from ...graph.ops import recurrent as rows
from ...tensor.join import cat, stack
from .dropout import dropout as drop
from .linear import linear

State = tuple[Any, ...]  # of one step: (h,) or (h, c)


class Weights(NamedTuple):
    """What one layer multiplies by, in one direction."""

    ih: Any
    hh: Any
    bias_ih: Any = None
    bias_hh: Any = None
    projection: Any = None


Step = Callable[[Any, State, Weights], State]


# ---------------------------------------------------------------- one step
def _lstm_step(x: Any, state: State, w: Weights) -> State:
    h, c = state
    a = linear(x, w.ih, w.bias_ih)
    b = linear(h, w.hh, w.bias_hh)
    memory = apply(rows.lstm_memory, a, b, c)
    out = apply(rows.lstm_state, a, b, memory)
    return (out if w.projection is None else linear(out, w.projection)), memory


def _gru_step(x: Any, state: State, w: Weights) -> State:
    h = state[0]
    a, b = linear(x, w.ih, w.bias_ih), linear(h, w.hh, w.bias_hh)
    return (apply(rows.gru_state, a, b, h),)


def _plain_step(nonlinearity: str) -> Step:
    def step(x: Any, state: State, w: Weights) -> State:
        total: Any = linear(x, w.ih, w.bias_ih) + linear(state[0], w.hh, w.bias_hh)
        return (getattr(total, nonlinearity)(),)

    return step


STEPS: dict[str, Step] = {
    "LSTM": _lstm_step,
    "GRU": _gru_step,
    "RNN_TANH": _plain_step("tanh"),
    "RNN_RELU": _plain_step("relu"),
}


def cell(mode: str, x: Tensor, state: State, w: Weights) -> State:
    """One step of a cell: (B, I) with states (B, H); ``RuntimeError`` when sizes do not fit."""
    given: Any = x
    if given.shape[1] != w.ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {given.shape[1]} expected {w.ih.shape[1]}"
        )
    for i, s in enumerate(state):
        if given.shape[0] != s.shape[0]:
            raise RuntimeError(
                f"Input batch size {given.shape[0]} doesn't match hidden{i} batch size {s.shape[0]}"
            )
        if s.shape[1] != w.hh.shape[1]:
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {s.shape[1]}, expected "
                f"{w.hh.shape[1]}"
            )
    return STEPS[mode](x, state, w)


# ---------------------------------------------------------------- one layer, one direction
def _along(step: Step, xs: Sequence[Any], state: State, w: Weights, back: bool) -> Any:
    """The states' first parts of all steps in order, and the last state."""
    outs = []
    for x in reversed(xs) if back else xs:
        state = step(x, state, w)
        outs.append(state[0])
    return (outs[::-1] if back else outs), state


def _along_packed(step: Step, xs: Sequence[Any], state: State, w: Weights, back: bool) -> Any:
    """The same for batches that shrink from step to step."""
    sizes = [x.shape[0] for x in xs]
    if back:
        first = tuple(s[: sizes[-1]] for s in state)
        outs = []
        for x, n in zip(reversed(xs), reversed(sizes), strict=True):
            have = first[0].shape[0]
            if n > have:
                first = tuple(
                    cat([s, whole[have:n]], 0) for s, whole in zip(first, state, strict=True)
                )
            first = step(x, first, w)
            outs.append(first[0])
        return outs[::-1], first
    outs, ended = [], []
    for x, n in zip(xs, sizes, strict=True):
        have = state[0].shape[0]
        if n < have:
            ended.append(tuple(s[n:have] for s in state))
            state = tuple(s[:n] for s in state)
        state = step(x, state, w)
        outs.append(state[0])
    ended.append(state)
    return outs, tuple(
        parts[0] if len(parts) == 1 else cat(list(parts), 0)
        for parts in zip(*reversed(ended), strict=True)
    )


# ---------------------------------------------------------------- one layer as one record
def _whole(mode: str, x: Any, state: State, w: Weights, back: bool) -> tuple[Any, State]:
    """The states of all steps (T, B, H), and the last state, of sequences of one length."""
    last = 0 if back else x.shape[0] - 1
    if mode == "GRU":
        given = () if w.bias_hh is None else (w.bias_hh,)
        pre = linear(x, w.ih, w.bias_ih)
        out: Any = apply(sequences.gru_layer, pre, state[0], w.hh, *given, arg=(back,))
        return out, (out[last],)
    pre = linear(x, w.ih, None if w.bias_ih is None else w.bias_ih + w.bias_hh)
    if mode == "LSTM":
        made: Any = apply(sequences.lstm_layer, pre, *state, w.hh, arg=(back,))
        return made[1:], (made[last + 1], made[0])
    out = apply(sequences.rnn_layer, pre, state[0], w.hh, arg=(back, mode[4:].lower()))
    return out, (out[last],)


# ---------------------------------------------------------------- all layers
def _grouped(flat: Sequence[Any], biased: bool, projected: bool) -> list[Weights]:
    each = 2 + 2 * biased + projected
    if len(flat) % each:
        raise RuntimeError(f"expected {each} weights for each layer and direction, got {len(flat)}")
    made = []
    for i in range(0, len(flat), each):
        part = list(flat[i : i + each])
        last = part.pop() if projected else None
        bias_ih, bias_hh = part[2:] if biased else (None, None)
        made.append(Weights(part[0], part[1], bias_ih, bias_hh, last))
    return made


def _projects(mode: str, states: Sequence[Any]) -> bool:
    return mode == "LSTM" and bool(states[0].shape[2] != states[1].shape[2])


def sequence(
    mode: str,
    input: Tensor,
    states: Sequence[Tensor],
    flat: Sequence[Any],
    biased: bool,
    dropout: float,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, tuple[Any, ...]]:
    """A batch of sequences of one length, (T, B, I) or (B, T, I) with ``batch_first``: the last
    layer's states at every step, and every layer's last states (layers * directions, B, H)."""
    x: Any = input
    if batch_first:
        x = x.transpose(0, 1)
    if not x.shape[0]:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    projected = _projects(mode, states)
    weights = _grouped(flat, biased, projected)
    directions = 2 if bidirectional else 1
    finals: list[State] = []
    for layer in range(0, len(weights), directions):
        outs = []
        for d in range(directions):
            state = tuple(s[layer + d] for s in states)
            w = weights[layer + d]
            if projected:
                steps, last = _along(STEPS[mode], list(x.unbind(0)), state, w, d == 1)
                out = stack(steps, 0)
            else:
                out, last = _whole(mode, x, state, w, d == 1)
            outs.append(out)
            finals.append(last)
        x = cat(outs, -1) if bidirectional else outs[0]
        if dropout and layer + directions < len(weights):
            x = drop(x, dropout)
    last = tuple(stack(list(s), 0) for s in zip(*finals, strict=True))
    if batch_first:
        return x.transpose(0, 1), last
    if mode != "LSTM" and directions == 1:  # the last states are no function of what is given back
        x = engine.view(movement.expand, x, tuple(x.shape))
    return x, last


def packed_sequence(
    mode: str,
    data: Tensor,
    batch_sizes: Tensor,
    states: Sequence[Tensor],
    flat: Sequence[Any],
    biased: bool,
    dropout: float,
    bidirectional: bool,
) -> tuple[Tensor, tuple[Any, ...]]:
    """Steps of shrinking batches: data (sum of ``batch_sizes``, I)."""
    whole: Any = data
    sizes = [int(n) for n in engine.read(batch_sizes)]
    weights = _grouped(flat, biased, _projects(mode, states))
    directions = 2 if bidirectional else 1
    finals: list[State] = []
    for layer in range(0, len(weights), directions):
        xs = list(whole.split(sizes, 0))
        outs = []
        for d in range(directions):
            state = tuple(s[layer + d] for s in states)
            out, last = _along_packed(STEPS[mode], xs, state, weights[layer + d], d == 1)
            outs.append(cat(out, 0))
            finals.append(last)
        whole = cat(outs, -1) if bidirectional else outs[0]
        if dropout and layer + directions < len(weights):
            whole = drop(whole, dropout)
    return whole, tuple(stack(list(s), 0) for s in zip(*finals, strict=True))


# ---------------------------------------------------------------- the functions of torch
def _function(mode: str) -> Callable[..., Any]:
    many = mode == "LSTM"

    def run(input: Tensor, *args: Any) -> Any:
        packed = isinstance(args[1], Tensor | tuple | list) and isinstance(args[2], tuple | list)
        if packed:
            sizes, hx, flat, biased, _, dropout, train, both = args
            rest = (flat, biased, dropout if train else 0.0, both)
            given = hx if many else (hx,)
            out, last = packed_sequence(mode, input, sizes, given, *rest)
        else:
            hx, flat, biased, _, dropout, train, both, first = args
            rest = (flat, biased, dropout if train else 0.0, both)
            out, last = sequence(mode, input, hx if many else (hx,), *rest, first)
        return out, *last

    run.__name__ = run.__qualname__ = mode.lower()
    run.__doc__ = (
        f"``torch.{mode.lower()}(input[, batch_sizes], hx, params, has_biases, num_layers, "
        "dropout, train, bidirectional[, batch_first])``: the output and the last states."
    )
    return run


def _cell_function(mode: str) -> Callable[..., Any]:
    def run(
        input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
    ) -> Any:
        state = tuple(hx) if mode == "LSTM" else (hx,)
        made = cell(mode, input, state, Weights(w_ih, w_hh, b_ih, b_hh))
        return made if mode == "LSTM" else made[0]

    run.__name__ = run.__qualname__ = f"{mode.lower()}_cell"
    run.__doc__ = f"``torch.{mode.lower()}_cell``: one step of a cell, (B, I) and (B, H)."
    return run


lstm, gru, rnn_tanh, rnn_relu = map(_function, ("LSTM", "GRU", "RNN_TANH", "RNN_RELU"))
lstm_cell, gru_cell, rnn_tanh_cell, rnn_relu_cell = map(
    _cell_function, ("LSTM", "GRU", "RNN_TANH", "RNN_RELU")
)
