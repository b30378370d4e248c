"""Recurrent cells, which take one step: ``RNNCell``, ``LSTMCell``, ``GRUCell``."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..engine import Tensor
from ..tensor.creation import empty, zeros
from . import init
from .functional import recurrent as rec
from .module import Module
from .parameter import Parameter


class RNNCellBase(Module):
    """What the cells share; weights and biases start uniform within ``1 / sqrt(hidden_size)``."""

    __constants__: ClassVar[list[str]] = ["input_size", "hidden_size", "bias"]
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        for name, width in (("weight_ih", input_size), ("weight_hh", hidden_size)):
            setattr(self, name, Parameter(empty((gates, width), device=device, dtype=dtype)))
        for name in ("bias_ih", "bias_hh"):
            made = Parameter(empty((gates,), device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _weights(self) -> rec.Weights:
        return rec.Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def _zero(self, x: Any) -> Tensor:
        made: Tensor = zeros((x.shape[0], self.hidden_size), dtype=x.dtype, device=x.device)
        return made

    def _check(self, input: Tensor, name: str) -> None:
        n = len(input.shape)
        if n not in (1, 2):
            kind = type(self).__name__
            raise ValueError(f"{kind}: Expected {name} to be 1D or 2D, got {n}D instead")

    def _step(self, mode: str, input: Tensor, hx: Any) -> Any:
        """One step of a cell with one state: (B, I) or (I)."""
        self._check(input, "input")
        x: Any = input
        alone = len(x.shape) == 1
        if alone:
            x = x.unsqueeze(0)
        if hx is None:
            hx = self._zero(x)
        else:
            self._check(hx, "hidden")
            hx = hx.unsqueeze(0) if alone else hx
        out = rec.cell(mode, x, (hx,), self._weights())[0]
        return out.squeeze(0) if alone else out

    def extra_repr(self) -> str:
        """Sizes, and the settings that are not the defaults."""
        out = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            out += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return out if nonlinearity == "tanh" else f"{out}, nonlinearity={nonlinearity}"


class RNNCell(RNNCellBase):
    """``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or with ReLU: (B, I), (B, H) to (B, H)."""

    __constants__: ClassVar[list[str]] = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, hx)


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (B, I) and (h, c) of (B, H) each to the next (h, c)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state and memory."""
        self._check(input, "input")
        for i, value in enumerate(hx or ()):
            self._check(value, f"hx[{i}]")
        x: Any = input
        alone = len(x.shape) == 1
        if alone:
            x = x.unsqueeze(0)
        if hx is None:
            none = self._zero(x)
            hx = none, none
        elif alone:
            hx = tuple(s.unsqueeze(0) for s in hx)
        made = rec.cell("LSTM", x, tuple(hx), self._weights())
        return tuple(s.squeeze(0) for s in made) if alone else made


class GRUCell(RNNCellBase):
    """One step of a GRU: (B, I), (B, H) to (B, H)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state."""
        return self._step("GRU", input, hx)
