"""`torch.save` and `torch.load`: what comes back, in which memory, and from what kind of file."""

import io
import os
import pathlib
import pickle
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.base import dtype as dt


def written(obj, **settings) -> bytes:
    file = io.BytesIO()
    torch.save(obj, file, **settings)
    return file.getvalue()


def again(obj, **settings):
    return torch.load(io.BytesIO(written(obj)), **settings)


OLD = {"_use_new_zipfile_serialization": False}


@pytest.mark.parametrize("settings", [{}, OLD, {"pickle_protocol": 4}, {"pickle_protocol": 5}])
@pytest.mark.parametrize("kind", dt.ALL, ids=lambda kind: kind.name)
def test_every_dtype_comes_back(kind, settings) -> None:
    bits = np.arange(6 * kind.itemsize, dtype=np.uint8) % 2 if kind.name == "bool" else None
    if bits is None:
        bits = np.random.RandomState(0).randint(0, 64, 6 * kind.itemsize).astype(np.uint8)
    from rushlight.io.storages import UntypedStorage, content, storage_of

    storage = UntypedStorage.new(bits.size, kind)
    storage.array()[...] = bits
    x = storage.tensor(kind, 0, (2, 3), (3, 1))
    y = torch.load(io.BytesIO(written(x, **settings)))
    assert y.dtype is kind
    assert y.shape == (2, 3)
    assert bytes(content(storage_of(y))) == bits.tobytes()


def test_plain_values() -> None:
    value = {
        "int": 1, "large": 2**100, "negative": -5, "float": 0.5, "none": None, "yes": True,
        "text": "äö", "bytes": b"\x00\xff", "array": bytearray(b"ab"), "complex": 1 + 2j,
        "list": [1, [2]], "tuple": (1, (2, 3), (), (1,), (1, 2, 3, 4)), "set": {1, 2},
        "ordered": OrderedDict(a=1), "counter": Counter("aab"), "dtype": torch.float64,
        "size": torch.Size([2, 3]), "device": torch.device("cuda", 1), "layout": torch.strided,
        3: "three", (1, "a"): "pair", torch.int64: "dtype",
    }  # fmt: skip
    for protocol in (2, 3, 4, 5):
        got = torch.load(io.BytesIO(written(value, pickle_protocol=protocol)))
        assert got == value
        assert type(got["size"]) is torch.Size
        assert type(got["ordered"]) is OrderedDict


def test_shared_storage_stays_shared() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    got = again({"base": base, "row": base[1], "turned": base.t(), "same": base})
    assert got["turned"].stride() == (1, 4)
    assert got["row"].storage_offset() == 4
    got["row"].fill_(-1.0)
    assert got["base"][1].tolist() == [-1.0] * 4
    assert got["turned"][:, 1].tolist() == [-1.0] * 4
    got["same"][0, 0] = 7.0
    assert got["base"][0, 0].item() == 7.0


def test_a_view_alone_keeps_its_strides_and_offset() -> None:
    x = torch.arange(20.0).reshape(4, 5)[1:, ::2]
    y = again(x)
    assert (y.stride(), y.storage_offset()) == (x.stride(), x.storage_offset()) == ((5, 2), 5)
    assert y.tolist() == x.tolist()
    z = again(torch.ones(3, 1).expand(3, 4))
    assert z.stride() == (1, 0)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1)])
def test_odd_shapes(shape) -> None:
    assert again(torch.ones(shape)).shape == shape


def test_gradients_and_parameters() -> None:
    w = nn.Parameter(torch.ones(2))
    frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    x = torch.ones(2, requires_grad=True)
    got = again([w, frozen, x, x * 2, w])
    assert [type(t).__name__ for t in got] == ["Parameter"] * 2 + ["Tensor"] * 2 + ["Parameter"]
    assert [t.requires_grad for t in got] == [True, False, True, True, True]
    assert all(t.is_leaf for t in got)
    assert got[0] is got[4]
    got[0].sum().backward()
    assert got[0].grad.tolist() == [1.0, 1.0]


def test_state_dict_with_metadata() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = again(model.state_dict())
    assert type(state) is OrderedDict
    assert state._metadata == model.state_dict()._metadata
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert other[0].weight.tolist() == model[0].weight.tolist()


class Net(nn.Module):
    """A class of the program's own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.fc(x))


@pytest.mark.parametrize("settings", [{}, OLD, {"pickle_protocol": 4}])
def test_whole_modules(settings) -> None:
    model = Net()
    data = written(model, **settings)
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL \S*test_checkpoint\.Net was not an"):
        torch.load(io.BytesIO(data))
    got = torch.load(io.BytesIO(data), weights_only=False)
    x = torch.ones(1, 2)
    assert got(x).tolist() == model(x).tolist()
    assert b"torch.nn.modules.linear" in data
    assert b"rushlight.nn" not in data


def test_allowed_classes() -> None:
    data = written(Net())
    refused = pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.\S+ was not an")
    with torch.serialization.safe_globals([Net]), refused:
        torch.load(io.BytesIO(data))
    allowed = [Net, nn.Linear, nn.ReLU]
    assert torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data)) == sorted(
        [
            f"{Net.__module__}.Net",
            "torch.nn.modules.activation.ReLU",
            "torch.nn.modules.linear.Linear",
        ]
    )
    with torch.serialization.safe_globals(allowed):
        assert set(torch.serialization.get_safe_globals()) == set(allowed)
        assert type(torch.load(io.BytesIO(data))) is Net
    assert torch.serialization.get_safe_globals() == []
    torch.serialization.add_safe_globals([(Net, "other.Net")])
    torch.serialization.clear_safe_globals()
    with pytest.raises(ValueError, match="tuple of length 2"):
        torch.serialization.add_safe_globals([(Net, "a", "b")])


def test_optimizer_state(tmp_path) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt"
    )
    got = torch.load(tmp_path / "a.pt")
    other = nn.Linear(2, 1)
    other.load_state_dict(got["model"])
    second = torch.optim.Adam(other.parameters(), lr=0.5)
    second.load_state_dict(got["optimizer"])
    for m, o in ((model, optimizer), (other, second)):
        o.zero_grad()
        m(torch.ones(4, 2)).sum().backward()
        o.step()
    assert other.weight.tolist() == model.weight.tolist()


def test_the_files_layout(tmp_path) -> None:
    torch.save({"a": torch.ones(5), "b": torch.ones(7)}, tmp_path / "my.model.pt")
    archive = zipfile.ZipFile(tmp_path / "my.model.pt")
    assert archive.testzip() is None
    names = [entry.filename for entry in archive.infolist()]
    assert names == [
        f"my.model/{name}"
        for name in (
            "data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "data/1",
            "version", ".data/serialization_id",
        )
    ]  # fmt: skip
    raw = (tmp_path / "my.model.pt").read_bytes()
    for entry in archive.infolist():
        content = archive.read(entry)
        head = entry.header_offset
        begin = head + 30 + sum(np.frombuffer(raw[head + 26 : head + 30], "<u2").tolist())
        assert begin % 64 == 0
        assert raw[begin : begin + len(content)] == content
    assert archive.read("my.model/byteorder") == b"little"
    assert archive.read("my.model/version") == b"3\n"


def test_kinds_of_files(tmp_path) -> None:
    x = torch.arange(4)
    for place in (
        tmp_path / "a.pt",
        str(tmp_path / "b.pt"),
        tmp_path / "ünï.pt",
        tmp_path / "none",
    ):
        torch.save(x, place)
        assert torch.load(place).tolist() == [0, 1, 2, 3]
    with open(tmp_path / "c.pt", "wb") as file:
        torch.save(x, file)
    with open(tmp_path / "c.pt", "rb") as file:
        assert torch.load(file).tolist() == [0, 1, 2, 3]
    assert isinstance(tmp_path, pathlib.Path)

    class Sink:
        def __init__(self) -> None:
            self.data = b""

        def write(self, part) -> None:
            self.data += bytes(part)

    sink = Sink()
    torch.save(x, sink)
    assert torch.load(io.BytesIO(sink.data)).tolist() == [0, 1, 2, 3]
    with pytest.raises(AttributeError, match="expected 'f' to be string"):
        torch.save(x, 3)
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "missing.pt")
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        torch.save(x, tmp_path / "no" / "a.pt")

    class Stream(io.RawIOBase):
        def seekable(self) -> bool:
            return False

    with pytest.raises(io.UnsupportedOperation, match="from a file that is seekable"):
        torch.load(Stream())


def test_several_old_pickles_in_one_file() -> None:
    file = io.BytesIO()
    for i in range(3):
        torch.save(torch.tensor([i]), file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert [torch.load(file).item() for _ in range(3)] == [0, 1, 2]


def test_mapped_files(tmp_path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"x": torch.arange(6.0), "e": torch.ones(0)}, path)
    before = path.read_bytes()
    got = torch.load(path, mmap=True)
    assert got["x"].tolist() == [0, 1, 2, 3, 4, 5]
    got["x"].mul_(2)
    assert got["x"].tolist() == [0, 2, 4, 6, 8, 10]
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="f must be a file path"):
        torch.load(io.BytesIO(before), mmap=True)
    torch.save(torch.ones(2), path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used"):
        torch.load(path, mmap=True)


def test_map_location() -> None:
    cpu = written(torch.ones(2))
    for place in ("cpu", torch.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cpu"}, lambda s, tag: s,
                  lambda s, tag: None):  # fmt: skip
        assert torch.load(io.BytesIO(cpu), map_location=place).tolist() == [1.0, 1.0]
    seen = []
    torch.load(io.BytesIO(cpu), map_location=lambda s, tag: seen.append((len(s), tag)))
    assert seen == [(2, "cpu")]
    cuda = cpu.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    with pytest.raises(RuntimeError):
        torch.load(io.BytesIO(cuda))
    with pytest.raises(TypeError, match="map_location must be"):
        torch.load(io.BytesIO(cpu), map_location=3)


def test_tags_of_devices_that_are_not_there() -> None:
    from rushlight.io.storages import UntypedStorage, default_restore_location

    storage = UntypedStorage.new(4)
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        default_restore_location(storage, "cuda:0")
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        default_restore_location(storage, "nowhere")


def test_modes(monkeypatch) -> None:
    data = written([1])
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        torch.load(io.BytesIO(data), weights_only=True, pickle_module=pickle)
    assert torch.load(io.BytesIO(data), pickle_module=pickle) == [1]
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(written(Net())), weights_only=False)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(RuntimeError, match="Only one of"):
        torch.load(io.BytesIO(data))
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    with pytest.warns(UserWarning, match="forcing weights_only=False"):
        assert type(torch.load(io.BytesIO(written(Net())))) is Net


def test_generators() -> None:
    g = torch.Generator().manual_seed(3)
    torch.rand(5, generator=g)
    got = again(g, weights_only=False)
    assert got.initial_seed() == 3
    assert torch.rand(3, generator=got).tolist() == torch.rand(3, generator=g).tolist()


def test_a_text_that_looks_like_a_name() -> None:
    text = "crushlight.io.rebuild\n_rebuild_tensor_v2\n"
    got = again([text, torch.ones(1)])
    assert got[0] == text
    assert got[1].tolist() == [1.0]


@pytest.mark.parametrize("fail", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, fail) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.ones(2), path)
    os.chmod(path, 0o640)
    before = path.read_bytes()

    class Bad:
        def __reduce__(self):
            raise fail

    with pytest.raises(fail if isinstance(fail, type) else type(fail)):
        torch.save([torch.zeros(2), Bad()], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pt"]
    torch.save(torch.zeros(2), path)
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert torch.load(path).tolist() == [0.0, 0.0]


def test_a_symbolic_link_is_followed(tmp_path) -> None:
    torch.save(torch.ones(2), tmp_path / "real.pt")
    os.symlink(tmp_path / "real.pt", tmp_path / "link.pt")
    torch.save(torch.zeros(2), tmp_path / "link.pt")
    assert (tmp_path / "link.pt").is_symlink()
    assert torch.load(tmp_path / "real.pt").tolist() == [0.0, 0.0]


def test_sparse_tensors() -> None:
    at = torch.tensor([[0, 2], [1, 0]])
    x = torch.sparse_coo_tensor(at, torch.tensor([1.0, 2.0]), (3, 3))
    got = again({"x": x, "values": x._values()})
    assert got["x"].to_dense().tolist() == x.to_dense().tolist()
    assert got["x"].is_coalesced() is x.is_coalesced()
