"""Compiled object code on disk.

Owns the cache folder. What is read here is executed, so a folder or file that somebody else owns
or may write is never trusted. Any trouble (no home, read-only, full, damaged) only means that the
cache is not used: no error ever leaves this module.

Entries lie in sixteen folders by the first digit of their key. Each is written to a temporary file
and renamed, so readers see whole entries or none. Each folder is held to its share of the size
limit by removing what was used longest ago.
"""

import contextlib
import importlib
import os
import stat
import struct
import sys
import time
import warnings
from functools import cache
from typing import Any

from rushlight.base.lazy import LOADING

SIZE_LIMIT = 256 << 20
"""Bytes that the cache may take, roughly."""

_MAGIC = b"RUSHLITE"
_FORMAT = 1
_HEADER = struct.Struct("<8sIQ32s32s")  # magic, format, payload bytes, key, sha256 of the payload
_LONG = 1 << 15  # bytes whose digest is worth OpenSSL
_CHECK_EVERY = 8  # stores into one folder between looks at its size
_TOUCH_AFTER = 3600.0  # seconds: an entry's time of last use need not be exact
_POSIX = os.open in os.supports_dir_fd and hasattr(os, "geteuid")


class _State:
    """What this process knows about its cache folder."""

    def __init__(self) -> None:
        self.checked: dict[str, str | None] = {}  # configured folder -> usable root or None
        self.stores: dict[str, int] = {}


_state = _State()


def directory() -> str | None:
    """The cache folder in use (made when absent), or None when the cache is off or refused."""
    if os.environ.get("RUSHLIGHT_CACHE", "1").strip().lower() in ("0", "off", "no", "false"):
        return None
    wanted = _configured()
    if wanted is None:
        return None
    if wanted not in _state.checked:
        _state.checked[wanted] = _prepare(wanted)
    return _state.checked[wanted]


def load(key: str) -> bytes | None:
    """The payload stored under `key` (64 hexadecimal digits), or None.

    A damaged or foreign entry is removed.
    """
    root = directory()
    if root is None:
        return None
    try:
        with _Folder(root, key[0], create=False) as folder:
            return _read_entry(folder, key)
    except (OSError, ValueError):
        return None


def holds(key: str) -> bool:
    """Is there an entry under `key`?  Whether it can be trusted is seen when it is loaded."""
    root = directory()
    return root is not None and os.path.isfile(os.path.join(root, key[0], key))


def store(key: str, payload: bytes) -> None:
    """Stores `payload` under `key`; does nothing where that is not possible."""
    root = directory()
    if root is None:
        return
    digest = _checksum(payload)
    header = _HEADER.pack(_MAGIC, _FORMAT, len(payload), bytes.fromhex(key), digest)
    try:
        with _Folder(root, key[0], create=True) as folder:
            _write_entry(folder, key, header + payload)
            count = _state.stores.get(key[0], 0)
            _state.stores[key[0]] = count + 1
            if count % _CHECK_EVERY == 0:
                _evict(folder, SIZE_LIMIT // 16, keep=key)
    except (OSError, ValueError):
        return


def sha256(data: bytes) -> Any:
    """`hashlib.sha256`. Short data does without OpenSSL where Python has an implementation of its
    own: loading the former takes longer than all digests of a small program."""
    if len(data) < _LONG and "hashlib" not in sys.modules:
        return _own_sha256()(data)
    with LOADING:
        hashlib = importlib.import_module("hashlib")
    return hashlib.sha256(data)


@cache
def _own_sha256() -> Any:
    with LOADING:
        for name in ("_sha2", "_sha256"):
            with contextlib.suppress(ImportError, AttributeError):
                return importlib.import_module(name).sha256
        return importlib.import_module("hashlib").sha256


def _checksum(payload: bytes) -> bytes:
    digest: bytes = sha256(payload).digest()
    return digest


def _configured() -> str | None:
    explicit = os.environ.get("RUSHLIGHT_CACHE_DIR")
    if explicit:
        return os.path.abspath(explicit)
    base = os.environ.get("XDG_CACHE_HOME")
    if base and os.path.isabs(base):
        return os.path.join(base, "rushlight")
    home = os.path.expanduser("~")
    return None if home.startswith("~") else os.path.join(home, ".cache", "rushlight")


def _prepare(wanted: str) -> str | None:
    """Makes and checks the folder; returns its real path, or None."""
    try:
        # Only the last part has to be ours: its parents are the user's business.
        root = os.path.realpath(wanted)
        os.makedirs(root, mode=0o700, exist_ok=True)
        fault = _fault(os.stat(root), directory=True)
    except (OSError, ValueError):
        return None
    if fault:
        warnings.warn(
            f"rushlight: the cache folder {wanted} {fault}, so compiled kernels are not kept; "
            "use a folder of your own (RUSHLIGHT_CACHE_DIR) with mode 0700",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return root


def _fault(status: os.stat_result, *, directory: bool = False) -> str:
    """Why what `status` describes cannot be trusted, or an empty string."""
    right_kind = stat.S_ISDIR if directory else stat.S_ISREG
    if not right_kind(status.st_mode):
        return "is not a folder" if directory else "is not a regular file"
    if _POSIX:
        if status.st_uid != os.geteuid():
            return "belongs to another user"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "may be written by other users"
    return ""


class _Folder:
    """One of the sixteen folders, held open so that nobody can exchange it meanwhile."""

    def __init__(self, root: str, digit: str, *, create: bool) -> None:
        self.root, self.path = root, os.path.join(root, digit)
        self.digit, self.create = digit, create
        self.handle: int | None = None

    def __enter__(self) -> "_Folder":
        if not _POSIX:
            if self.create:
                os.makedirs(self.path, exist_ok=True)
            return self
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        root = os.open(self.root, flags)
        try:
            self._check(root)
            if self.create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self.digit, 0o700, dir_fd=root)
            handle = os.open(self.digit, flags, dir_fd=root)
        finally:
            os.close(root)
        try:
            self._check(handle)
        except OSError:
            os.close(handle)
            raise
        self.handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    @staticmethod
    def _check(handle: int) -> None:
        fault = _fault(os.fstat(handle), directory=True)
        if fault:
            raise PermissionError(fault)

    def _name(self, name: str) -> str:
        return name if self.handle is not None else os.path.join(self.path, name)

    def open(self, name: str, flags: int) -> int:
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        return os.open(self._name(name), flags, 0o600, dir_fd=self.handle)

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._name(name), dir_fd=self.handle)

    def replace(self, source: str, name: str) -> None:
        names = self._name(source), self._name(name)
        os.replace(*names, src_dir_fd=self.handle, dst_dir_fd=self.handle)

    def entries(self) -> list[tuple[str, os.stat_result]]:
        found = []
        for name in os.listdir(self.path if self.handle is None else self.handle):
            with contextlib.suppress(OSError):
                status = os.stat(self._name(name), dir_fd=self.handle, follow_symlinks=False)
                found.append((name, status))
        return found


def _read_entry(folder: _Folder, key: str) -> bytes | None:
    try:
        handle = folder.open(key, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError:  # a link, or no right to read it
        folder.remove(key)
        return None
    with os.fdopen(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        if _fault(status):
            folder.remove(key)
            return None
        data = file.read(status.st_size)
        payload = data[_HEADER.size :]
        if not _is_whole(data[: _HEADER.size], payload, key):
            folder.remove(key)
            return None
        now = time.time()
        if now - status.st_mtime > _TOUCH_AFTER:
            with contextlib.suppress(OSError):
                os.utime(handle if os.utime in os.supports_fd else folder._name(key))
    return payload


def _is_whole(head: bytes, payload: bytes, key: str) -> bool:
    if len(head) != _HEADER.size:
        return False
    magic, version, length, named, digest = _HEADER.unpack(head)
    return (magic, version, length, named) == (
        _MAGIC,
        _FORMAT,
        len(payload),
        bytes.fromhex(key),
    ) and _checksum(payload) == digest


def _write_entry(folder: _Folder, key: str, data: bytes) -> None:
    temporary = f"tmp-{os.getpid()}-{os.urandom(8).hex()}"
    handle = folder.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        folder.replace(temporary, key)
    except OSError:
        folder.remove(temporary)
        raise


def _evict(folder: _Folder, limit: int, *, keep: str) -> None:
    """Removes the entries used longest ago until `limit` holds, and old temporary files."""
    entries = folder.entries()
    now = time.time()
    for name, status in entries:
        if name.startswith("tmp-") and now - status.st_mtime > _TOUCH_AFTER:
            folder.remove(name)
    kept = [(status.st_mtime, name, status.st_size) for name, status in entries]
    total = sum(size for _, _, size in kept)
    if total <= limit:
        return
    for _, name, size in sorted(kept):
        if name == keep or name.startswith("tmp-"):
            continue
        folder.remove(name)
        total -= size
        if total <= limit * 3 // 4:  # leave room, so that the next stores need not remove
            return
