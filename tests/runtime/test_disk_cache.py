"""The cache on disk: what it keeps, what it refuses, and that trouble is never an error."""

import errno
import hashlib
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from rushlight.runtime import disk_cache
from rushlight.runtime.disk_cache import directory, load, store
from rushlight.runtime.jit import compile_text

KEY = "3" + "ab" * 31 + "c"
POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")

TEXT = """
define i64 @plan(ptr %t) {{
  ret i64 {number}
}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "cache"
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(place))
    monkeypatch.delenv("RUSHLIGHT_CACHE", raising=False)
    monkeypatch.setattr(disk_cache, "_state", disk_cache._State())
    yield place


def entry(folder: Path, key: str = KEY) -> Path:
    return folder / key[0] / key


def fresh_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "_state", disk_cache._State())


def test_keeps_and_gives_back(folder: Path) -> None:
    assert load(KEY) is None
    store(KEY, b"code")
    assert load(KEY) == b"code"
    store(KEY, b"other")
    assert load(KEY) == b"other"
    assert [p.name for p in (folder / "3").iterdir()] == [KEY]
    store(KEY, b"")
    assert load(KEY) == b""


@POSIX
def test_everything_is_private(folder: Path) -> None:
    old = os.umask(0)
    try:
        store(KEY, b"code")
    finally:
        os.umask(old)
    for path in (folder, folder / "3"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert entry(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    ["flip", "header", "short", "long", "empty", "format", "other key", "rubbish"],
)
def test_a_damaged_entry_is_removed(folder: Path, damage: str) -> None:
    store(KEY, b"some object code")
    path = entry(folder)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-3] ^= 1
    elif damage == "header":
        data[0] ^= 1
    elif damage == "short":
        del data[-2:]
    elif damage == "long":
        data += b"more"
    elif damage == "empty":
        data.clear()
    elif damage == "format":
        data[8] += 1
    elif damage == "other key":  # an entry renamed: another kernel's code under this key
        data[20] ^= 1
    else:
        data[:] = b"\0" * 5000
    path.write_bytes(data)
    assert load(KEY) is None
    assert not path.exists()
    store(KEY, b"again")
    assert load(KEY) == b"again"


@POSIX
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    store(KEY, b"code")
    entry(folder).chmod(mode)
    assert load(KEY) is None
    assert not entry(folder).exists()


@POSIX
def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    store(KEY, b"code")
    elsewhere = tmp_path / "elsewhere"
    entry(folder).rename(elsewhere)
    entry(folder).symlink_to(elsewhere)
    assert load(KEY) is None
    assert elsewhere.exists()


@POSIX
def test_a_pipe_does_not_hang(folder: Path) -> None:
    store(KEY, b"code")
    entry(folder).unlink()
    os.mkfifo(entry(folder))
    assert load(KEY) is None


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_is_refused_once(
    folder: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(KEY, b"code")
    folder.chmod(mode)
    fresh_state(monkeypatch)
    with pytest.warns(RuntimeWarning, match="may be written by other users") as caught:
        assert load(KEY) is None
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(KEY) is None
        store(KEY, b"code")
        assert directory() is None


@POSIX
def test_a_folder_of_somebody_else_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(KEY, b"code")
    fresh_state(monkeypatch)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert load(KEY) is None


@POSIX
def test_a_folder_opened_up_later_is_noticed(folder: Path) -> None:
    store(KEY, b"code")
    folder.chmod(0o777)
    assert load(KEY) is None
    folder.chmod(0o700)
    (folder / "3").chmod(0o777)
    assert load(KEY) is None
    (folder / "3").chmod(0o700)
    assert load(KEY) == b"code"


@POSIX
def test_an_exchanged_subfolder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    store(KEY, b"code")
    (folder / "3").rename(tmp_path / "moved")
    (folder / "3").symlink_to(tmp_path / "moved")
    assert load(KEY) is None
    store(KEY, b"code")  # refused as well, silently


def test_it_can_be_turned_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSHLIGHT_CACHE", "0")
    store(KEY, b"code")
    assert load(KEY) is None and not folder.exists() and directory() is None


@pytest.mark.parametrize("place", ["/proc/nowhere/cache", "/dev/null/cache", "bad\0name"])
def test_an_impossible_place_is_no_error(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_state(monkeypatch)
    monkeypatch.setattr(disk_cache, "_configured", lambda: place)
    store(KEY, b"code")
    assert load(KEY) is None


def test_no_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_state(monkeypatch)
    for name in ("RUSHLIGHT_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does without a home
    assert directory() is None
    store(KEY, b"code")


def test_the_place_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_state(monkeypatch)
    monkeypatch.delenv("RUSHLIGHT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert directory() == str(tmp_path / "xdg" / "rushlight")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert directory() == str(tmp_path / ".cache" / "rushlight")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE])
def test_a_full_or_read_only_disk_is_no_error(
    folder: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(KEY, b"code")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(disk_cache._Folder, "replace", refuse)
    other = KEY[:-1] + "d"
    store(other, b"code")
    assert load(other) is None and load(KEY) == b"code"
    assert [p.name for p in (folder / "3").iterdir()] == [KEY]  # no temporary file is left


def test_the_size_is_bounded_and_the_oldest_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_cache, "SIZE_LIMIT", 16 * 20_000)
    monkeypatch.setattr(disk_cache, "_CHECK_EVERY", 1)
    keys = [f"3{number:063x}" for number in range(40)]
    for age, key in enumerate(keys):
        store(key, bytes(1000))
        if entry(folder, key).exists():
            stamp = time.time() - 10_000 + age
            os.utime(entry(folder, key), (stamp, stamp))
        if age == 15:  # used again: it becomes the youngest
            assert load(keys[1]) is not None
    total = sum(p.stat().st_size for p in (folder / "3").iterdir())
    assert 5_000 < total <= 20_000
    assert load(keys[-1]) is not None and load(keys[1]) is not None
    assert load(keys[0]) is None and load(keys[2]) is None


def test_old_temporary_files_are_removed(folder: Path) -> None:
    store(KEY, b"code")
    left = folder / "3" / "tmp-1-abc"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    for number in range(disk_cache._CHECK_EVERY):
        store(f"3{number:063x}", b"x")
    assert not left.exists() and load(KEY) == b"code"


def test_compiled_code_comes_from_disk(folder: Path) -> None:
    code = (
        "import ctypes, time\n"
        "from rushlight.runtime.jit import compile_text\n"
        f"library = compile_text({TEXT.format(number=41)!r})\n"
        "call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(library.address('plan'))\n"
        "print(library.from_disk, call(None))"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [o.stdout.strip() for o in outputs] == ["False 41", "True 41"]


def test_a_damaged_kernel_is_compiled_again(folder: Path) -> None:
    first = compile_text(TEXT.format(number=977))
    path = entry(folder, first.digest)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 255]))
    code = (
        "import ctypes\n"
        "from rushlight.runtime.jit import compile_text\n"
        f"library = compile_text({TEXT.format(number=977)!r})\n"
        "call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(library.address('plan'))\n"
        "print(library.from_disk, call(None))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False 977"
    assert path.read_bytes() == good


WRITER = """
import os, sys
from rushlight.runtime import disk_cache
disk_cache._CHECK_EVERY = 1
disk_cache.SIZE_LIMIT = 16 * 60_000
bad = 0
for turn in range(150):
    key = f"3{turn % 20:063x}"
    payload = bytes([turn % 20]) * 4000
    found = disk_cache.load(key)
    bad += found is not None and found != payload
    disk_cache.store(key, payload)
print(bad)
"""


def test_many_processes_write_at_once(folder: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [w.communicate(timeout=60)[0].strip() for w in writers] == ["0"] * 4
    assert not [p for p in (folder / "3").iterdir() if p.name.startswith("tmp-")]


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 17])
def test_digests_are_those_of_hashlib(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(i % 251 for i in range(size))
    expected = hashlib.sha256(data).hexdigest()
    assert disk_cache.sha256(data).hexdigest() == expected
    monkeypatch.delitem(sys.modules, "hashlib")
    assert disk_cache.sha256(data).hexdigest() == expected
