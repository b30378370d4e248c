"""``torch.save`` and ``torch.load``: PyTorch's checkpoint files, written and read."""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from typing import Any, Final

from . import legacy
from .archive import ALIGNMENT, Reader, Writer
from .atomic import replacing
from .pickler import dumps
from .safetensors import load_file
from .storages import UntypedStorage, checked_id, content, held, restorer
from .unpickler import loads_anything, loads_weights

DEFAULT_PROTOCOL: Final = 2
_TRUE: Final = ("1", "y", "yes", "true")
UNSAFE_MESSAGE: Final = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` "
    "from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will "
    "likely succeed, but it can result in arbitrary code execution. Do it only if you got the file "
    "from a trusted source."
)
_DOCS: Final = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by default with "
    "weights_only https://pytorch.org/docs/stable/generated/torch.load.html."
)


def _is_path(f: Any) -> bool:
    return isinstance(f, str | os.PathLike)


# ---------------------------------------------------------------- save
def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save an object to a file that PyTorch reads as well.

    A file is written beside its place and takes it when it is whole: a full disk or an interruption
    leaves what was there.  Tensors that share memory share it in the file.

    Args:
        obj: tensors, state_dicts, modules, or anything that ``pickle`` can take apart.
        f: a path, or an object with ``write`` and ``flush``.
        pickle_module: what pickles objects that are not tensors.
        pickle_protocol: of the pickle inside; PyTorch's default is 2.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save({"x": torch.arange(3)}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'x': tensor([0, 1, 2])}
    """
    if not _is_path(f) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )

    def write(out: Any, name: str) -> None:
        if _use_new_zipfile_serialization:
            _write(obj, out, name, pickle_module, pickle_protocol, not _disable_byteorder_record)
        else:
            legacy.write(obj, out, pickle_module, pickle_protocol)

    if _is_path(f):
        with replacing(f) as file:
            write(file, _archive_name(os.fspath(f)))
        return
    if not callable(f.write):
        raise TypeError(f"Buffer of {str(type(f)).strip('<>')} has no callable attribute 'write'")
    write(f, "archive")
    if hasattr(f, "flush"):
        f.flush()


def _archive_name(path: str | bytes) -> str:
    """The folder inside the archive: the file's name without its last suffix."""
    name = os.path.basename(os.fsdecode(path))
    stem = name.rpartition(".")[0] if "." in name else name
    return stem if stem and stem.isascii() else "archive"


def _write(
    obj: Any, out: Any, name: str, pickle_module: Any, protocol: int, byteorder: bool
) -> None:
    data, storages = dumps(obj, pickle_module, protocol)
    writer = Writer(out, name)
    writer.record("data.pkl", data)
    writer.record(".format_version", b"1")
    writer.record(".storage_alignment", str(ALIGNMENT).encode())
    if byteorder:
        writer.record("byteorder", sys.byteorder.encode())
    for key, storage in storages.items():
        writer.record(f"data/{key}", content(storage))
    writer.finish()


# ---------------------------------------------------------------- load
def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what ``save``, Rushlight's or PyTorch's, has written.

    Args:
        f: a path, or a seekable object with ``read``.
        map_location: where storages go: a device, a dictionary of locations, or a function of
            storage and location.
        pickle_module: with ``weights_only=False``, what unpickles.
        weights_only: True (the default) builds tensors, numbers, texts, containers and what
            ``torch.serialization.add_safe_globals`` names, and nothing else: no code of the file's
            choosing runs.  False unpickles anything: only for files that you trust.
        mmap: tensors lie in the mapped file; writes stay private.

    Raises:
        pickle.UnpicklingError: the file asks for what ``weights_only=True`` refuses.
        RuntimeError: the file is damaged, cut off or inconsistent.
    """
    weights_only, pickle_module = _mode(weights_only, pickle_module)
    if pickle_load_args and weights_only:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    pickle_load_args.setdefault("encoding", "utf-8")
    if _is_path(f):
        path = os.fspath(f)
        if str(path).endswith(".safetensors"):
            return load_file(path, _safetensors_place(map_location))
        with open(path, "rb") as file:
            return _load(file, path, map_location, pickle_module, weights_only, bool(mmap),
                         pickle_load_args)  # fmt: skip
    _check_seekable(f)
    return _load(f, None, map_location, pickle_module, weights_only, bool(mmap), pickle_load_args)


def _mode(weights_only: bool | None, pickle_module: Any) -> tuple[bool, Any]:
    """Whether only weights are loaded, and what unpickles otherwise."""
    force = os.getenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in _TRUE
    force_not = os.getenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in _TRUE
    if force and force_not:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` "
            "should be set, but both were set."
        )
    unset = weights_only is None
    if unset:
        weights_only = pickle_module is None
    if force:
        weights_only = True
    elif force_not and unset:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the"
            "`weights_only` argument was not explicitly passed to `torch.load`, forcing "
            "weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        weights_only = False
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    return bool(weights_only), pickle if pickle_module is None else pickle_module


def _check_seekable(f: Any) -> None:
    try:
        f.seek(f.tell())
    except (OSError, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead."
        ) from None


def _safetensors_place(map_location: Any) -> Any:
    if isinstance(map_location, dict) or callable(map_location):
        kind = "dict" if isinstance(map_location, dict) else "callable"
        raise RuntimeError(
            f"Loading safetensors file with {kind} map_location is not supported. Use a device "
            "string or torch.device instead."
        )
    return "cpu" if map_location is None else map_location


def _load(
    file: Any,
    path: Any,
    map_location: Any,
    pickle_module: Any,
    weights_only: bool,
    mmap: bool,
    arguments: dict[str, Any],
) -> Any:
    start = file.tell()
    magic = file.read(4)
    file.seek(start)
    zipped = magic == b"PK\x03\x04"
    if mmap and not zipped:
        name = f"{path}, " if isinstance(path, str) else ""
        raise RuntimeError(
            "mmap can only be used with files saved with "
            f"`torch.save({name}_use_new_zipfile_serialization=True), please torch.save your "
            "checkpoint with this option in order to use mmap."
        )
    if mmap and path is None:
        raise ValueError("f must be a file path in order to use the mmap argument")
    try:
        if not zipped:
            return legacy.read(file, map_location, pickle_module, weights_only, arguments)
        reader = Reader(file)
        if reader.has("constants.pkl"):
            raise RuntimeError(
                "Cannot use ``weights_only=True`` with TorchScript archives passed to "
                "``torch.load``. " + UNSAFE_MESSAGE
                if weights_only
                else "the file is a TorchScript archive: programs inside of files are not run by "
                "Rushlight; save a state_dict instead"
            )
        source = _Storages(reader, map_location, path if mmap else None)
        data = reader.read("data.pkl")
        if weights_only:
            return loads_weights(data, source.get)[0]
        return loads_anything(data, source.get, pickle_module, arguments)[0]
    except pickle.UnpicklingError as error:
        if not weights_only:
            raise
        raise pickle.UnpicklingError(_explained(str(error))) from None


def _explained(message: str) -> str:
    """PyTorch's words around what the weights-only unpickler refused."""
    if "was not an allowed global by default" in message:
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two "
            "options, \033[1mdo those steps only if you trust the source of the checkpoint\033[0m. "
            f"\n\t(1) {UNSAFE_MESSAGE}\n\t(2) Alternatively, to load with `weights_only=True` "
            "please check the recommended steps in the following error message.\n\t"
            "WeightsUnpickler error: " + message + _DOCS
        )
    out = f"Weights only load failed. {UNSAFE_MESSAGE}\n"
    if " is blocked" not in message:
        out += (
            "Please file an issue with the following so that we can make `weights_only=True` "
            "compatible with your use case: WeightsUnpickler error: "
        )
    return out + "\n\n" + message + _DOCS


class _Storages:
    """The storages of an archive, each read once, when the pickle first refers to it."""

    def __init__(self, reader: Reader, map_location: Any, mapped: Any) -> None:
        self._reader = reader
        self._restore = restorer(map_location)
        self._loaded: dict[str, UntypedStorage] = {}
        self._mapped: Any = None
        if mapped is not None:
            import numpy as np

            self._mapped = np.memmap(mapped, np.uint8, "c")
        self._order = "little"
        if reader.has("byteorder"):
            order = reader.read("byteorder") if reader.length("byteorder") < 16 else b"?"
            if order not in (b"little", b"big"):
                raise ValueError("Unknown endianness type: " + order.decode("ascii", "replace"))
            self._order = order.decode()

    def get(self, identity: Any) -> UntypedStorage:
        """The storage of a persistent id ``('storage', type, key, location, numel)``."""
        kind, key, location, count = checked_id(identity, 5)
        found = self._loaded.get(key)
        if found is not None:
            return found
        name = f"data/{key}"
        nbytes = count * kind.dtype.itemsize
        length = self._reader.length(name)
        if nbytes > length:
            raise RuntimeError(
                f"the checkpoint says that storage {key!r} has {count} elements of "
                f"{kind.dtype} ({nbytes} bytes), but its record has {length} bytes: the file is "
                "damaged"
            )
        if self._mapped is not None and self._order == sys.byteorder:
            storage = self._map(name, nbytes, kind.dtype)
        else:
            storage = UntypedStorage.new(length, kind.dtype)
            self._reader.read_into(name, storage.array())
            storage = UntypedStorage(storage.memory, nbytes, kind.dtype)
            if self._order != sys.byteorder:
                storage.byteswap(kind.dtype)
        out = self._restore(storage, location)
        if not isinstance(out, UntypedStorage):
            raise TypeError(f"map_location must give a storage or None, not {type(out).__name__}")
        self._loaded[key] = out
        return out

    def _map(self, name: str, nbytes: int, kind: Any) -> UntypedStorage:
        begin = self._reader.offset(name)
        part = self._mapped[begin : begin + nbytes]
        if not nbytes or begin % kind.itemsize:
            storage = UntypedStorage.new(nbytes, kind)
            storage.array()[...] = part
            return storage
        return UntypedStorage(held(part), nbytes, kind)


__all__ = ["DEFAULT_PROTOCOL", "load", "save"]
