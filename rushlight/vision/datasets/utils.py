"""Downloads: checked, resumed, and put in place whole or not at all; archives; small helpers.

A download goes to `<file>.part` and gets its name when it is complete and its MD5 is right, so that
an interrupted or corrupt one is never taken for the file.  What a broken connection has left is
continued from where it ended.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeVar
from urllib.parse import urlparse

T = TypeVar("T", str, bytes)
Name = str | Path

USER_AGENT: Final = "rushlight"
TRIES: Final = 4  # of one address, each continuing what the last has left
TIMEOUT: Final = 60.0  # seconds without a byte
_CHUNK: Final = 1 << 17


def calculate_md5(fpath: Name, chunk_size: int = 1024 * 1024) -> str:
    """The MD5 of a file, in hexadecimal: against damage, not against malice."""
    import hashlib

    md5 = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            md5.update(chunk)
    return md5.hexdigest()


def check_md5(fpath: Name, md5: str, **kwargs: Any) -> bool:
    """Whether a file has this MD5."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath: Name, md5: str | None = None) -> bool:
    """Whether a file is there, and has this MD5 if one is given."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


# --------------------------------------------------------------------------- downloads


class _Refused(Exception):
    """The part that is there cannot be continued."""


def _fetch(url: str, part: str, resume: bool) -> None:
    """Read an address into a file, after what is there already if `resume`.

    `OSError` when the connection ends early; what has come stays.
    """
    import http.client
    import urllib.error
    import urllib.request

    have = os.path.getsize(part) if resume and os.path.exists(part) else 0
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            continued = have > 0 and response.status == 206
            if continued:
                begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
                if begin is None or int(begin.group(1)) != have:
                    raise _Refused
            length = response.headers.get("Content-Length")
            expected = None if length is None else int(length)
            read = 0
            with (
                open(part, "ab" if continued else "wb") as file,
                _progress(url, expected) as advance,
            ):
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    read += len(chunk)
                    advance(len(chunk))
            if expected is not None and read < expected:
                raise OSError(f"{url} ended after {read} of {expected} bytes")
    except urllib.error.HTTPError as error:
        if have and error.code == 416:
            raise _Refused from None
        raise
    except http.client.HTTPException as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error


@contextmanager
def _progress(url: str, total: int | None) -> Iterator[Callable[[int], Any]]:
    """Tells a terminal how far a download has come, where tqdm is installed."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        print(f"Downloading {url}", file=sys.stderr)
        yield lambda count: None
        return
    with tqdm(total=total, unit="B", unit_scale=True, desc=os.path.basename(url)) as bar:
        yield bar.update


def _retrieve(url: str, fpath: str, md5: str | None) -> None:
    """Fetch a file and put it in its place when it is whole and right."""
    import urllib.error

    part = f"{fpath}.part"
    # What an earlier process has left can be trusted only where its end can be checked.
    resume = md5 is not None
    left_over = resume and os.path.exists(part)
    for attempt in range(TRIES):
        try:
            _fetch(url, part, resume or attempt > 0)
        except _Refused:
            os.remove(part)
            continue
        except urllib.error.HTTPError:
            raise
        except OSError:
            if attempt + 1 == TRIES or not os.path.exists(part):
                raise
            continue
        if check_integrity(part, md5):
            os.replace(part, fpath)
            return
        found = calculate_md5(part)
        os.remove(part)
        if left_over:
            left_over = False  # the old beginning may have been the wrong one: once more from 0
            continue
        raise RuntimeError(
            f"File not found or corrupted. {os.path.basename(fpath)} from {url} has the MD5 "
            f"{found} instead of {md5}; it was thrown away"
        )
    raise RuntimeError(f"File not found or corrupted. {url} could not be read to its end")


def download_url(
    url: str,
    root: Name,
    filename: Name | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """Fetch `url` to `root/filename`, unless a file with the right MD5 is there.

    Interrupted downloads are continued.  `RuntimeError` when the MD5 is wrong, `OSError` (or its
    `urllib.error.URLError`) when the address cannot be read.
    """
    root = os.path.expanduser(root)
    fpath = os.fspath(os.path.join(root, filename or os.path.basename(urlparse(url).path)))
    os.makedirs(root, exist_ok=True)
    if check_integrity(fpath, md5):
        return
    if re.match(r"(drive|docs)[.]google[.]com", urlparse(url).netloc):
        raise RuntimeError(
            f"{url}: files on Google Drive are not fetched; download it in a browser and put it at "
            f"{fpath}"
        )
    _retrieve(url, fpath, md5)


def fetch_checked(url: str, fpath: str, sha256: str) -> None:
    """Fetch a file whose SHA-256 begins as given; `RuntimeError` for any other."""
    import hashlib

    if not os.path.exists(f"{fpath}.whole"):
        _retrieve(url, f"{fpath}.whole", None)
    digest = hashlib.sha256()
    with open(f"{fpath}.whole", "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if not digest.hexdigest().startswith(sha256):
        os.remove(f"{fpath}.whole")
        raise RuntimeError(
            f'invalid hash value (expected "{sha256}", got "{digest.hexdigest()}") of {url}; what '
            "came was thrown away"
        )
    os.replace(f"{fpath}.whole", fpath)


def download_file_from_google_drive(
    file_id: str, root: Name, filename: Name | None = None, md5: str | None = None
) -> None:
    """Fetch a file from Google Drive with `gdown`, which has to be installed."""
    root = os.path.expanduser(root)
    fpath = os.fspath(os.path.join(root, filename or file_id))
    os.makedirs(root, exist_ok=True)
    if check_integrity(fpath, md5):
        return
    import importlib

    try:
        gdown = importlib.import_module("gdown")
    except ModuleNotFoundError:
        raise RuntimeError(
            "To download files from GDrive, 'gdown' is required. You can install it with "
            "'pip install gdown'."
        ) from None
    gdown.download(id=file_id, output=f"{fpath}.part", quiet=False, user_agent=USER_AGENT)
    if not check_integrity(f"{fpath}.part", md5):
        raise RuntimeError(f"File not found or corrupted. {fpath}.part is not the file expected")
    os.replace(f"{fpath}.part", fpath)


# ---------------------------------------------------------------------------- archives

_ALIASES: Final = {
    ".tbz": (".tar", ".bz2"),
    ".tbz2": (".tar", ".bz2"),
    ".tgz": (".tar", ".gz"),
}
_ARCHIVES: Final = (".tar", ".zip")
_COMPRESSED: Final = (".bz2", ".gz", ".xz")


def open_compressed(path: Name, compression: str | None) -> IO[bytes] | Any:
    """Open a file for reading what it holds; `compression` is ".gz", ".bz2", ".xz" or None."""
    import bz2
    import gzip
    import lzma

    if compression == ".gz":
        return gzip.open(path, "rb")
    if compression == ".bz2":
        return bz2.open(path, "rb")
    if compression == ".xz":
        return lzma.open(path, "rb")
    return open(path, "rb")


def damage() -> tuple[type[Exception], ...]:
    """What reading a truncated or damaged compressed file raises."""
    import lzma
    import zlib

    return OSError, EOFError, zlib.error, lzma.LZMAError


def _detect_file_type(file: Name) -> tuple[str, str | None, str | None]:
    """The suffix of a file, and the kinds of archive and of compression that it names."""
    suffixes = Path(file).suffixes
    if not suffixes:
        raise RuntimeError(
            f"File '{file}' has no suffixes that could be used to detect the archive type and "
            "compression."
        )
    suffix = suffixes[-1]
    if suffix in _ALIASES:
        return suffix, *_ALIASES[suffix]
    if suffix in _ARCHIVES:
        return suffix, suffix, None
    if suffix in _COMPRESSED:
        inner = suffixes[-2] if len(suffixes) > 1 else ""
        if inner in _ARCHIVES:
            return inner + suffix, inner, suffix
        return suffix, None, suffix
    known = sorted({*_ALIASES, *_ARCHIVES, *_COMPRESSED})
    raise RuntimeError(
        f"Unknown compression or archive type: '{suffix}'.\nKnown suffixes are: '{known}'."
    )


def _decompress(
    from_path: Name, to_path: Name | None = None, remove_finished: bool = False
) -> Path:
    """Write what a compressed file holds, under its name without the suffix."""
    import shutil

    suffix, archive, compression = _detect_file_type(from_path)
    if not compression:
        raise RuntimeError(f"Couldn't detect a compression from suffix {suffix}.")
    target = os.fspath(to_path or os.fspath(from_path).removesuffix(suffix) + (archive or ""))
    part = f"{target}.part"
    try:
        with open_compressed(from_path, compression) as source, open(part, "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
    except damage() as error:
        if os.path.exists(part):
            os.remove(part)
        raise RuntimeError(f"{from_path} is truncated or corrupt: {error}") from error
    os.replace(part, target)
    if remove_finished:
        os.remove(from_path)
    return Path(target)


def extract_archive(
    from_path: Name, to_path: Name | None = None, remove_finished: bool = False
) -> Name:
    """Unpack an archive or compressed file next to itself or into `to_path`; where it went.

    Members that would land outside of the folder are refused.
    """

    def path_or_str(value: Path) -> Name:
        return os.fspath(value) if isinstance(from_path, str) else value

    if to_path is None:
        to_path = os.path.dirname(from_path)
    suffix, archive, compression = _detect_file_type(from_path)
    if archive is None:
        name = os.path.basename(from_path).removesuffix(suffix)
        return path_or_str(_decompress(from_path, os.path.join(to_path, name), remove_finished))
    if archive == ".tar":
        import tarfile

        mode: Any = f"r:{compression[1:]}" if compression else "r"
        with tarfile.open(from_path, mode) as tar:
            tar.extractall(to_path, filter="data")
    else:
        import zipfile

        with zipfile.ZipFile(from_path) as packed:
            packed.extractall(to_path)
    if remove_finished:
        os.remove(from_path)
    return path_or_str(Path(to_path))


def download_and_extract_archive(
    url: str,
    download_root: Name,
    extract_root: Name | None = None,
    filename: Name | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url`, then `extract_archive`."""
    download_root = os.path.expanduser(download_root)
    filename = filename or os.path.basename(urlparse(url).path)
    download_url(url, download_root, filename, md5)
    archive = os.path.join(download_root, filename)
    extract_archive(archive, extract_root or download_root, remove_finished)


# ------------------------------------------------------------------------------- small


def list_dir(root: Name, prefix: bool = False) -> list[str]:
    """The folders in a folder, with its own name in front if `prefix`."""
    root = os.path.expanduser(root)
    found = [p for p in os.listdir(root) if os.path.isdir(os.path.join(root, p))]
    return [os.path.join(root, p) for p in found] if prefix else found


def list_files(root: Name, suffix: str, prefix: bool = False) -> list[str]:
    """The files in a folder whose names end in `suffix` (a string, or a tuple of them)."""
    root = os.path.expanduser(root)
    found = [
        p for p in os.listdir(root) if os.path.isfile(os.path.join(root, p)) and p.endswith(suffix)
    ]
    return [os.path.join(root, p) for p in found] if prefix else found


def iterable_to_str(iterable: Iterable[Any]) -> str:
    """'a', 'b', 'c'"""
    return "'" + "', '".join(str(item) for item in iterable) + "'"


def verify_str_arg(
    value: T,
    arg: str | None = None,
    valid_values: Iterable[T] | None = None,
    custom_msg: str | None = None,
) -> T:
    """`value`, which has to be a string, and one of those given; else `ValueError`."""
    if not isinstance(value, str):
        where = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{where}, but got type {type(value)}.")
    if valid_values is None:
        return value
    if value not in valid_values:
        raise ValueError(
            custom_msg
            or f"Unknown value '{value}' for argument {arg}. Valid values are "
            f"{{{iterable_to_str(valid_values)}}}."
        )
    return value


__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "damage",
    "download_and_extract_archive",
    "download_file_from_google_drive",
    "download_url",
    "extract_archive",
    "fetch_checked",
    "iterable_to_str",
    "list_dir",
    "list_files",
    "open_compressed",
    "verify_str_arg",
]
