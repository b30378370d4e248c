"""Reading pickles: one reader that builds weights and nothing else, one that trusts the file.

The first interprets the opcodes itself.  A name in the file is looked up in a table and never
imported; only functions of that table are called, with arguments that they check.
"""

from __future__ import annotations

import io
import pickle
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Final

from ..base.size import Size
from ..engine import Tensor
from ..nn.parameter import Parameter
from . import allowed, rebuild
from .names import our_object
from .storages import STORAGE_TYPES

Persistent = Callable[[Any], Any]
_MARKS: Final = 10_000  # as deep as containers may lie in each other while they are read


def _refuse(what: str) -> Any:
    raise pickle.UnpicklingError(what)


class Unpickler:
    """Reads one pickle from ``data`` at ``at``; afterwards ``at`` is behind it.

    ``load()`` raises ``pickle.UnpicklingError`` for anything that is not weights.
    """

    def __init__(self, data: bytes, persistent: Persistent | None, at: int = 0) -> None:
        self._data = data
        self.at = at
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._added = allowed.added()
        self.globals: set[str] = set()
        self._collect = False

    # ------------------------------------------------------------ reading
    def _take(self, n: int) -> bytes:
        at = self.at
        end = at + n
        if n < 0 or end > len(self._data):
            _refuse("pickle data was truncated: the file is cut off or damaged")
        self.at = end
        return self._data[at:end]

    def _number(self, form: str, n: int) -> int:
        return int(struct.unpack(form, self._take(n))[0])

    def _line(self) -> str:
        end = self._data.find(b"\n", self.at, self.at + 10_000)
        if end < 0:
            _refuse("pickle data was truncated: the file is cut off or damaged")
        text = self._data[self.at : end]
        self.at = end + 1
        try:
            return text.decode()
        except UnicodeDecodeError:
            return _refuse("a name in the pickle is not UTF-8")  # type: ignore[no-any-return]

    def _text(self, n: int) -> str:
        try:
            return str(self._take(n), "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return _refuse("a text in the pickle is not UTF-8")  # type: ignore[no-any-return]

    def load(self) -> Any:
        """The object."""
        data, end, table = self._data, len(self._data), _OPCODES
        try:
            while True:
                at = self.at
                if at >= end:
                    raise EOFError("Ran out of input: the pickle is cut off")
                code = data[at]
                self.at = at + 1
                step = table[code]
                if step is None:
                    _refuse(f"Unsupported operand {code}")
                elif step is STOP:
                    if self._marks or len(self._stack) != 1:
                        _refuse("the pickle ends inside an object")
                    return self._stack.pop()
                else:
                    step(self)
        except (IndexError, KeyError, EOFError, struct.error) as error:
            raise pickle.UnpicklingError(
                f"the pickle is damaged ({type(error).__name__} at byte {self.at}): {error}"
            ) from None

    # ------------------------------------------------------------ names and calls
    def _global(self, module: str, name: str) -> None:
        module, name = _modern(module, name)
        full = f"{module}.{name}"
        self.globals.add(full)
        if self._collect:
            self._stack.append(_Anything())
            return
        if module.partition(".")[0] in allowed.BLOCKED:
            _refuse(f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked.")
        found = allowed.NAMES.get(full)
        if found is None:
            found = self._added.get(full)
        if found is None:
            shown = full.removeprefix("builtins.")
            _refuse(
                f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please "
                f"use `torch.serialization.add_safe_globals([{shown}])` or the "
                f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this "
                "global if you trust this class/function."
            )
        self._stack.append(found)

    def _is_added(self, kind: Any) -> bool:
        return any(kind is f for f in self._added.values())

    def _reduce(self) -> None:
        args = self._stack.pop()
        function = self._stack[-1]
        if self._collect:
            return
        call = allowed.call_of(function, self._added)
        if call is None:
            _refuse(f"Trying to call reduce for unrecognized function {function!r:.200}")
        elif type(args) is not tuple:
            _refuse("a function is called with a tuple")
        else:
            self._stack[-1] = self._called(call, args)

    def _called(self, call: Any, args: tuple[Any, ...]) -> Any:
        if call is rebuild._rebuild_from_type_v2 and len(args) == 4:
            kind = args[1]
            if kind is not Tensor and kind is not Parameter and not self._is_added(kind):
                _refuse(f"{kind!r:.200} is not an allowed class of tensors")
        try:
            return call(*args)
        except TypeError as error:
            return _refuse(f"{getattr(call, '__name__', call)}: {error}")

    def _new(self) -> None:
        args = self._stack.pop()
        kind = self._stack.pop()
        if self._collect:
            self._stack.append(_Anything())
            return
        if type(args) is not tuple:
            _refuse("an object is made with a tuple of arguments")
        if self._is_added(kind):
            self._stack.append(kind.__new__(kind, *args))
        elif kind in (Parameter, OrderedDict, Counter, set, bytearray, complex, Size):
            self._stack.append(self._called(allowed.call_of(kind, {}), args))
        else:
            _refuse(
                "Can only create new object for nn.Parameter or classes allowlisted via "
                f"`add_safe_globals` but got {kind!r:.200}"
            )

    def _build(self) -> None:
        state = self._stack.pop()
        made = self._stack[-1]
        if self._collect:
            return
        if type(made) is OrderedDict:
            if type(state) is not dict:
                _refuse("the attributes of an OrderedDict are a dict")
            for name in state:
                if type(name) is not str or hasattr(OrderedDict, name):
                    _refuse(f"{name!r:.100} cannot be an attribute of an OrderedDict")
            made.__dict__.update(state)
        elif self._is_added(type(made)):
            _set_state(made, state)
        else:
            _refuse(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(made)}"
            )

    def _refer(self) -> None:
        identity = self._stack.pop()
        if self._collect:
            self._stack.append(_Anything())
            return
        if self._persistent is None:
            _refuse("unsupported persistent id encountered")
        elif type(identity) is not tuple:
            _refuse(f"persistent_load id must be tuple or int, but got {type(identity)}")
        elif not identity or identity[0] not in ("storage", b"storage"):
            _refuse(f"Only persistent_load of storage is allowed, but got {identity!r:.100}")
        else:
            self._stack.append(self._persistent(identity))

    # ------------------------------------------------------------ containers
    def _mark(self) -> None:
        if len(self._marks) >= _MARKS:
            _refuse(f"more than {_MARKS} containers lie in each other")
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _list(self) -> list[Any]:
        target = self._stack[-1]
        if self._collect and type(target) is _Anything:
            return []
        if type(target) is not list:
            _refuse(f"Can only append to lists, but got {type(target)}")
        return target  # type: ignore[no-any-return]

    def _append(self) -> None:
        item = self._stack.pop()
        self._list().append(item)

    def _appends(self) -> None:
        items = self._since_mark()
        self._list().extend(items)

    def _put_items(self, items: list[Any], name: str) -> None:
        target = self._stack[-1]
        if self._collect and type(target) is _Anything:
            return
        if type(target) not in (dict, OrderedDict, Counter):
            _refuse(
                f"Can only {name} for dict, collections.OrderedDict, collections.Counter, but got "
                f"{type(target)}"
            )
        if len(items) % 2:
            _refuse("a dictionary has a key without a value")
        for i in range(0, len(items), 2):
            key = items[i]
            if type(key) is not str:
                allowed.check_key(key)
            target[key] = items[i + 1]

    def _setitem(self) -> None:
        value = self._stack.pop()
        self._put_items([self._stack.pop(), value], "SETITEM")

    def _setitems(self) -> None:
        items = self._since_mark()
        self._put_items(items, "SETITEMS")

    def _additems(self) -> None:
        items = self._since_mark()
        target = self._stack[-1]
        if type(target) is not set:
            _refuse(f"Can only add items to sets, but got {type(target)}")
        for item in items:
            allowed.check_key(item)
            target.add(item)

    def _frozen(self) -> None:
        self._stack.append(allowed._frozenset(self._since_mark()))

    def _dict(self) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._put_items(items, "DICT")

    def _tuple(self, n: int) -> None:
        if len(self._stack) < n:
            _refuse("the pickle is damaged: a tuple without its items")
        self._stack[-n:] = [tuple(self._stack[-n:])]

    def _put(self, i: int) -> None:
        self._memo[i] = self._stack[-1]

    def _long(self, n: int) -> None:
        self._stack.append(int.from_bytes(self._take(n), "little", signed=True))

    def _proto(self) -> None:
        version = self._take(1)[0]
        if version > pickle.HIGHEST_PROTOCOL:
            _refuse(f"unsupported pickle protocol: {version}")

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            _refuse("STACK_GLOBAL requires str")
        self._global(module, name)

    def _push(self, value: Any) -> None:
        self._stack.append(value)


class _Anything:
    """Stands for what is not looked at while names are collected."""


def _modern(module: str, name: str) -> tuple[str, str]:
    """Python 3's name for Python 2's, which protocol 2 writes."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def _set_state(made: Any, state: Any) -> None:
    """What ``pickle`` does with an object's state."""
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        made.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(made, name, value)


Step = Callable[[Unpickler], Any]


def STOP(u: Unpickler) -> None:
    """The end of a pickle; never called."""


def _table() -> list[Step | None]:
    """What each opcode does; None: not allowed."""
    p = pickle
    u = Unpickler
    known: dict[bytes, Step] = {
        p.PROTO: u._proto,
        p.FRAME: lambda self: self._take(8),
        p.STOP: STOP,
        p.GLOBAL: lambda self: self._global(self._line(), self._line()),
        p.STACK_GLOBAL: u._stack_global,
        p.REDUCE: u._reduce,
        p.NEWOBJ: u._new,
        p.BUILD: u._build,
        p.BINPERSID: u._refer,
        p.MARK: u._mark,
        p.POP: lambda self: self._stack.pop(),
        p.APPEND: u._append,
        p.APPENDS: u._appends,
        p.SETITEM: u._setitem,
        p.SETITEMS: u._setitems,
        p.ADDITEMS: u._additems,
        p.FROZENSET: u._frozen,
        p.DICT: u._dict,
        p.LIST: lambda self: self._push(self._since_mark()),
        p.TUPLE: lambda self: self._push(tuple(self._since_mark())),
        p.TUPLE1: lambda self: self._tuple(1),
        p.TUPLE2: lambda self: self._tuple(2),
        p.TUPLE3: lambda self: self._tuple(3),
        p.NONE: lambda self: self._stack.append(None),
        p.NEWTRUE: lambda self: self._stack.append(True),
        p.NEWFALSE: lambda self: self._stack.append(False),
        p.EMPTY_TUPLE: lambda self: self._stack.append(()),
        p.EMPTY_LIST: lambda self: self._stack.append([]),
        p.EMPTY_DICT: lambda self: self._stack.append({}),
        p.EMPTY_SET: lambda self: self._stack.append(set()),
        p.BININT: lambda self: self._stack.append(self._number("<i", 4)),
        p.BININT1: lambda self: self._stack.append(self._take(1)[0]),
        p.BININT2: lambda self: self._stack.append(self._number("<H", 2)),
        p.LONG1: lambda self: self._long(self._take(1)[0]),
        p.LONG4: lambda self: self._long(self._number("<i", 4)),
        p.BINFLOAT: lambda self: self._stack.append(struct.unpack(">d", self._take(8))[0]),
        p.BINUNICODE: lambda self: self._push(self._text(self._number("<I", 4))),
        p.SHORT_BINUNICODE: lambda self: self._push(self._text(self._take(1)[0])),
        p.BINUNICODE8: lambda self: self._push(self._text(self._number("<Q", 8))),
        p.BINBYTES: lambda self: self._push(self._take(self._number("<I", 4))),
        p.SHORT_BINBYTES: lambda self: self._push(self._take(self._take(1)[0])),
        p.BINBYTES8: lambda self: self._push(self._take(self._number("<Q", 8))),
        p.BYTEARRAY8: lambda self: self._push(bytearray(self._take(self._number("<Q", 8)))),
        # texts of Python 2
        p.SHORT_BINSTRING: lambda self: self._push(self._text(self._take(1)[0])),
        p.BINSTRING: lambda self: self._push(self._text(self._number("<i", 4))),
        p.BINGET: lambda self: self._push(self._memo[self._take(1)[0]]),
        p.LONG_BINGET: lambda self: self._push(self._memo[self._number("<I", 4)]),
        p.BINPUT: lambda self: self._put(self._take(1)[0]),
        p.LONG_BINPUT: lambda self: self._put(self._number("<I", 4)),
        p.MEMOIZE: lambda self: self._put(len(self._memo)),
    }
    table: list[Step | None] = [None] * 256
    for code, step in known.items():
        table[code[0]] = step
    return table


_OPCODES: Final = _table()


def loads_weights(data: bytes, persistent: Persistent | None, at: int = 0) -> tuple[Any, int]:
    """The object pickled at ``at``, weights only, and where its pickle ends."""
    reader = Unpickler(data, persistent, at)
    return reader.load(), reader.at


def unsafe_names(data: bytes) -> list[str]:
    """The names in a pickle that only an allow-list of the program's could let in."""
    reader = Unpickler(data, None)
    reader._collect = True
    reader.load()
    known = allowed.NAMES.keys() | allowed.added().keys()
    return sorted(name for name in reader.globals if name not in known)


# ---------------------------------------------------------------- anything
_TRUSTED: Final = {
    "torch._tensor._rebuild_from_type_v2": rebuild._rebuild_from_type_v2,
    "torch.serialization._get_layout": allowed._layout,
    **{f"torch._utils.{name}": f for name, f in rebuild.UTILS.items()},
}


def loads_anything(
    data: bytes,
    persistent: Persistent | None,
    pickle_module: Any,
    arguments: dict[str, Any],
    at: int = 0,
) -> tuple[Any, int]:
    """The object pickled at ``at``, whatever it is, and where its pickle ends."""
    stream = io.BytesIO(data)
    stream.seek(at)

    class Reader(pickle_module.Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            if "Storage" in name and module.partition(".")[0] in ("torch", "rushlight"):
                kind = STORAGE_TYPES.get(name)
                if kind is not None:
                    return kind
            found = _TRUSTED.get(f"{module}.{name}")
            if found is not None:
                return found
            if module.partition(".")[0] in ("torch", "torchvision"):
                return our_object(module, name)
            return super().find_class(module, name)

        def persistent_load(self, identity: Any) -> Any:
            if persistent is None:
                raise pickle.UnpicklingError("unsupported persistent id encountered")
            return persistent(identity)

    out = Reader(stream, **arguments).load()
    return out, stream.tell()
