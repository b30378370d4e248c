"""safetensors: what the format says, byte for byte, and what it cannot hold."""

import json
import struct

import pytest

import rushlight as torch
from rushlight.base import dtype as dt
from rushlight.io.safetensors import load, save


def test_bytes_of_the_format() -> None:
    data = save({"b": torch.tensor([1, 2], dtype=torch.int16), "a": torch.tensor([[1.0]])})
    (length,) = struct.unpack("<Q", data[:8])
    assert (8 + length) % 8 == 0
    assert json.loads(data[8 : 8 + length]) == {
        "a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]},
        "b": {"dtype": "I16", "shape": [2], "data_offsets": [4, 8]},
    }
    assert data[8 + length :] == struct.pack("<fhh", 1.0, 1, 2)


def test_there_and_back(tmp_path) -> None:
    tensors = {
        kind.name: torch.zeros(2, 3, dtype=kind)
        for kind in dt.ALL
        if kind.name not in ("complex128", "complex32")
    }
    tensors |= {"none": torch.ones(0, 3), "number": torch.tensor(2.5), "text": torch.arange(6)}
    path = tmp_path / "a.safetensors"
    torch.io.save_file(tensors, path, {"made": "here"})
    got = torch.io.load_file(path)
    assert got.keys() == tensors.keys()
    for name, x in tensors.items():
        assert got[name].dtype is x.dtype
        assert got[name].tolist() == x.tolist()
        assert got[name].shape == x.shape
    assert torch.io.load_metadata(path) == {"made": "here"}
    assert torch.load(path).keys() == got.keys()
    assert load(path.read_bytes()).keys() == got.keys()


def test_what_it_cannot_hold(tmp_path) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match="non contiguous"):
        torch.io.save_file({"x": x.t()}, path)
    with pytest.raises(RuntimeError, match="share memory"):
        torch.io.save_file({"x": x, "row": x[0]}, path)
    with pytest.raises(ValueError, match=r"expected torch\.Tensor"):
        torch.io.save_file({"x": 3}, path)
    with pytest.raises(ValueError, match="Expected a dict"):
        torch.io.save_file([x], path)
    assert not path.exists()
