"""A tensor's history as users see it: `backward`, hooks, `grad_fn` and the nodes behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.engine.core import GRADLESS, KEEP
from rushlight.tensor.hooks import RemovableHandle
from rushlight.tensor.install import method

# Rows whose name is not PyTorch's; others are `CamelCase` + `Backward0`.
NODE_NAMES: Final[dict[str, str]] = {
    "cast": "ToCopyBackward0", "copy": "CloneBackward0",
    "to_device": "ToCopyBackward0", "relayout": "CloneBackward0",
    "reshape": "UnsafeViewBackward0", "square": "PowBackward0", "cube": "PowBackward0",
    "matmul": "MmBackward0", "write": "CopySlices", "reread": "AsStridedBackward0",
    "clamp_min": "ClampBackward1", "clamp_max": "ClampBackward1", "log1p": "Log1PBackward0",
    "convolve": "ConvolutionBackward0", "convolve_input": "ConvolutionBackward0",
    "cross_entropy": "NllLossBackward0", "cross_entropy_soft": "DivBackward1",
    "prelu": "PreluKernelBackward0", "softsign": "DivBackward0", "tanhshrink": "SubBackward0",
    "inv": "LinalgInvExBackward0", "det": "LinalgDetBackward0", "solve": "LinalgSolveExBackward0",
    "cholesky": "LinalgCholeskyExBackward0", "logabsdet": "LinalgSlogdetBackward0",
    "fft_r2c": "FftR2CBackward0", "fft_c2c": "FftC2CBackward0",
    "as_real": "ViewAsRealBackward0", "as_complex": "ViewAsComplexBackward0",
}  # fmt: skip


ENTERED: Final = ("leaf", "enter", "graft")  # rows of what a stretch begins with
# Rows that reduce, of everything without keepdim and of some dimensions.
REDUCED: Final[dict[str, tuple[str, str]]] = {
    "sum": ("SumBackward0", "SumBackward1"), "mean": ("MeanBackward0", "MeanBackward1"),
    "prod": ("ProdBackward0", "ProdBackward1"), "amax": ("MaxBackward1", "AmaxBackward0"),
    "amin": ("MinBackward1", "AminBackward0"),
}  # fmt: skip
L1_NODES: Final = {"mean": "MeanBackward0", "sum": "SumBackward0", "none": "AbsBackward0"}
# By the number of spatial dimensions.
POOL_NODES: Final = ("", "SqueezeBackward1", *(f"MaxPool{n}DWithIndicesBackward0" for n in (2, 3)))


def node_name(rec: Any) -> str:
    """The name PyTorch prints for what a record did."""
    row = "" if rec.row is None else rec.row.name
    if row == "function":
        return rec.info or "FunctionBackward"  # set by `autograd.function`
    rank = len(rec.spec.shape)
    if row in REDUCED:
        return REDUCED[row][rec.arg[1] is not False or rank > 0]
    if row == "sub" and rec.srcs[0] < 0:
        return "RsubBackward1"
    if row == "div" and rec.srcs[0] < 0:
        return "MulBackward0"  # of a reciprocal, in PyTorch
    if row == "pow" and min(rec.srcs) >= 0:
        return "PowBackward1"
    if row == "pow" and rec.srcs[0] < 0:
        return "PowBackward2"
    if row == "linear" and rank == 2:
        return "MmBackward0" if len(rec.srcs) == 2 else "AddmmBackward0"
    if row == "linear":
        return "UnsafeViewBackward0" if len(rec.srcs) == 2 and rank else "ViewBackward0"
    if row == "matmul" and rank > 2:
        return "BmmBackward0"
    if row == "permute" and rec.arg == (1, 0):
        return "TBackward0"
    if row == "permute" and rec.arg and sum(i != d for i, d in enumerate(rec.arg)) == 2:
        return "TransposeBackward0"
    if row == "squeeze" and len(rec.arg) == 1 and rank:
        return "SqueezeBackward1"
    if row == "max_pool":
        return POOL_NODES[len(rec.arg[0])]
    if row == "l1_loss":
        return L1_NODES[rec.arg[0]]
    return NODE_NAMES.get(row) or "".join(p.capitalize() for p in row.split("_")) + "Backward0"


def _read_by(rec: Any, slot: int, frame: Any) -> Any:
    """The record at `slot` of the stretch that `rec` is in; None where it is not to be found."""
    if frame is not None:
        return frame.rec.info.recs[slot]
    at = rec.parent
    while at is not None and at.slot != slot:
        at = next((q for q in at.subs if q.slot == slot), at.parent)
    return at


def _value_of(rec: Any, frame: Any) -> Any:
    """What PyTorch's node is of: where a tensor was written whole, the record of the value."""
    while rec.row is not None and rec.row.name == "write" and rec.arg is None:
        value = _read_by(rec, rec.srcs[1], frame)
        if value is None or not value.rg or value.row is None or value.row.name in ENTERED:
            break
        rec = value
    return rec


class Node:
    """What made a tensor: `name()`, and in `next_functions` what made its operands."""

    __slots__ = ("_anchor", "_frame", "_hist", "_rec", "metadata")

    def __init__(self, rec: Any, anchor: Any = None, frame: Any = None, hist: Any = None) -> None:
        self._rec = rec
        self._anchor = anchor  # a tensor of the same stretch while that is pending
        self._frame = frame  # the stretch, once it was run
        self._hist = hist  # of a leaf: where its gradient is kept
        self.metadata: dict[Any, Any] = {}
        lines = getattr(rec.where, "lines", None)
        if lines is not None:  # anomaly mode was on
            self.metadata["traceback_"] = lines()

    def name(self) -> str:
        """PyTorch's name of the node: `AddBackward0`."""
        own = type(self).__name__
        return f"torch::autograd::{own}" if own in ("AccumulateGrad", "CopySlices") else own

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes of the operands, `AccumulateGrad` for leaves, None where no gradient flows."""
        if self._hist is not None:
            return ()
        slots = self._rec.srcs
        if self._rec.row.name in ("linear", "addmm") and len(slots) == 3:
            slots = (slots[2], *slots[:2])  # as PyTorch's addmm has them: what is added first
        if self._rec.row.name == "function":
            slots = slots[1:]
        elif len(slots) == 2 and slots[0] < 0 <= slots[1]:  # a number first: PyTorch turns it round
            slots = slots[1:] if self._rec.row.name == "sub" else slots[::-1]
        return tuple((self._operand(s), 0) for s in slots)

    @property
    def variable(self) -> Any:
        """The leaf, of `AccumulateGrad`."""
        if self._hist is None or self._anchor is None:
            raise AttributeError(f"{self.name()} has no attribute 'variable'")
        return self._anchor

    def _operand(self, slot: int) -> Node | None:
        """The node of what the record reads at `slot`."""
        if slot < 0:
            return None
        frame = self._frame
        at = _read_by(self._rec, slot, frame)
        if at is None or not at.rg:
            return None
        if at.row is not None and at.row.name == "graft":
            # a value with another's history: that is what made it
            made = node(at, "", self._anchor, frame)._operand(at.srcs[1])
            return made or node(at, "AccumulateGrad", self._anchor, frame)
        if at.row is None or at.row.name in ("leaf", "enter"):
            entries = engine.entries_of(self._anchor) if frame is None else frame.gleaves
            if entries is None:  # it was run since
                self._settled()
                return self._operand(slot)
            hist = entries[at.gidx]
            if hist.frame is None:
                return node(at, "AccumulateGrad", None, None, hist)
            older = hist.frame
            made_by = older.rec.info.recs[hist.slot]
            if made_by.row.name in ENTERED:
                return node(made_by, "", None, older)._operand(hist.slot)
            made_by = _value_of(made_by, older)
            return node(made_by, node_name(made_by), None, older)
        at = _value_of(at, frame)
        return node(at, node_name(at), self._anchor, frame)

    def _settled(self) -> tuple[Any, int]:
        """The stretch the node is in, which is run if it was pending, and its slot."""
        if self._frame is None:
            engine.flush()
            place = None if self._anchor is None else engine.node_of(self._anchor)
            if place is None:
                raise RuntimeError(f"{self.name()}: the history of this tensor has changed since")
            self._frame, self._anchor = place[0], None
        return self._frame, int(self._rec.slot)

    def register_prehook(self, fn: Callable[[tuple[Any, ...]], Any]) -> RemovableHandle:
        """Call `fn(grad_outputs)` before the node's gradient is worked out; it may return
        others."""

        def before(g: Tensor) -> Any:
            out = fn((g,))
            return out[0] if isinstance(out, tuple | list) else out

        if self._hist is not None:
            return _hang(engine.leaf_hooks(self._hist)[0], before)
        return _hang(engine.hooks_before(*self._settled()), before)

    def register_hook(self, fn: Callable[[Any, Any], Any]) -> RemovableHandle:
        """Call `fn(grad_inputs, grad_outputs)` after the node's gradient is worked out; it may
        return other `grad_inputs`.

        An operand that is used twice (`x * x`) has one gradient, the sum, at its first place.
        """
        if self._hist is None:
            return _hang(engine.hooks_after(*self._settled()), fn)
        before, after = engine.leaf_hooks(self._hist)
        came: list[Tensor] = []
        first = _hang(before, came.append)
        hooks: dict[int, Any] = {}
        handle = RemovableHandle(hooks, extra_dict=[before, after])
        before[handle.id] = before.pop(first.id)
        after[handle.id] = lambda *_: fn((), (came.pop(),))
        hooks[handle.id] = fn
        return handle

    def __repr__(self) -> str:
        kind = type(self)
        of = "" if kind.__module__ == __name__ else f"{kind.__module__}."
        return f"<{of}{kind.__name__} object at {id(self):#x}>"

    def _place(self) -> Any:
        if self._hist is not None:
            return id(self._hist)
        return id(self._rec) if self._frame is None else (self._frame.serial, self._rec.slot)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other._place() == self._place()

    def __hash__(self) -> int:
        return hash(self._rec.slot)


_CLASSES: Final[dict[tuple[str, bool], type[Node]]] = {}


def node(rec: Any, name: str, anchor: Any = None, frame: Any = None, hist: Any = None) -> Node:
    """The node of a record; its class bears its name."""
    own = rec.row is not None and rec.row.name == "function" and hist is None
    kind = _CLASSES.get((name, own))
    if kind is None:
        where = "torch.autograd.function" if own else __name__  # of a program's own: as PyTorch
        kind = type(name, (Node,), {"__slots__": (), "__module__": where})
        _CLASSES[name, own] = kind
    return kind(rec, anchor, frame, hist)


def grad_fn(self: Tensor) -> Node | None:
    """What made the tensor; None for a leaf."""
    if not self.requires_grad or engine.is_leaf(self):
        return None
    place = engine.node_of(self)
    if place is not None:
        rec = place[0].rec.info.recs[place[1]]
        if rec.row is not None and rec.row.name not in ENTERED:
            rec = _value_of(rec, place[0])
            return node(rec, node_name(rec), None, place[0])
    rec = _value_of(record_of(self), None)
    return node(rec, node_name(rec), self)


def leaf_node(x: Tensor) -> Node:
    """The `AccumulateGrad` of a leaf."""
    place = x.fam
    place = x.fam
    return node(engine.records(x), "AccumulateGrad", x, None, place.hist if place else None)


def record_of(x: Tensor) -> Any:
    """The record that made `x`, also when it has been run since."""
    rec, fam = engine.records(x), x.fam
    if fam is None or rec.region is not None:
        return rec
    hist = fam.hist
    if hist is not None and hist.frame is not None:
        return hist.frame.rec.info.recs[hist.slot]
    return fam.rec


setattr(Tensor, "grad_fn", property(grad_fn))
setattr(Tensor, "is_leaf", property(engine.is_leaf))
setattr(Tensor, "output_nr", property(lambda self: 0))


def _is_view(self: Tensor) -> bool:
    return engine.records(self).region is not None


setattr(Tensor, "_is_view", _is_view)


@method()
def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of this scalar (of `gradient * self` otherwise) to the leaves' `.grad`."""
    if gradient is None is inputs is retain_graph and not create_graph:
        engine.backward([self], [None], False, False)
        return
    if gradient is not None:
        check_gradient(self, gradient)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    engine.backward([self], [gradient], bool(retain), bool(create_graph), inputs)


def check_gradient(x: Tensor, gradient: Any) -> None:
    """The gradient of `x` has `x`'s shape."""
    if not isinstance(gradient, Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    got, want = tuple(gradient.shape), tuple(x.shape)
    if got != want:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has "
            f"a shape of {x.shape}."
        )


# ---------------------------------------------------------------- hooks
def _hang(hooks: Any, hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


@method()
def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call `hook(grad)` whenever this tensor's gradient is known; what it returns replaces it."""
    return _hang(engine.hooks_of(self), hook)


@method()
def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Call `hook(tensor)` when the gradient of this leaf has been added to `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    hooks = engine.after_accumulate(self)
    return _hang(hooks, lambda *_: hook(self))


@method()
def retain_grad(self: Tensor) -> None:
    """Keep the gradient of a tensor that is no leaf in its `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if engine.is_leaf(self):
        return
    engine.flush()  # from here on the tensor's place in its history can hold a gradient
    hooks = engine.hooks_of(self)

    def keep(gradient: Tensor) -> None:
        was = engine.set_grad_enabled(False)
        try:
            have = self.grad
            self.grad = engine.detach(gradient) if have is None else have + gradient
        finally:
            engine.set_grad_enabled(was)

    hooks.setdefault(KEEP, keep)


def _retains_grad(self: Tensor) -> bool:
    return bool(self.requires_grad and not engine.is_leaf(self) and engine.keeps_gradient(self))


setattr(Tensor, "retains_grad", property(_retains_grad))


def _gradless(x: Tensor) -> None:
    """Warn, as PyTorch does, that a tensor which is no leaf will have no `.grad`."""
    if not x.requires_grad or engine.is_leaf(x) or engine.keeps_gradient(x):
        return
    import warnings

    warnings.warn(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
        "attribute won't be populated during autograd.backward(). If you indeed want the .grad "
        "field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. "
        "If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor "
        "instead. See github.com/pytorch/pytorch/pull/30531 for more information.",
        UserWarning,
        stacklevel=3 if isinstance(vars(Tensor)["grad"], property) else 2,  # plain or compiled
    )


GRADLESS.append(_gradless)
