"""Storages: the memory behind tensors, read and written as elements and as bytes."""

import copy
import pickle
import warnings

import pytest

import rushlight as torch
from rushlight.tensor import storage


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
    with pytest.raises(RuntimeError, match="Expected a Storage of type long or an UntypedStorage"):
        torch.empty(0, dtype=torch.int64).set_(typed(x))


def test_a_storage_is_the_memory_of_all_views() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    s = x.untyped_storage()
    assert (len(s), s.nbytes(), s.element_size(), s[6], s[-1]) == (24, 24, 1, 128, 64)
    assert s.data_ptr() == x.data_ptr()
    assert x[1].untyped_storage() == s and hash(x[1].untyped_storage()) == hash(s)
    assert x.clone().untyped_storage() != s
    x += 1
    assert bytes(s)[:4] == b"\x00\x00\x80?"
    s[3] = 64  # the high byte of 1.0
    assert x[0, 0].item() == 4.0
    s.fill_(0)
    assert x.tolist() == [[0.0] * 3] * 2
    with pytest.raises(IndexError, match="index 100 out of range for storage of size 24"):
        s[100]
    step = torch.arange(10.0)[2:8:2]
    assert (step.storage_offset(), step.untyped_storage().nbytes()) == (2, 40)
    assert step.data_ptr() - step.untyped_storage().data_ptr() == 8
    assert torch.empty(0).data_ptr() == 0
    last = torch.zeros(1, 2, 2, 2).to(memory_format=torch.channels_last)
    last[0, 1, 0, 0] = 3.0
    storage._TOLD.clear()
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        assert last.storage().tolist() == [0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_typed_storages() -> None:
    x = torch.arange(4.0)
    p = x.storage()
    assert isinstance(p, torch.FloatStorage) and not isinstance(p, torch.LongStorage)
    assert (len(p), p.nbytes(), p[1], p[-1], p.type()) == (4, 16, 1.0, 3.0, "torch.FloatStorage")
    p[0] = 9
    assert x.tolist() == [9.0, 1.0, 2.0, 3.0]
    p.copy_(torch.LongStorage([4, 3, 2, 1]))
    assert x.tolist() == [4.0, 3.0, 2.0, 1.0]
    assert p.int().tolist() == [4, 3, 2, 1] and p.int().dtype is torch.int32
    assert repr(torch.ShortStorage([1, 2])) == (
        " 1\n 2\n[torch.storage.TypedStorage(dtype=torch.int16, device=cpu) of size 2]"
    )
    with pytest.raises(RuntimeError, match="slices are only supported in UntypedStorage"):
        p[0:2]
    with pytest.raises(IndexError, match="index 10 out of range for storage of size 4"):
        p[10]
    whole = torch.TypedStorage(wrap_storage=x.untyped_storage(), dtype=torch.int32)
    assert whole[0] == 0x40800000
    whole[0] = 0x3F800000
    assert x[0].item() == 1.0
    assert torch.is_storage(p) and torch.is_storage(p.untyped()) and not torch.is_storage(x)
    for other in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p), p.clone()):
        assert other.tolist() == p.tolist() and other.data_ptr() != p.data_ptr()


def test_storages_of_their_own() -> None:
    u = torch.UntypedStorage(8)
    assert u.tolist() == [0] * 8 and len(torch.UntypedStorage()) == 0
    u.resize_(16)
    u.copy_(torch.UntypedStorage([1] * 16))
    assert u.tolist() == [1] * 16 and u[0:2].tolist() == [1, 1]
    x = torch.empty(0, dtype=torch.int32).set_(u)
    assert x.tolist() == [0x01010101] * 4
    x[0] = 0
    assert u.tolist()[:5] == [0, 0, 0, 0, 1]
    with pytest.raises(NotImplementedError, match="keeps its size"):
        u.resize_(4)
    with pytest.raises(NotImplementedError, match=r"has no tensors of type torch\.float32"):
        torch.empty(0).set_(u)


def test_tensors_are_put_on_other_memory() -> None:
    f = torch.FloatStorage([1.0, 2.0, 3.0])
    y = torch.empty(0).set_(f, 1, (2,), (1,))
    assert (y.tolist(), y.storage_offset(), y.stride()) == ([2.0, 3.0], 1, (1,))
    y[0] = 7
    assert f.tolist() == [1.0, 7.0, 3.0]
    x = torch.arange(6.0)
    w = torch.empty(0).set_(x.untyped_storage(), 0, (2, 3), (3, 1))
    w.add_(1)
    assert x.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    part = torch.arange(5.0)[1:4]
    q = torch.zeros(3).set_(part)
    q[0] = 50
    assert part.tolist() == [50.0, 2.0, 3.0] and q.is_set_to(part) and q.storage_offset() == 1
    assert torch.zeros(2).set_().shape == (0,)
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 12"):
        torch.empty(0).set_(f, 2, (3,), (1,))
    with pytest.raises(RuntimeError, match=r"Expected a Storage of type int .* got type Float"):
        torch.empty(0, dtype=torch.int32).set_(f)
    with pytest.raises(RuntimeError, match="Could not set tensor of type float to a tensor of"):
        torch.empty(0, dtype=torch.int32).set_(x)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
        torch.empty(0, requires_grad=True).set_(x)


def test_training_goes_on_after_memory_was_set() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    memory = torch.zeros(4)
    with torch.no_grad():
        weight.set_(memory[1:3])
    optimizer = torch.optim.SGD([weight], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (weight * torch.tensor([1.0, 2.0])).sum().backward()
        optimizer.step()
    assert memory.tolist() == [0.0, -1.5, -3.0, 0.0]


def test_shared_storages() -> None:
    x = torch.ones(4)
    s = x.untyped_storage()
    assert not s.is_shared()
    s.share_memory_()
    assert s.is_shared() and x.is_shared() and s.data_ptr() == x.data_ptr()
    x[0] = 5.0
    assert bytes(s)[:4] == b"\x00\x00\xa0@"
