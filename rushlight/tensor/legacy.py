"""The old constructors and type tests: `FloatTensor([1.0])`, `isinstance(x, LongTensor)`."""

from __future__ import annotations

from typing import Any, Final

from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.tensor.convert import cast
from rushlight.tensor.creation import filled, tensor
from rushlight.tensor.install import place, sizes


def build(kind: dtype, args: tuple[Any, ...], name: str) -> Tensor:
    """A tensor of a size (integers), of data (a sequence), or an alias of a tensor."""
    if not args:
        return filled((0,), 0, kind, place(None))
    if len(args) == 1 and not hasattr(args[0], "__index__"):
        data = args[0]
        if isinstance(data, Tensor):
            return cast(data, kind)
        if type(data).__name__ == "Size":
            return filled(tuple(data), 0, kind, place(None))
        return tensor(data, dtype=kind)
    if len(args) == 1 and isinstance(args[0], Tensor):
        if args[0].shape:
            return cast(args[0], kind)
        raise TypeError("new(): data must be a sequence (got Tensor)")
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
}
