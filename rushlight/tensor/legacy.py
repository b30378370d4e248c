"""The old constructors and type tests: `FloatTensor([1.0])`, `isinstance(x, LongTensor)`."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.engine.records import Rec
from rushlight.graph.shaping import NAMES
from rushlight.tensor.creation import filled, need_sequence, tensor
from rushlight.tensor.install import place, sizes
from rushlight.tensor.literals import array_of


def _is_size(x: Any) -> bool:
    """Whether a single argument says how many, rather than what: NumPy's arrays are data."""
    return hasattr(x, "__index__") and not isinstance(x, np.ndarray | bool)


def _of_kind(x: Tensor, kind: dtype) -> Tensor:
    """``x`` as another tensor on its memory; `TypeError` for elements of another type."""
    if x.dtype is not kind:
        wanted, got = (
            f"TensorOptions(dtype={NAMES.get(d.name, d.name)}, device={x.device}, layout=Strided, "
            "requires_grad=false (default), pinned_memory=false (default), "
            "memory_format=(nullopt))"
            for d in (kind, x.dtype)
        )
        raise TypeError(f"expected {wanted} (got {got})")
    return cast(Tensor, engine.become(Tensor, x, False))


def build(kind: dtype, args: tuple[Any, ...], name: str) -> Tensor:
    """A tensor of a size (integers), of data (a sequence), or an alias of a tensor."""
    if not args:
        return filled((0,), 0, kind, place(None))
    if len(args) == 1 and isinstance(args[0], Tensor):
        return _of_kind(args[0], kind)
    if len(args) == 1 and not _is_size(args[0]):
        data = args[0]
        need_sequence(data)
        if type(data).__name__ == "Size":
            return filled(tuple(data), 0, kind, place(None))
        return tensor(data, dtype=kind)
    return filled(sizes(args, name), 0, kind, place(None))


class TypedMeta(type):
    """`isinstance` by dtype, and calls that build tensors."""

    dtype: dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return build(cls.dtype, args, cls.__name__)


TYPES: Final[dict[str, Any]] = {
    f"{kind.typename}Tensor": TypedMeta(
        f"{kind.typename}Tensor",
        (),
        {"dtype": kind, "__module__": "torch", "__doc__": f"Tensors of {kind}: old constructor."},
    )
    for kind in dt.ALL
    if (kind.kind != "c" and kind.typename[:4] not in ("UInt", "Floa")) or kind is dt.float32
}


# ---------------------------------------------------------------- Tensor(...) itself
def take_over(self: Tensor, made: Tensor) -> None:
    """Make `self` another handle on what `made` has just entered."""
    self.rec, self.epoch, self.slot = made.rec, made.epoch, made.slot
    self.st, self.fam, self.reg = made.st, made.fam, made.reg


def entered(args: tuple[Any, ...]) -> Tensor:
    """What `torch.Tensor(*args)` holds, as memory that no record has made."""
    kind = dt.Defaults.float
    one = args[0] if len(args) == 1 else None
    if isinstance(one, Tensor):
        return cast(Tensor, engine.become(Tensor, one, False))
    if len(args) == 1 and not _is_size(one) and type(one).__name__ != "Size":
        need_sequence(one)
        a, _ = array_of(one, kind)
    else:
        shape = sizes(args, "new") if args else (0,)
        for n in shape:
            if n < 0:
                raise RuntimeError(
                    f"Trying to create tensor with negative dimension {n}: {list(shape)}"
                )
        a = np.zeros(shape, kind.numpy)
    return engine.own_array(a, kind, place(None))


NOTHING: Final = object()


def construct(
    self: Tensor, rec: Any = NOTHING, epoch: Any = NOTHING, *rest: Any, device: Any = None
) -> None:
    """`torch.Tensor(2, 3)` and `torch.Tensor([1.0])`, beside the recorder's own use."""
    if type(rec) is Rec:
        self.rec = rec
        self.epoch = epoch
        self.slot = rec.slot
        self.st = None
        self.fam = None
        self.reg = 0
        return
    take_over(self, entered(tuple(a for a in (rec, epoch, *rest) if a is not NOTHING)))


setattr(Tensor, "__init__", construct)
