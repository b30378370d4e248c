"""Event files: records with their lengths and checksums, one after another.

A record is its length (64 bits), the masked CRC-32C of that, its bytes, and their masked CRC-32C.
Source: TensorFlow's `record_writer.cc`.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import Any, Final

from . import proto


def _table() -> tuple[int, ...]:
    out = []
    for i in range(256):
        value = i
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        out.append(value)
    return tuple(out)


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum."""
    table = _TABLE
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The checksum as records hold it: turned and shifted, so that it can be summed again."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One record."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def records(content: bytes) -> list[bytes]:
    """The records of a file, checked.

    Raises:
        ValueError: for a checksum that does not match, or a file that ends inside a record.
    """
    out = []
    at = 0
    while at < len(content):
        head = content[at : at + 8]
        if len(head) < 8 or at + 16 > len(content):
            raise ValueError(f"the file ends inside the record at byte {at}")
        (length,) = struct.unpack("<Q", head)
        data = content[at + 12 : at + 12 + length]
        sums = content[at + 8 : at + 12] + content[at + 12 + length : at + 16 + length]
        if len(data) != length or len(sums) != 8:
            raise ValueError(f"the file ends inside the record at byte {at}")
        if struct.unpack("<II", sums) != (masked(head), masked(data)):
            raise ValueError(f"the record at byte {at} does not match its checksum")
        out.append(data)
        at += 16 + length
    return out


_opened = 0


class EventFile:
    """Appends events to a new file in a folder, flushed every ``flush_secs`` and at the end."""

    def __init__(self, folder: str, flush_secs: float = 120, suffix: str = "") -> None:
        import platform

        global _opened
        os.makedirs(folder, exist_ok=True)
        now = time.time()
        host = platform.node() or "localhost"
        name = f"events.out.tfevents.{int(now)}.{host}.{os.getpid()}.{_opened}{suffix}"
        _opened += 1
        self.path = os.path.join(folder, name)
        self._file: Any = open(self.path, "ab")  # noqa: SIM115 - stays open
        self._lock = threading.Lock()
        self._every = flush_secs
        self._flushed = now
        self.add(proto.event(now, None, content=proto.file_version()))
        self.flush()

    def add(self, event: bytes) -> None:
        """Append an event."""
        data = record(event)
        with self._lock:
            if self._file is None:
                self._file = open(self.path, "ab")  # noqa: SIM115 - stays open
            self._file.write(data)
            now = time.time()
            if now - self._flushed >= self._every:
                self._flushed = now
                self._file.flush()

    def flush(self) -> None:
        """Hand everything to the system."""
        with self._lock:
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Flush and close; adding opens the file again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:  # a writer that was never closed: nothing is lost
            file.close()
