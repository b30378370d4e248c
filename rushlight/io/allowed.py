"""What a file may name when only weights are loaded, and what each name may be called with.

Nothing here imports what a file names: a name is a key of a table.  Programs add classes and
functions of their own with ``torch.serialization.add_safe_globals``.
"""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, Self

from ..base import dtype as dt
from ..base.device import device
from ..base.size import Size
from ..engine import Tensor
from ..nn.parameter import Parameter
from ..tensor.legacy import TYPES
from . import rebuild
from .names import ours
from .pickler import _get_layout, name_of
from .storages import STORAGE_TYPES

# Never allowed, even when a program names something from them.
BLOCKED: Final = frozenset(
    {
        *("sys", "os", "posix", "nt", "subprocess", "pty", "shutil", "runpy", "ctypes", "socket"),
        *("importlib", "code", "pdb", "webbrowser"),
    }
)


def _refuse(what: str) -> Any:
    raise pickle.UnpicklingError(what)


def _encode(*args: Any) -> bytes:
    """``_codecs.encode``, which protocol 2 writes for bytes: only that use."""
    if len(args) != 2 or type(args[0]) is not str or args[1] not in ("latin1", "latin-1"):
        _refuse("_codecs.encode is called for bytes only, with a text and 'latin1'")
    return args[0].encode("latin-1")  # type: ignore[no-any-return]


def _bytearray(*args: Any) -> bytearray:
    if not args:
        return bytearray()
    if len(args) == 1 and type(args[0]) is bytes:
        return bytearray(args[0])
    if len(args) == 2 and type(args[0]) is str and args[1] in ("latin1", "latin-1"):
        return bytearray(args[0], "latin-1")
    return _refuse("bytearray is made of bytes only")  # type: ignore[no-any-return]


def _set(*args: Any) -> set[Any]:
    if len(args) > 1 or (args and type(args[0]) not in (list, tuple)):
        _refuse("a set is made of a list only")
    items = args[0] if args else ()
    for item in items:
        check_key(item)
    return set(items)


def _frozenset(*args: Any) -> frozenset[Any]:
    return frozenset(_set(*args))


def _complex(*args: Any) -> complex:
    if not all(type(a) in (float, int) for a in args) or len(args) > 2:
        _refuse("a complex number is made of two numbers only")
    return complex(*args)


def _ordered(*args: Any) -> OrderedDict[Any, Any]:
    if len(args) > 1:
        _refuse("an OrderedDict is made of a list of pairs only")
    out: OrderedDict[Any, Any] = OrderedDict()
    for pair in args[0] if args else ():
        if type(pair) not in (list, tuple) or len(pair) != 2:
            _refuse("an OrderedDict is made of a list of pairs only")
        check_key(pair[0])
        out[pair[0]] = pair[1]
    return out


def _counter(*args: Any) -> Counter[Any]:
    if len(args) > 1 or (args and type(args[0]) is not dict):
        _refuse("a Counter is made of a dict only")
    return Counter(*args)


def _size(*args: Any) -> Size:
    if len(args) != 1 or type(args[0]) not in (tuple, list):
        _refuse("a torch.Size is made of a tuple only")
    return Size(args[0])


def _device(*args: Any) -> device:
    return device(*args)


def _layout(*args: Any) -> Any:
    if len(args) != 1 or type(args[0]) is not str or not args[0].startswith("torch."):
        _refuse("a layout is made of its name only")
    return _get_layout(args[0])


def _parameter(*args: Any) -> Any:
    if not 1 <= len(args) <= 2 or not isinstance(args[0], Tensor):
        _refuse("an nn.Parameter is made of a tensor only")
    return Parameter(*args)


# What a pickle may call for a name, where that is not the named object itself.
_CALLS: Final[dict[Any, Callable[..., Any]]] = {
    OrderedDict: _ordered,
    Counter: _counter,
    bytearray: _bytearray,
    set: _set,
    frozenset: _frozenset,
    complex: _complex,
    Size: _size,
    device: _device,
    Parameter: _parameter,
    _encode: _encode,
    _layout: _layout,
    **{f: f for f in rebuild.UTILS.values()},
    rebuild._rebuild_from_type_v2: rebuild._rebuild_from_type_v2,
}
# What a pickle may name.
NAMES: Final[dict[str, Any]] = {
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "torch.nn.parameter.Parameter": Parameter,
    "torch.serialization._get_layout": _layout,
    "torch.Size": Size,
    "torch.Tensor": Tensor,
    "torch.device": device,
    "_codecs.encode": _encode,
    "builtins.bytearray": bytearray,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.complex": complex,
    "torch._tensor._rebuild_from_type_v2": rebuild._rebuild_from_type_v2,
    **{f"torch.{kind.name}": kind for kind in dt.ALL},
    **{f"torch.{name}": kind for name, kind in TYPES.items()},
    **{f"torch.{name}": kind for name, kind in STORAGE_TYPES.items()},
    "torch.storage.UntypedStorage": STORAGE_TYPES["UntypedStorage"],
    **{f"torch._utils.{name}": f for name, f in rebuild.UTILS.items()},
}

# ---------------------------------------------------------------- what programs add
Global = Any  # a class or function, or (it, the name that files have for it)
_added: set[Any] = set()


def add_safe_globals(safe_globals: Iterable[Global]) -> None:
    """Let ``load`` with ``weights_only=True`` make these classes and call these functions.

    Each is a class or function, or a tuple of one and the full name that files have for it.

    Raises:
        ValueError, TypeError: for tuples of another form.
    """
    global _added
    found = set(safe_globals)
    for item in found:
        _names(item)
    _added = _added | found


def get_safe_globals() -> list[Global]:
    """What ``add_safe_globals`` has added."""
    return list(_added)


def clear_safe_globals() -> None:
    """Forget what ``add_safe_globals`` has added."""
    global _added
    _added = set()


class safe_globals:
    """``with safe_globals([...]):`` what is allowed within the block."""

    def __init__(self, safe_globals: Iterable[Global]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> Self:
        add_safe_globals(self.safe_globals)
        return self

    def __exit__(self, *what: object) -> None:
        global _added
        _added = _added - set(self.safe_globals)


def _names(item: Global) -> list[tuple[str, Any]]:
    """The names by which files may mean an added class or function."""
    if isinstance(item, tuple):
        if len(item) != 2:
            raise ValueError(
                "Expected tuple of length 2 (global, str of callable full path), but got tuple of "
                f"length: {len(item)}"
            )
        if type(item[1]) is not str:
            raise TypeError(
                "Expected second item in tuple to be str of callable full path, but got: "
                f"{type(item[1])}"
            )
        return [(item[1], item[0])]
    out = [(f"{item.__module__}.{item.__qualname__}", item)]
    if ours(item.__module__):
        theirs = name_of(item)
        if theirs is not None:
            out.append((".".join(theirs), item))
    return out


def added() -> dict[str, Any]:
    """What programs have allowed, by name."""
    return dict(pair for item in _added for pair in _names(item))


def call_of(function: Any, more: dict[str, Any]) -> Callable[..., Any] | None:
    """What runs when a pickle calls ``function``; None where it may not be called."""
    try:
        found = _CALLS.get(function)
    except TypeError:
        return None
    if found is not None:
        return found
    if any(function is f for f in more.values()):
        return function  # type: ignore[no-any-return]
    return None


# ---------------------------------------------------------------- keys
_SIMPLE: Final = (str, int, float, bool, bytes, complex, type(None), dt.dtype, device)
_NODES: Final = 10_000
_DEPTH: Final = 100


def check_key(key: Any) -> None:
    """`UnpicklingError` for a key whose hash could take forever or overflow the stack.

    Tuples that repeat each other have exponentially many parts, and Python hashes them all.
    """
    if type(key) in _SIMPLE:
        return
    left = _NODES
    todo = [(key, 0)]
    while todo:
        item, depth = todo.pop()
        left -= 1
        if left < 0 or depth > _DEPTH:
            _refuse("a key of a dictionary or set has too many parts")
        if type(item) in (tuple, frozenset, Size):
            todo.extend((part, depth + 1) for part in item)
        elif type(item) in (list, dict, set, OrderedDict, Counter, bytearray):
            _refuse(f"unhashable type: '{type(item).__name__}'")
