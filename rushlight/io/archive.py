"""PyTorch's zip archives: records stored uncompressed, each beginning at a multiple of 64 bytes.

Owns the layout on disk.  The writer needs nothing but `write` and produces the bytes that
PyTorch's own writer (miniz with data descriptors) does.  The reader trusts nothing: sizes, offsets
and checksums are looked at before memory is allocated or bytes are handed out.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Final

ALIGNMENT: Final = 64
_LIMIT: Final = 0xFFFFFFFF  # what does not fit in 32 bits goes into zip64 fields
_FLAGS: Final = 0x0808  # sizes follow the data; names are UTF-8
_PIECE: Final = 16 << 20  # written and checked in pieces of this size


class Writer:
    """Writes records one after another to anything with a ``write`` method.

    ``name`` is the folder that all records lie in.  ``close()`` writes the directory.
    """

    def __init__(self, out: Any, name: str, alignment: int = ALIGNMENT) -> None:
        self._write = out.write
        self._name = name
        self._alignment = alignment
        self._at = 0
        self._entries: list[tuple[bytes, int, int, int]] = []  # name, offset, size, CRC

    def _put(self, data: Any) -> None:
        self._write(data)
        self._at += len(memoryview(data))

    def record(self, name: str, content: Any) -> None:
        """Add a record."""
        import zlib

        data = memoryview(content).cast("B")
        path = f"{self._name}/{name}".encode()
        start, size = self._at, len(data)
        sizes = struct.pack("<QQ", size, size) if size >= _LIMIT else b""
        large = sizes + (struct.pack("<Q", start) if start >= _LIMIT else b"")
        extra = struct.pack("<HH", 1, len(large)) + large if large else b""
        free = -(start + 30 + len(path) + len(extra) + 4) % self._alignment
        extra += b"FB" + struct.pack("<H", free) + b"Z" * free
        self._put(
            struct.pack(
                "<IHHHHHIIIHH", 0x04034B50, 0, _FLAGS, 0, 0, 0, 0,
                *((_LIMIT, _LIMIT) if sizes else (0, 0)), len(path), len(extra),
            )
            + path
            + extra
        )  # fmt: skip
        crc = 0
        for piece in range(0, size, _PIECE):
            part = data[piece : piece + _PIECE]
            crc = zlib.crc32(part, crc)
            self._put(part)
        if size:
            form = "<IIQQ" if large else "<IIII"
            self._put(struct.pack(form, 0x08074B50, crc, size, size))
        self._entries.append((path, start, size, crc))

    def finish(self) -> None:
        """Write the version, the archive's number and the directory."""
        import zlib

        self.record("version", b"3\n")
        names, sums = 0, 0
        for path, _, _, crc in self._entries:
            names = zlib.crc32(path, names)
            sums = zlib.crc32(crc.to_bytes(4, "little"), sums)
        self.record(".data/serialization_id", f"{names:020d}{sums:020d}".encode())
        begin = self._at
        for path, start, size, crc in self._entries:
            large = struct.pack("<QQ", size, size) if size >= _LIMIT else b""
            large += struct.pack("<Q", start) if start >= _LIMIT else b""
            extra = struct.pack("<HH", 1, len(large)) + large if large else b""
            short = min(size, _LIMIT)
            self._put(
                struct.pack(
                    "<IHHHHHHIIIHHHHHII", 0x02014B50, 0, 0, _FLAGS, 0, 0, 0, crc, short, short,
                    len(path), len(extra), 0, 0, 0, 0, min(start, _LIMIT),
                )
                + path
                + extra
            )  # fmt: skip
        count, length, end = len(self._entries), self._at - begin, self._at
        self._put(
            struct.pack(
                "<IQHHIIQQQQ", 0x06064B50, 44, 0x031E, 45, 0, 0, count, count, length, begin
            )
            + struct.pack("<IIQI", 0x07064B50, 0, end, 1)
            + struct.pack(
                "<IHHHHIIH", 0x06054B50, 0, 0, min(count, 0xFFFF), min(count, 0xFFFF),
                min(length, _LIMIT), min(begin, _LIMIT), 0,
            )
        )  # fmt: skip


def _broken(what: str) -> RuntimeError:
    return RuntimeError(f"PytorchStreamReader failed reading zip archive: {what}")


class Reader:
    """The records of an archive in a seekable binary file.

    Raises:
        RuntimeError: in PyTorch's words for what is no archive, is cut off or inconsistent.
    """

    def __init__(self, file: Any) -> None:
        import zipfile

        self._file = file
        file.seek(0, os.SEEK_END)
        self.size: int = file.tell()
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as e:
            raise _broken(
                f"failed finding central directory ({e}): the file is cut off or damaged"
            ) from None
        if not entries:
            raise _broken("the archive is empty")
        first = entries[0].orig_filename
        if "/" not in first:
            raise _broken(f"file {first!r} lies in no folder: this is not a PyTorch checkpoint")
        self.name = first[: first.index("/")]
        self._entries: dict[str, Any] = {}
        begins = []
        for entry in entries:
            name = entry.orig_filename
            if name in self._entries:
                raise _broken(f"the record {name!r} appears twice")
            self._entries[name] = entry
            begins.append(entry.header_offset)
        self._next = dict(zip(sorted(begins), [*sorted(begins)[1:], self.size]))
        if len(self._next) != len(begins):
            raise _broken("records overlap")

    def names(self) -> list[str]:
        """The records' names without the archive's."""
        head = self.name + "/"
        return [name.removeprefix(head) for name in self._entries]

    def has(self, name: str) -> bool:
        """Is there a record called ``name``?"""
        return f"{self.name}/{name}" in self._entries

    def _entry(self, name: str) -> Any:
        entry = self._entries.get(f"{self.name}/{name}")
        if entry is None:
            raise _broken(f"file not found: {name!r}")
        if entry.flag_bits & 1:
            raise _broken(f"the record {name!r} is encrypted")
        if entry.compress_type != 0 or entry.compress_size != entry.file_size:
            raise _broken(
                f"the record {name!r} is compressed; PyTorch stores records as they are: unpack "
                "the archive and pack it again without compression"
            )
        return entry

    def length(self, name: str) -> int:
        """How many bytes a record has."""
        return int(self._entry(name).file_size)

    def offset(self, name: str) -> int:
        """Where a record's bytes begin in the file."""
        entry = self._entry(name)
        self._file.seek(entry.header_offset)
        head = self._file.read(30)
        if len(head) != 30 or head[:4] != b"PK\x03\x04":
            raise _broken(f"the record {name!r} has no header: the file is damaged")
        path, extra = struct.unpack("<HH", head[26:30])
        if self._file.read(path) != entry.orig_filename.encode():
            raise _broken(f"the record {name!r} has another name in its header")
        begin: int = entry.header_offset + 30 + path + extra
        if begin + entry.file_size > self._next[entry.header_offset]:
            raise _broken(f"the record {name!r} reaches into the next one or past the end")
        return begin

    def read_into(self, name: str, memory: Any) -> None:
        """A record's bytes, checked, into memory of its length."""
        import zlib

        self._file.seek(self.offset(name))
        target = memoryview(memory).cast("B")
        crc = 0
        for piece in range(0, len(target), _PIECE):
            part = target[piece : piece + _PIECE]
            _fill(self._file, part, name)
            crc = zlib.crc32(part, crc)
        if crc != self._entry(name).CRC:
            raise _broken(f"the record {name!r} does not match its checksum: the file is damaged")

    def read(self, name: str) -> bytes:
        """A record's bytes, checked."""
        memory = bytearray(self.length(name))
        self.read_into(name, memory)
        return bytes(memory)


def _fill(file: Any, part: memoryview, name: str) -> None:
    at = 0
    while at < len(part):
        if hasattr(file, "readinto"):
            n = file.readinto(part[at:])
        else:
            data = file.read(len(part) - at)
            n = len(data)
            part[at : at + n] = data
        if not n:
            raise _broken(f"the file ends inside the record {name!r}")
        at += n
