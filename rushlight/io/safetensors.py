"""The safetensors format: a JSON header that says where each tensor's bytes lie, then the bytes.

``save_file`` and ``load_file`` as the `safetensors` package's `torch` module has them; the format
is a page, so no package is needed.  Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ..base import dtype as dt
from ..engine import Tensor
from .atomic import replacing
from .storages import UntypedStorage, content, default_restore_location, geometry, storage_of

_NAMES: Final = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32",
    "uint32": "U32", "int64": "I64", "uint64": "U64", "float16": "F16", "bfloat16": "BF16",
    "float32": "F32", "float64": "F64", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
_KINDS: Final = {_NAMES[kind.name]: kind for kind in dt.ALL if kind.name in _NAMES}
_HEADER_LIMIT: Final = 100_000_000


class SafetensorError(Exception):
    """A file that is not in the safetensors format, or is damaged."""


def _contiguous(x: Any) -> Any:
    """A tensor's bytes, row-major, little-endian."""
    offset, shape, strides = geometry(x)
    flat = content(storage_of(x))
    size = x.dtype.itemsize
    n = x.numel() * size
    if x.is_contiguous():
        return flat[offset * size : offset * size + n]
    view = np.lib.stride_tricks.as_strided(
        flat[offset * size :].view(f"V{size}"), shape, [s * size for s in strides]
    )
    return np.ascontiguousarray(view).reshape(-1).view(np.uint8)


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file of named tensors."""
    out = io.BytesIO()
    _write(tensors, metadata, out)
    return out.getvalue()


def save_file(
    tensors: Mapping[str, Tensor],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named tensors to a safetensors file, whole or not at all.

    Raises:
        ValueError: for what is no tensor, is not contiguous, or shares memory with another one (the
            format has no views); TypeError: for a type that the format does not have.

    >>> import os, tempfile, rushlight as torch
    >>> path = os.path.join(tempfile.mkdtemp(), "w.safetensors")
    >>> torch.io.save_file({"w": torch.ones(2)}, path)
    >>> torch.io.load_file(path)
    {'w': tensor([1., 1.])}
    """
    _check(tensors)
    with replacing(filename) as out:
        _write(tensors, metadata, out)


def _check(tensors: Mapping[str, Tensor]) -> None:
    if not isinstance(tensors, Mapping):
        raise ValueError(
            f"Expected a dict of [str, torch.Tensor] but received {type(tensors).__name__}"
        )
    seen: dict[int, str] = {}
    loose = []
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise ValueError(
                f"Key `{name}` is invalid, expected torch.Tensor but received {type(x)}"
            )
        other = seen.setdefault(id(storage_of(x)), name)
        if other != name:
            raise RuntimeError(
                f"Some tensors share memory, this will lead to duplicate memory on disk and "
                f"potential differences when loading them again: {[{other, name}]}. Save one of "
                "them, or clone() them."
            )
        value: Any = x
        if not value.is_contiguous():
            loose.append(name)
    if loose:
        raise ValueError(
            f"You are trying to save a non contiguous tensor: `{loose[0]}` which is not allowed. "
            "It either means you are trying to save tensors which are reference of each other in "
            "which case it's recommended to save only the full tensors, and reslice at load time, "
            "or simply call `.contiguous()` on your tensor to pack it before saving."
        )


def _write(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None, out: Any) -> None:
    header: dict[str, Any] = {}
    if metadata is not None:
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError("metadata of safetensors is texts by texts")
        header["__metadata__"] = dict(metadata)
    # The format's own writer: widest types first, so that all are aligned, then by name.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    at = 0
    for name in order:
        x: Any = tensors[name]
        kind = _NAMES.get(x.dtype.name)
        if kind is None:
            raise TypeError(f"safetensors has no type for {x.dtype} (tensor `{name}`)")
        end = at + x.numel() * x.dtype.itemsize
        header[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    out.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        out.write(memoryview(_contiguous(tensors[name])))


def load(data: bytes) -> dict[str, Tensor]:
    """Named tensors of the bytes of a safetensors file."""
    return _read(io.BytesIO(data), len(data), "cpu")[0]


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Tensor]:
    """Named tensors of a safetensors file.

    Raises:
        SafetensorError: the file is not in the format, is damaged or cut off.
    """
    with open(filename, "rb") as file:
        return _read(file, os.path.getsize(filename), device)[0]


def load_metadata(filename: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that a safetensors file carries beside its tensors."""
    with open(filename, "rb") as file:
        header = _header(file, os.path.getsize(filename))[0]
    return dict(header.get("__metadata__") or {})


def _header(file: Any, size: int) -> tuple[dict[str, Any], int]:
    head = file.read(8)
    if len(head) != 8:
        raise SafetensorError("Error while deserializing header: header too small")
    (length,) = struct.unpack("<Q", head)
    if length > _HEADER_LIMIT:
        raise SafetensorError(f"Error while deserializing header: header too large ({length})")
    if 8 + length > size:
        raise SafetensorError(
            f"Error while deserializing header: invalid header length {length} in a file of "
            f"{size} bytes"
        )
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise SafetensorError(
            f"Error while deserializing header: invalid JSON in header: {error}"
        ) from None
    if not isinstance(header, dict):
        raise SafetensorError("Error while deserializing header: the header is not an object")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a name appears twice")
    return out


def _read(file: Any, size: int, where: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    header, begin = _header(file, size)
    metadata = header.pop("__metadata__", {})
    entries = [_entry(name, value) for name, value in header.items()]
    end = 0
    for name, _, _, first, last in sorted(entries, key=lambda e: e[3:5]):
        if first != end:
            raise SafetensorError(
                f"Error while deserializing header: invalid offset for tensor `{name}`: bytes "
                f"{first} to {last} overlap with or leave a gap after byte {end}"
            )
        end = last
    if begin + end != size:
        raise SafetensorError(
            f"Error while deserializing: the tensors have {end} bytes, the file {size - begin}: it "
            "is cut off or damaged"
        )
    out: dict[str, Tensor] = {}
    for name, kind, shape, first, last in entries:
        file.seek(begin + first)
        storage = UntypedStorage.new(last - first, kind)
        target = memoryview(storage.array())
        if last > first and file.readinto(target) != last - first:
            raise SafetensorError(f"the file ends inside tensor `{name}`")
        strides = []
        step = 1
        for n in reversed(shape):
            strides.append(step)
            step *= max(n, 1)
        placed = default_restore_location(storage, str(where))
        out[name] = placed.tensor(kind, 0, shape, strides[::-1])
    return out, metadata


def _entry(name: str, value: Any) -> tuple[str, Any, tuple[int, ...], int, int]:
    """A tensor's type, shape, and where its bytes begin and end, looked at."""

    def wrong(what: str) -> SafetensorError:
        return SafetensorError(f"Error while deserializing header: tensor `{name}`: {what}")

    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong("an entry has dtype, shape and data_offsets")
    kind = _KINDS.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if kind is None:
        raise wrong(f"the type {value['dtype']!r:.40} is not in Rushlight")
    shape, offsets = value["shape"], value["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise wrong("shape and data_offsets are lists")
    if any(type(n) is not int or not 0 <= n < 1 << 62 for n in (*shape, *offsets)):
        raise wrong("sizes and offsets are natural numbers")
    count = 1
    for n in shape:
        count *= n
    if count * kind.itemsize != offsets[1] - offsets[0]:
        raise wrong(
            f"shape {shape} of {value['dtype']} needs {count * kind.itemsize} bytes, the offsets "
            f"{offsets} leave {offsets[1] - offsets[0]}"
        )
    return name, kind, tuple(shape), offsets[0], offsets[1]
