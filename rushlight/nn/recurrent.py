"""Recurrent layers: ``RNN``, ``LSTM``, ``GRU``, which walk over whole sequences."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, ClassVar

from .. import engine
from ..engine import Tensor
from ..tensor.creation import empty, zeros
from . import init
from .functional import recurrent as rec
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def apply_permutation(tensor: Tensor, permutation: Tensor, dim: int = 1) -> Tensor:
    """Deprecated: ``tensor.index_select(dim, permutation)``."""
    warnings.warn(
        "`apply_permutation` is deprecated, please use `tensor.index_select(dim, permutation)` "
        "instead",
        FutureWarning,
        stacklevel=2,
    )
    x: Any = tensor
    return x.index_select(dim, permutation)  # type: ignore[no-any-return]


def _check(value: Any, name: str, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")


class RNNBase(Module):
    """What the recurrent layers share: their weights, and the checks of what they are called with.

    Every weight and bias starts uniform within ``1 / sqrt(hidden_size)``.
    """

    __constants__: ClassVar[list[str]] = [
        "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
        "bidirectional", "proj_size",
    ]  # fmt: skip
    _title = "RNN"

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if (
            not isinstance(dropout, numbers.Number)
            or not 0 <= dropout <= 1
            or isinstance(dropout, bool)
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] "
                "representing the probability of an element being "
                "zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last "
                "recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        _check(bias, "bias", bool)
        _check(batch_first, "batch_first", bool)
        for value, name in ((input_size, "input_size"), (hidden_size, "hidden_size")):
            _check(value, name, int)
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        gates = _GATES[mode] * hidden_size
        out = self._out_size
        for layer in range(num_layers):
            given = input_size if layer == 0 else out * self._directions
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, given)}
            shapes["weight_hh"] = (gates, out)
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[: self._directions]:
                names = []
                for name, shape in shapes.items():
                    names.append(f"{name}_l{layer}{suffix}")
                    made = Parameter(empty(shape, device=device, dtype=dtype))
                    self.register_parameter(names[-1], made)
                self._all_weights.append(names)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _out_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        d = self.__dict__
        return [d[n] if n in d else getattr(self, n) for names in self._all_weights for n in names]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The weights of every layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Nothing to do: weights lie wherever they are."""

    def reset_parameters(self) -> None:
        """Draw new values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # ------------------------------------------------------------ what a call is given
    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """``RuntimeError`` or ``ValueError`` where type, rank or width is another."""
        kind = self._flat_weights[0].dtype
        if input.dtype is not kind:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({kind}). "
                f"Convert input: input.to({kind}), or convert model: model.to({input.dtype})"
            )
        want = 3 if batch_sizes is None else 2
        if len(input.shape) != want:
            raise RuntimeError(f"input must have {want} dimensions, got {len(input.shape)}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.shape[-1]}"
            )

    def _expected(self, input: Tensor, batch_sizes: Tensor | None, size: int) -> Any:
        if batch_sizes is not None:
            batch = int(engine.read(batch_sizes)[0])
        else:
            batch = input.shape[0 if self.batch_first else 1]
        return self.num_layers * self._directions, batch, size

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        """(layers * directions, batch, width of a state)."""
        return self._expected(input, batch_sizes, self._out_size)

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: Any, msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """``RuntimeError`` where a state has another shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Both checks."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """States in another order of the batch."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def _zeros(self, input: Tensor, batch: int) -> Any:
        """The states a sequence starts with where none are given."""
        return self._zero(input, batch, self._out_size)

    def _zero(self, input: Tensor, batch: int, width: int) -> Tensor:
        n = self.num_layers * self._directions
        made: Tensor = zeros((n, batch, width), dtype=input.dtype, device=input.device)
        return made

    def _parts(self, hx: Any) -> tuple[Any, ...]:
        return (hx,)

    def _whole(self, states: tuple[Any, ...]) -> Any:
        return states[0]

    def _batched(self, hx: Any, batched: bool) -> Any:
        """Given states with a batch dimension."""
        if batched:
            if hx.dim() != 3:
                raise RuntimeError(
                    f"For batched 3-D input, hx should also be 3-D but got {hx.dim()}-D tensor"
                )
            return hx
        if hx.dim() != 2:
            raise RuntimeError(
                f"For unbatched 2-D input, hx should also be 2-D but got {hx.dim()}-D tensor"
            )
        return hx.unsqueeze(1)

    # ------------------------------------------------------------ the call
    def forward(self, input: Any, hx: Any = None) -> Any:
        """The states of the last layer at every step, and every layer's last state."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        n = len(input.shape)
        if n not in (2, 3):
            also = " tensor" if self._title == "RNN" else ""
            raise ValueError(
                f"{self._title}: Expected input to be 2D or 3D, got {n}D{also} instead"
            )
        x: Any = input
        along = 0 if self.batch_first else 1
        if n == 2:
            x = x.unsqueeze(along)
        if hx is None:
            hx = self._zeros(x, x.shape[along])
        else:
            hx = self._batched(hx, n == 3)
        self.check_forward_args(x, hx, None)
        out: Any
        out, last = rec.sequence(
            self.mode, x, self._parts(hx), self._flat_weights, self.bias,
            self.dropout if self.training else 0.0, self.bidirectional, self.batch_first,
        )  # fmt: skip
        if n == 2:
            return out.squeeze(along), self._whole(tuple(s.squeeze(1) for s in last))
        return out, self._whole(last)

    def _forward_packed(self, input: PackedSequence, hx: Any) -> Any:
        data, sizes, order, back = input
        if hx is None:
            hx = self._zeros(data, int(engine.read(sizes)[0]))
        else:
            hx = self.permute_hidden(hx, order)
        self.check_forward_args(data, hx, sizes)
        out, last = rec.packed_sequence(
            self.mode, data, sizes, self._parts(hx), self._flat_weights, self.bias,
            self.dropout if self.training else 0.0, self.bidirectional,
        )  # fmt: skip
        made = PackedSequence(out, sizes, order, back)
        return made, self.permute_hidden(self._whole(last), back)

    def extra_repr(self) -> str:
        """Sizes, and the settings that are not the defaults."""
        out = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False),
            ("dropout", 0), ("bidirectional", False),
        ):  # fmt: skip
            value = getattr(self, name)
            if value != usual:
                out += f", {name}={value}"
        return out


class RNN(RNNBase):
    """``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`` (or ReLU), step by step, layer by layer.

    Input (T, B, I), (B, T, I) with ``batch_first``, (T, I), or packed; states (layers *
    directions, B, H).

    >>> import rushlight as torch
    >>> out, h = torch.nn.RNN(3, 4)(torch.zeros(5, 2, 3))
    >>> tuple(out.shape), tuple(h.shape)
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory: states are pairs (h, c).

    ``i, f, o = sigmoid(..)``, ``g = tanh(..)`` of ``W_ih x + b_ih + W_hh h + b_hh``; ``c' = f c +
    i g``; ``h' = o tanh(c')``, times ``W_hr`` with ``proj_size``.
    """

    _title = "LSTM"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        """(layers * directions, batch, width of a memory)."""
        return self._expected(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Both checks, of state and memory."""
        self.check_input(input, batch_sizes)
        for i, want in enumerate((self.get_expected_hidden_size, self.get_expected_cell_size)):
            self.check_hidden_size(
                hidden[i], want(input, batch_sizes), f"Expected hidden[{i}] size {{}}, got {{}}"
            )

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """States and memories in another order of the batch."""
        if permutation is None:
            return hx
        return tuple(s.index_select(1, permutation) for s in hx)

    def _zeros(self, input: Tensor, batch: int) -> Any:
        return tuple(self._zero(input, batch, n) for n in (self._out_size, self.hidden_size))

    def _parts(self, hx: Any) -> tuple[Any, ...]:
        return tuple(hx)

    def _whole(self, states: tuple[Any, ...]) -> Any:
        return states

    def _batched(self, hx: Any, batched: bool) -> Any:
        want = 3 if batched else 2
        if any(s.dim() != want for s in hx):
            raise RuntimeError(
                f"For {'' if batched else 'un'}batched {want}-D input, hx and cx should also be "
                f"{want}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )
        return tuple(hx) if batched else tuple(s.unsqueeze(1) for s in hx)


class GRU(RNNBase):
    """Gated recurrent unit: ``h' = (1 - z) n + z h``.

    ``r, z = sigmoid(..)``; ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``.
    """

    _title = "GRU"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)
