"""Storages: the memory behind tensors, read and written as elements and as bytes."""

import importlib
import warnings

import pytest

import rushlight as torch


def typed(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x.storage()


def test_elements_of_the_whole_memory():
    x = torch.arange(6.0).view(2, 3)
    for part in (x, x[1], x.T, x[:, 1:]):
        s = typed(part)
        assert s.tolist() == list(s) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        assert (len(s), s.size(), s.nbytes(), s.element_size()) == (6, 6, 24, 4)
        assert s.data_ptr() == x.data_ptr()
    assert x[1].storage_offset() == 3
    assert s.dtype is torch.float32 and s.device == torch.device("cpu")
    assert s[-1] == 5.0
    with pytest.raises(IndexError, match="index 6 out of range for storage of size 6"):
        s[6]
    with pytest.raises(RuntimeError, match="slices are only supported in UntypedStorage"):
        s[1:]


def test_writes_reach_every_view_and_no_history():
    x = torch.zeros(2, 3, requires_grad=True)
    y = (x * 2).sum()
    typed(x)[4] = 7.0
    x.untyped_storage()[3] = 64  # the last byte of the first element: 2.0
    assert x.tolist() == [[2.0, 0.0, 0.0], [0.0, 7.0, 0.0]]
    y.backward()
    assert x.grad.tolist() == [[2.0] * 3] * 2
    typed(x).fill_(3)
    assert x[:, 1].tolist() == [3.0, 3.0]


def test_bytes():
    u = torch.tensor([1.0, -2.0]).untyped_storage()
    assert len(u) == u.nbytes() == u.size() == 8
    assert u.tolist() == [0, 0, 128, 63, 0, 0, 0, 192]
    assert u[2:4].tolist() == [128, 63]
    c = u.clone()
    c.fill_(0)
    assert u[7] == 192
    u.copy_(c)
    assert u.tolist() == [0] * 8
    assert torch.UntypedStorage(3).tolist() == [0, 0, 0]


def test_texts():
    s = typed(torch.tensor([1, 2]))
    assert str(s) == " 1\n 2\n[torch.storage.TypedStorage(dtype=torch.int64, device=cpu) of size 2]"
    assert str(torch.tensor([1], dtype=torch.uint8).untyped_storage()) == (
        " 1\n[torch.storage.UntypedStorage(device=cpu) of size 1]"
    )


def test_types():
    s = torch.FloatStorage([1, 2])
    assert isinstance(s, torch.FloatStorage) and not isinstance(s, torch.LongStorage)
    assert isinstance(s, torch.TypedStorage) and torch.is_storage(s)
    assert not torch.is_storage(torch.ones(1))
    assert torch.ones(1).storage_type() is torch.FloatStorage
    assert s.double().dtype is torch.float64 and s.float() is s
    assert s.pickle_storage_type() == "FloatStorage"


def test_a_tensor_set_to_a_storage_shares_it():
    x = torch.arange(4.0)
    y = torch.empty(0).set_(typed(x))
    y[0] = 9.0
    assert x[0].item() == 9.0
    z = torch.empty(0).set_(typed(x), 1, (3,))
    assert z.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(RuntimeError, match="Could not set tensor of type"):
        torch.empty(0, dtype=torch.int64).set_(typed(x))


def test_the_typed_one_warns_once(monkeypatch):
    memory = importlib.import_module("rushlight.tensor.memory")
    monkeypatch.setattr(memory, "_warned", [])
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        torch.ones(1).storage()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.ones(1).storage()
