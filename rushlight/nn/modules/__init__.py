"""``torch.nn.modules``: the names of ``torch.nn`` under the paths PyTorch keeps them at.

The layers live one folder up; programs that write ``from torch.nn.modules.linear import Linear``
find them here as well.
"""

from __future__ import annotations

import sys
from typing import Any

from rushlight import nn

from .. import (
    activation,
    adaptive,
    calls,
    cells,
    container,
    conv,
    distance,
    dropout,
    embedding,
    flatten,
    lazy,
    lazy_conv,
    lazy_norms,
    linear,
    loss,
    module,
    multihead,
    normalization,
    padding,
    parameter,
    parameter_containers,
    pixels,
    pooling,
    recurrent,
    sequence_loss,
    transformer,
    upsampling,
)
from ..functional import joint
from . import utils as utils

# PyTorch's file -> ours.
_FILES = {
    "adaptive": adaptive,
    "transformer": transformer,
    "activation": activation,
    "batchnorm": normalization,
    "container": container,
    "conv": conv,
    "distance": distance,
    "dropout": dropout,
    "flatten": flatten,
    "instancenorm": normalization,
    "lazy": lazy,
    "linear": linear,
    "loss": loss,
    "module": module,
    "normalization": normalization,
    "rnn": recurrent,
    "padding": padding,
    "pooling": pooling,
    "sparse": embedding,
    "channelshuffle": pixels,
    "fold": pixels,
    "pixelshuffle": pixels,
    "upsampling": upsampling,
    "linear_cross_entropy_options": joint,
}
for _kind in vars(lazy_conv).values():
    if isinstance(_kind, type) and _kind.__name__.startswith("LazyConv"):
        setattr(conv, _kind.__name__, _kind)
for _kind in vars(lazy_norms).values():
    if isinstance(_kind, type) and _kind.__name__.startswith("Lazy"):
        setattr(normalization, _kind.__name__, _kind)
for _kind in (cells.RNNCellBase, cells.RNNCell, cells.LSTMCell, cells.GRUCell):
    setattr(recurrent, _kind.__name__, _kind)
for _kind in (
    sequence_loss.CTCLoss, sequence_loss.NLLLoss2d, sequence_loss.LinearCrossEntropyLoss,
):  # fmt: skip
    setattr(loss, _kind.__name__, _kind)
for _hook in [name for name in vars(calls) if name.startswith("register_module_")]:
    module.__dict__[_hook] = vars(calls)[_hook]
for _kind in (parameter.UninitializedBuffer, parameter.UninitializedParameter):
    for _file in (conv, normalization):
        _file.__dict__[_kind.__name__] = _kind
activation.__dict__["MultiheadAttention"] = multihead.MultiheadAttention
# PyTorch has these two among the other containers.
for _kind in (parameter_containers.ParameterList, parameter_containers.ParameterDict):
    setattr(container, _kind.__name__, _kind)
for _name, _file in _FILES.items():
    sys.modules[f"{__name__}.{_name}"] = _file
    globals()[_name] = _file


def __getattr__(name: str) -> Any:
    """A layer by its name."""
    if not name.startswith("__"):
        for file in _FILES.values():
            found = vars(file).get(name)
            if isinstance(found, type) and issubclass(found, module.Module):
                return found
        found = getattr(nn, name, None)
        if isinstance(found, type) and issubclass(found, module.Module):
            return found
    raise AttributeError(f"module 'torch.nn.modules' has no attribute {name!r}")
