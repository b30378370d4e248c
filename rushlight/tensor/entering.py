"""Fresh memory becomes a tensor in few steps, for what makes many tensors of one kind.

`engine.own_array` works out shape, layout and keys each time; here they are kept by kind.
"""

from __future__ import annotations

from typing import Any, Final

from rushlight.base.dtype import dtype
from rushlight.base.shape import Ints
from rushlight.engine import Tensor
from rushlight.engine.core import Fam
from rushlight.engine.handles import base_rec
from rushlight.engine.memory import Held
from rushlight.engine.records import Storage
from rushlight.graph.op import Spec

_KINDS: Final[dict[Any, Any]] = {}
_MOST: Final = 4096  # kinds that are kept


def kind_of(shape: Ints, kind: dtype, device: Any) -> Any:
    """What describes dense tensors of a shape, type and device."""
    key = (shape, kind, device.type, device.index)
    found = _KINDS.get(key)
    if found is None:
        if len(_KINDS) >= _MOST:
            _KINDS.clear()
        found = _KINDS[key] = base_rec(Spec(tuple(shape), kind, None, device))
    return found


def entered(flat: Any, kind: Any, address: int = 0) -> Tensor:
    """A tensor on `flat`: one-dimensional, contiguous, not empty, and nobody else's.

    `kind`: of `kind_of`; `address`: of the first element, where it is known.
    """
    memory = Held(flat)
    memory._address = address
    own = Storage(memory, kind.spec)
    made = Tensor(kind, 0)
    made.st = own
    made.fam = Fam(own, None, kind)
    return made
