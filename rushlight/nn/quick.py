"""Calls of the layers and losses that small models are made of, compiled with the hot core.

Each class here is a base beside ``Module``: ``forward`` is the layer's own, ``__call__`` is put on
the layer's class by ``calls.install`` while there is nothing to do but ``forward``.  In plain
Python ``forward`` alone is used.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

from ..engine.core import Tensor, record1, record2, record3, spec_of
from ..engine.record import apply
from ..graph.op import TABLE
from ..graph.ops import contract as _contract  # noqa: F401 - fills the table
from ..graph.ops import losses as _losses  # noqa: F401
from . import functional as F

LINEAR: Final[i64] = TABLE["linear"].code
RELU: Final[i64] = TABLE["relu"].code
TANH: Final[i64] = TABLE["tanh"].code
SIGMOID: Final[i64] = TABLE["sigmoid"].code
MSE: Final[i64] = TABLE["mse_loss"].code
BCE: Final[i64] = TABLE["binary_cross_entropy"].code
BCE_LOGITS: Final[i64] = TABLE["binary_cross_entropy_with_logits"].code
CROSS_ENTROPY: Final[i64] = TABLE["cross_entropy"].code

# The static argument of a loss by its reduction, one object each.
REDUCTIONS: Final[dict[object, Any]] = {k: (k,) for k in ("mean", "sum", "none")}
CLASSES: Final[dict[object, Any]] = {k: (k, -100, 0.0) for k in ("mean", "sum", "none")}


@mypyc_attr(allow_interpreted_subclasses=True)
class LinearCall:
    """Of ``Linear``."""

    def forward(self, input: Any) -> Any:
        """The product."""
        me: Any = self
        bias = me.bias
        if bias is None:
            return apply(TABLE["linear"], (input, me.weight), None)
        if isinstance(input, Tensor):
            return record3(LINEAR, input, me.weight, bias, None)
        return apply(TABLE["linear"], (input, me.weight, bias), None)

    def __call__(self, input: Any) -> Any:
        me: Any = self
        if type(me).forward is not LINEAR_FORWARD:
            return me.forward(input)
        return LinearCall.forward(self, input)


@mypyc_attr(allow_interpreted_subclasses=True)
class ReLUCall:
    """Of ``ReLU``."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        me: Any = self
        if isinstance(input, Tensor) and not me.inplace:
            return record1(RELU, input, None)
        return F.relu(input, me.inplace)

    def __call__(self, input: Any) -> Any:
        me: Any = self
        if type(me).forward is not RELU_FORWARD:
            return me.forward(input)
        return ReLUCall.forward(self, input)


@mypyc_attr(allow_interpreted_subclasses=True)
class TanhCall:
    """Of ``Tanh``."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return record1(TANH, input, None)

    def __call__(self, input: Any) -> Any:
        me: Any = self
        if type(me).forward is not TANH_FORWARD:
            return me.forward(input)
        return TanhCall.forward(self, input)


@mypyc_attr(allow_interpreted_subclasses=True)
class SigmoidCall:
    """Of ``Sigmoid``."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return record1(SIGMOID, input, None)

    def __call__(self, input: Any) -> Any:
        me: Any = self
        if type(me).forward is not SIGMOID_FORWARD:
            return me.forward(input)
        return SigmoidCall.forward(self, input)


# Kinds of modules that `SequentialCall` calls without a lookup for each: places in `CALLS`.
LINEAR_KIND: Final[i64] = 0
RELU_KIND: Final[i64] = 1
TANH_KIND: Final[i64] = 2
SIGMOID_KIND: Final[i64] = 3
OTHER_KIND: Final[i64] = 4
CALLS: Final[list[tuple[Any, Any]]] = []  # (`__call__`, `forward`) by kind; empty in plain Python


def kind_of(cls: Any) -> i64:
    """What a call of an instance comes down to."""
    call = cls.__call__
    for k in range(len(CALLS)):
        known, forward = CALLS[k]
        if call is known:
            return k if cls.forward is forward else OTHER_KIND
    return OTHER_KIND


@mypyc_attr(allow_interpreted_subclasses=True)
class SequentialCall:
    """Of ``Sequential``."""

    def forward(self, input: Any) -> Any:
        """Pass the input through all modules."""
        me: Any = self
        modules: dict[Any, Any] = me._modules
        if not CALLS:
            for module in modules.values():
                input = module(input)
            return input
        # The last two classes that were found to be called straight into a `forward` of those here:
        # looked at once, while nobody's code has run in between.
        last: Any = None
        other: Any = None
        kind: i64 = 0
        other_kind: i64 = 0
        for module in modules.values():
            cls: Any = type(module)
            if cls is not last:
                last, other = other, last
                kind, other_kind = other_kind, kind
                if cls is not last:
                    last = cls
                    kind = kind_of(cls)
            if kind == LINEAR_KIND:
                input = LinearCall.forward(module, input)
            elif kind == RELU_KIND:
                input = ReLUCall.forward(module, input)
            elif kind == TANH_KIND:
                input = TanhCall.forward(module, input)
            elif kind == SIGMOID_KIND:
                input = SigmoidCall.forward(module, input)
            else:
                input = module(input)
                last = other = None
        return input

    def __call__(self, input: Any) -> Any:
        me: Any = self
        if type(me).forward is not SEQUENTIAL_FORWARD:
            return me.forward(input)
        return SequentialCall.forward(self, input)


def same_shape(x: object, y: object) -> bool:
    """Are these tensors of one shape?"""
    return (
        isinstance(x, Tensor)
        and isinstance(y, Tensor)
        and (x.rec.spec is y.rec.spec or bool(spec_of(x).shape == spec_of(y).shape))
    )


@mypyc_attr(allow_interpreted_subclasses=True)
class MSECall:
    """Of ``MSELoss``."""

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        me: Any = self
        reduction = me.reduction
        arg = REDUCTIONS.get(reduction)
        if arg is not None and same_shape(input, target):
            return record2(MSE, input, target, arg)
        return F.mse_loss(input, target, reduction=reduction)

    def __call__(self, input: Any, target: Any) -> Any:
        me: Any = self
        if type(me).forward is not MSE_FORWARD:
            return me.forward(input, target)
        return MSECall.forward(self, input, target)


@mypyc_attr(allow_interpreted_subclasses=True)
class BCECall:
    """Of ``BCELoss``."""

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        me: Any = self
        reduction = me.reduction
        weight = me.weight
        if weight is None:
            arg = REDUCTIONS.get(reduction)
            if arg is not None and same_shape(input, target):
                return record2(BCE, input, target, arg)
        return F.binary_cross_entropy(input, target, weight, reduction=reduction)

    def __call__(self, input: Any, target: Any) -> Any:
        me: Any = self
        if type(me).forward is not BCE_FORWARD:
            return me.forward(input, target)
        return BCECall.forward(self, input, target)


@mypyc_attr(allow_interpreted_subclasses=True)
class BCELogitsCall:
    """Of ``BCEWithLogitsLoss``."""

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        me: Any = self
        reduction = me.reduction
        weight = me.weight
        pos_weight = me.pos_weight
        if weight is None and pos_weight is None:
            arg = REDUCTIONS.get(reduction)
            if arg is not None and same_shape(input, target):
                return record2(BCE_LOGITS, input, target, arg)
        return F.binary_cross_entropy_with_logits(
            input, target, weight, pos_weight=pos_weight, reduction=reduction
        )

    def __call__(self, input: Any, target: Any) -> Any:
        me: Any = self
        if type(me).forward is not BCE_LOGITS_FORWARD:
            return me.forward(input, target)
        return BCELogitsCall.forward(self, input, target)


@mypyc_attr(allow_interpreted_subclasses=True)
class CrossEntropyCall:
    """Of ``CrossEntropyLoss``."""

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        me: Any = self
        reduction = me.reduction
        weight = me.weight
        ignored = me.ignore_index
        smoothing = me.label_smoothing
        if (
            weight is None
            and ignored == -100
            and smoothing == 0.0
            and isinstance(input, Tensor)
            and isinstance(target, Tensor)
            and spec_of(target).dtype.rank < 2
        ):
            arg = CLASSES.get(reduction)
            if arg is not None:
                return record2(CROSS_ENTROPY, input, target, arg)
        return F.cross_entropy(
            input,
            target,
            weight,
            ignore_index=ignored,
            reduction=reduction,
            label_smoothing=smoothing,
        )

    def __call__(self, input: Any, target: Any) -> Any:
        me: Any = self
        if type(me).forward is not CROSS_ENTROPY_FORWARD:
            return me.forward(input, target)
        return CrossEntropyCall.forward(self, input, target)


def own(cls: Any) -> Any:
    """The ``forward`` of a class as its instances' classes show it."""
    return cls.forward


def own_call(cls: Any) -> Any:
    """The ``__call__`` of a class, likewise."""
    return cls.__call__


LINEAR_FORWARD: Final[Any] = own(LinearCall)
RELU_FORWARD: Final[Any] = own(ReLUCall)
TANH_FORWARD: Final[Any] = own(TanhCall)
SIGMOID_FORWARD: Final[Any] = own(SigmoidCall)
SEQUENTIAL_FORWARD: Final[Any] = own(SequentialCall)
MSE_FORWARD: Final[Any] = own(MSECall)
BCE_FORWARD: Final[Any] = own(BCECall)
BCE_LOGITS_FORWARD: Final[Any] = own(BCELogitsCall)
CROSS_ENTROPY_FORWARD: Final[Any] = own(CrossEntropyCall)

ALL: Final[tuple[Any, ...]] = (
    LinearCall, ReLUCall, TanhCall, SigmoidCall, SequentialCall, MSECall, BCECall, BCELogitsCall,
    CrossEntropyCall,
)  # fmt: skip


if not isinstance(LINEAR_FORWARD, FunctionType):
    CALLS.extend([(own_call(c), own(c)) for c in (LinearCall, ReLUCall, TanhCall, SigmoidCall)])


def compiled_calls() -> dict[int, Any]:
    """``__call__`` by the identity of the ``forward`` that it stands for; empty in plain Python."""
    return {id(c.forward): c.__call__ for c in ALL if not isinstance(c.forward, FunctionType)}
