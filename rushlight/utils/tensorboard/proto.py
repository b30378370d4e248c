"""Protocol buffers by hand: the few messages of TensorBoard's event files.

A field is a number and a wire type, then the value; a message within a message is its bytes.
Source: https://protobuf.dev/programming-guides/encoding, and TensorFlow's `event.proto`,
`summary.proto`, `tensor.proto` and TensorBoard's `plugins/hparams/*.proto` for the numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any


def varint(value: int) -> bytes:
    """A number in groups of seven bits; negative ones as 64 bits of two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(field: int, value: int) -> bytes:
    """An integer or bool."""
    return varint(field << 3) + varint(int(value))


def double(field: int, value: float) -> bytes:
    """A number of 64 bits."""
    return varint(field << 3 | 1) + struct.pack("<d", value)


def single(field: int, value: float) -> bytes:
    """A number of 32 bits."""
    return varint(field << 3 | 5) + struct.pack("<f", value)


def data(field: int, value: bytes | str) -> bytes:
    """A text, bytes or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def doubles(field: int, values: Sequence[float]) -> bytes:
    """Many numbers of 64 bits, packed."""
    return data(field, struct.pack(f"<{len(values)}d", *values))


def dynamic(value: Any) -> bytes:
    """``google.protobuf.Value`` of a bool, number or text."""
    if isinstance(value, bool):
        return integer(4, value)
    if isinstance(value, int | float):
        return double(2, float(value))
    return data(3, str(value))


# ---------------------------------------------------------------- messages
def event(wall_time: float, step: int | None, *, content: bytes) -> bytes:
    """An ``Event``; ``content`` is its one field that says what happened."""
    return double(1, wall_time) + (b"" if step is None else integer(2, step)) + content


def file_version() -> bytes:
    """The first event's content."""
    return data(3, "brain.Event:2")


def session_start() -> bytes:
    """Content that lets readers forget events of later steps."""
    return data(7, integer(1, 1))


def summary(*values: bytes) -> bytes:
    """Content with the values of a step."""
    return data(5, b"".join(data(1, value) for value in values))


def metadata(plugin: str, content: bytes = b"") -> bytes:
    """A value's field that names the plugin which shows it."""
    return data(9, data(1, data(1, plugin) + data(2, content)))


def scalar(tag: str, value: float) -> bytes:
    """A number."""
    return data(1, tag) + single(2, value)


def new_scalar(tag: str, value: float) -> bytes:
    """A number as a tensor."""
    tensor = integer(1, 1) + data(2, b"") + data(5, struct.pack("<f", value))
    return data(1, tag) + metadata("scalars") + data(8, tensor)


def image(tag: str, height: int, width: int, colours: int, png: bytes) -> bytes:
    """A picture."""
    size = integer(1, height) + integer(2, width) + integer(3, colours)
    return data(1, tag) + data(4, size + data(4, png))


def histogram(
    tag: str,
    low: float,
    high: float,
    count: float,
    total: float,
    squares: float,
    limits: Sequence[float],
    counts: Sequence[float],
) -> bytes:
    """Counts by the right limits of their bins."""
    facts = double(1, low) + double(2, high) + double(3, count) + double(4, total)
    facts += double(5, squares) + doubles(6, limits) + doubles(7, counts)
    return data(1, tag) + data(5, facts)


def text(tag: str, value: str) -> bytes:
    """A text, shown as Markdown."""
    shape = data(2, integer(1, 1))
    tensor = integer(1, 7) + data(2, shape) + data(8, value)
    return data(1, f"{tag}/text_summary") + metadata("text") + data(8, tensor)


def _kind(value: Any) -> int:
    return 2 if isinstance(value, bool) else 3 if isinstance(value, int | float) else 1


def experiment(
    settings: dict[str, Any], measures: Sequence[str], choices: dict[str, list[Any]] | None
) -> bytes:
    """Value that lists an experiment's hyper-parameters and measures."""
    out = b""
    for name, value in settings.items():
        known = data(1, name) + integer(4, _kind(value))
        values = (choices or {}).get(name)
        if values is not None:
            known += data(5, b"".join(data(1, dynamic(v)) for v in values))
        out += data(4, known)
    for tag in measures:
        out += data(5, data(1, data(2, tag)))
    return data(1, "_hparams_/experiment") + metadata("hparams", integer(1, 0) + data(2, out))


def session(settings: dict[str, Any], begun: float) -> tuple[bytes, bytes]:
    """Values that say with which hyper-parameters a session began, and that it ended well."""
    start = b"".join(data(1, data(1, k) + data(2, dynamic(v))) for k, v in settings.items())
    start += double(5, begun)
    end = integer(1, 1) + double(2, begun)
    return (
        data(1, "_hparams_/session_start_info")
        + metadata("hparams", integer(1, 0) + data(3, start)),
        data(1, "_hparams_/session_end_info") + metadata("hparams", integer(1, 0) + data(4, end)),
    )
