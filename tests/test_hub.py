"""Weights from addresses: fetched once, checked, and never code."""

import functools
import hashlib
import http.server
import io
import pickle
import threading

import pytest

import rushlight as torch
from rushlight import hub


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `short.pth` ends early."""

    def log_message(self, *args) -> None:
        pass

    def end_headers(self) -> None:
        if self.path == "/short.pth":
            self.send_header("X-Short", "1")
        super().end_headers()

    def copyfile(self, source, outputfile) -> None:
        data = source.read()
        outputfile.write(data[: len(data) // 2] if self.path == "/short.pth" else data)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def weights() -> bytes:
    out = io.BytesIO()
    torch.save({"w": torch.arange(3)}, out)
    return out.getvalue()


def test_weights_are_fetched_once(server, tmp_path, capsys) -> None:
    folder, address = server
    data = weights()
    name = f"model-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(data)
    kept = tmp_path / "kept"
    for _ in range(2):
        got = hub.load_state_dict_from_url(f"{address}/{name}", str(kept), check_hash=True)
        assert got["w"].tolist() == [0, 1, 2]
        (folder / name).unlink(missing_ok=True)
    assert capsys.readouterr().err.count("Downloading") == 1
    assert [p.name for p in kept.iterdir()] == [name]


def test_files_and_the_default_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(hub._chosen, "dir", str(tmp_path / "hub"))
    (tmp_path / "a.pth").write_bytes(weights())
    got = hub.load_state_dict_from_url((tmp_path / "a.pth").as_uri(), file_name="b.pth")
    assert got["w"].tolist() == [0, 1, 2]
    assert (tmp_path / "hub" / "checkpoints" / "b.pth").exists()


def test_what_is_wrong_is_not_kept(server, tmp_path) -> None:
    folder, address = server
    (folder / "model-00000000.pth").write_bytes(weights())
    (folder / "short.pth").write_bytes(weights())
    kept = tmp_path / "kept"
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.load_state_dict_from_url(f"{address}/model-00000000.pth", str(kept), check_hash=True)
    with pytest.raises((RuntimeError, OSError)):
        hub.load_state_dict_from_url(f"{address}/short.pth", str(kept))
    with pytest.raises(OSError, match="HTTP Error 404"):
        hub.load_state_dict_from_url(f"{address}/none.pth", str(kept))
    with pytest.raises(ValueError, match="http, https and file"):
        hub.download_url_to_file("ftp://127.0.0.1/x", str(kept / "x"))
    with pytest.raises(ValueError, match="no file name"):
        hub.load_state_dict_from_url(f"{address}/x.pth", str(kept), file_name="../x.pth")
    assert list(kept.iterdir()) == []


class Evil:
    def __reduce__(self):
        return print, ("ran",)


def test_code_is_refused(server, tmp_path) -> None:
    folder, address = server
    out = io.BytesIO()
    torch.save(Evil(), out)
    (folder / "evil.pth").write_bytes(out.getvalue())
    with pytest.raises(pickle.UnpicklingError):
        hub.load_state_dict_from_url(f"{address}/evil.pth", str(tmp_path / "kept"))
