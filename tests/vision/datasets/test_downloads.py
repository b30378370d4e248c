"""Downloads from a server on this machine: whole or not at all, continued, checked, mirrored."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rushlight.vision import datasets
from rushlight.vision.datasets import utils


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; breaks off after `server.breaks.pop()` bytes while there are any."""

    def do_GET(self):
        server = self.server
        name = self.path.lstrip("/")
        start = 0
        if "Range" in self.headers and server.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        server.seen.append((name, start))
        if name not in server.files:
            self.send_error(404)
            return
        data = server.files[name]
        if start > len(data) or (start and start == len(data)):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data)
        if server.breaks:
            end = min(end, start + server.breaks.pop())
        self.wfile.write(data[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A server, its files by name, and what was asked of it."""
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.files, found.breaks, found.seen, found.ranges = {}, [], [], True
    found.address = f"http://127.0.0.1:{found.server_port}/"
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


DATA = bytes(range(256)) * 4000
MD5 = hashlib.md5(DATA).hexdigest()


def test_a_file_is_fetched_once(server, tmp_path):
    server.files["a.bin"] = DATA
    for _ in range(2):
        utils.download_url(server.address + "a.bin", str(tmp_path / "new"), md5=MD5)
    assert (tmp_path / "new" / "a.bin").read_bytes() == DATA
    assert server.seen == [("a.bin", 0)] and len(list((tmp_path / "new").iterdir())) == 1


def test_broken_connections_are_continued(server, tmp_path):
    server.files["a.bin"] = DATA
    server.breaks = [300_000, 500_000]
    utils.download_url(server.address + "a.bin", tmp_path, "b.bin", MD5)
    assert (tmp_path / "b.bin").read_bytes() == DATA
    assert server.seen == [("a.bin", 0), ("a.bin", 500_000), ("a.bin", 800_000)]


def test_a_server_that_cannot_continue_begins_again(server, tmp_path):
    server.files["a.bin"], server.ranges, server.breaks = DATA, False, [1000]
    utils.download_url(server.address + "a.bin", tmp_path, md5=MD5)
    assert (tmp_path / "a.bin").read_bytes() == DATA and server.seen == [("a.bin", 0)] * 2


@pytest.mark.parametrize("left", [DATA[:70_000], b"wrong" * 9, DATA + b"too long"])
def test_what_an_earlier_process_left(server, tmp_path, left):
    server.files["a.bin"] = DATA
    (tmp_path / "a.bin.part").write_bytes(left)
    utils.download_url(server.address + "a.bin", tmp_path, md5=MD5)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert not (tmp_path / "a.bin.part").exists()


def test_a_connection_that_keeps_breaking(server, tmp_path):
    server.files["a.bin"], server.breaks = DATA, [10] * 20
    with pytest.raises(OSError, match=r"ended after|IncompleteRead"):
        utils.download_url(server.address + "a.bin", tmp_path, md5=MD5)
    assert not (tmp_path / "a.bin").exists()
    server.breaks = []
    utils.download_url(server.address + "a.bin", tmp_path, md5=MD5)
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_another_file_is_refused_by_name(server, tmp_path):
    server.files["a.bin"] = DATA[:-1] + b"!"
    with pytest.raises(RuntimeError, match=r"corrupted.*a\.bin.*MD5") as error:
        utils.download_url(server.address + "a.bin", tmp_path, md5=MD5)
    assert MD5 in str(error.value) and list(tmp_path.iterdir()) == []


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.tobytes()


@pytest.fixture
def mirrored(server, monkeypatch):
    """An MNIST of three images whose first mirror lacks a file."""
    images = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    labels = np.array([2, 0, 1], np.uint8)
    resources = []
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{part}-{kind}-ubyte.gz"
            data = gzip.compress(idx(array))
            server.files[f"second/{name}"] = data
            if part == "train":
                server.files[f"first/{name}"] = data
            resources.append((name, hashlib.md5(data).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(
        datasets.MNIST, "mirrors", [server.address + "first/", server.address + "second/"]
    )
    return server


def test_mirrors_are_tried_in_turn(mirrored, tmp_path):
    data = datasets.MNIST(str(tmp_path), train=False, download=True)
    assert data.targets.tolist() == [2, 0, 1] and data.data[2, 3, 3].item() == 47
    asked = [name for name, _ in mirrored.seen]
    assert "first/t10k-images-idx3-ubyte.gz" in asked
    assert "second/t10k-images-idx3-ubyte.gz" in asked
    assert "second/train-images-idx3-ubyte.gz" not in asked
    count = len(asked)
    datasets.MNIST(str(tmp_path), download=True)
    assert len(mirrored.seen) == count


def test_when_no_mirror_has_it_each_one_is_told(mirrored, tmp_path):
    del mirrored.files["second/t10k-labels-idx1-ubyte.gz"]
    with pytest.raises(
        RuntimeError, match=r"Error downloading t10k-labels-idx1-ubyte\.gz"
    ) as error:
        datasets.MNIST(str(tmp_path), download=True)
    text = str(error.value)
    assert text.count("Tried http://127.0.0.1") == 2 and text.count("HTTP Error 404") == 2


def tar_with(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_archives_are_unpacked(server, tmp_path):
    server.files["a.tar.gz"] = tar_with(("in/one.txt", b"1"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("two.txt", "2")
    server.files["b.zip"] = stream.getvalue()
    server.files["c.txt.gz"] = gzip.compress(b"3")
    for name in list(server.files):
        utils.download_and_extract_archive(server.address + name, tmp_path)
    assert (tmp_path / "in" / "one.txt").read_text() == "1"
    assert (tmp_path / "two.txt").read_text() == "2" and (tmp_path / "c.txt").read_text() == "3"


def test_an_archive_stays_in_its_folder(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "evil.tgz").write_bytes(tar_with(("../out.txt", b"!")))
    with pytest.raises(tarfile.TarError):
        utils.extract_archive(inner / "evil.tgz")
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("name", ["a.gz", "a.xz", "a.bz2"])
def test_a_damaged_file_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(DATA)[:-9] if name == "a.gz" else b"not that")
    with pytest.raises(RuntimeError, match=rf"{name} is truncated or corrupt"):
        utils.extract_archive(path)
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_kinds():
    with pytest.raises(RuntimeError, match=r"Unknown compression or archive type: .\.rar"):
        utils.extract_archive("a.rar")
    with pytest.raises(RuntimeError, match="has no suffixes"):
        utils.extract_archive("a")
    with pytest.raises(RuntimeError, match="Google Drive"):
        utils.download_url("https://drive.google.com/file/d/x", Path("/tmp/never"), "x")
