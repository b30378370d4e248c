"""Checkpoints beside PyTorch: each reads the other's, with equal bits; the names are PyTorch's."""

import copy
import importlib
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

import rushlight
from rushlight.base import dtype as dt
from rushlight.base import homes
from rushlight.io.pickler import name_of
from rushlight.io.storages import UntypedStorage, content, is_typed, storage_of

OLD = {"_use_new_zipfile_serialization": False}


def written(module, obj, **settings) -> bytes:
    out = io.BytesIO()
    module.save(obj, out, **settings)
    return out.getvalue()


def their_bytes(x) -> bytes:
    return bytes(x.untyped_storage().tolist())


def our_bytes(x) -> bytes:
    return content(storage_of(x)).tobytes()


def pair(kind: dt.dtype, shape=(3, 4)):
    """The same bits as a tensor of both."""
    count = int(np.prod(shape))
    bits = np.random.RandomState(kind.code).randint(0, 256, count * kind.itemsize)
    bits = (bits % 2 if kind.name == "bool" else bits).astype(np.uint8)
    theirs = torch.from_numpy(bits.copy()).view(getattr(torch, kind.name)).reshape(shape)
    storage = UntypedStorage.new(bits.size, kind)
    storage.array()[...] = bits
    steps = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    return storage.tensor(kind, 0, shape, steps), theirs


# PyTorch cannot read its own old files of the types that have no storage class.
@pytest.mark.parametrize(
    ("kind", "settings"),
    [(k, {}) for k in dt.ALL] + [(k, OLD) for k in dt.ALL if is_typed(k)],
    ids=lambda x: x.name if isinstance(x, dt.dtype) else "old" if x else "zip",
)
def test_every_dtype_both_ways(kind, settings) -> None:
    ours, theirs = pair(kind)
    read = torch.load(io.BytesIO(written(rushlight, ours, **settings)))
    assert str(read.dtype) == str(kind)
    assert (read.shape, read.stride(), their_bytes(read)) == ((3, 4), (4, 1), our_bytes(ours))
    back = rushlight.load(io.BytesIO(written(torch, theirs, **settings)))
    assert back.dtype is kind
    assert (tuple(back.shape), back.stride(), our_bytes(back)) == (
        (3, 4), (4, 1), their_bytes(theirs),
    )  # fmt: skip


def values(module):
    """Shared, strided, empty, wanting gradients, and what stands beside tensors."""
    base = module.arange(24.0).reshape(4, 6)
    grad = module.ones(2, requires_grad=True)
    return {
        "base": base, "view": base[1:, ::2], "turned": base.t(), "last": base[3],
        "wide": module.ones(3, 1).expand(3, 5), "none": module.ones(0, 3),
        "number": module.tensor(5), "grad": grad, "made": grad * 2,
        "parameter": module.nn.Parameter(base[0].clone()), "size": module.Size([1, 2]),
        "dtype": module.float64, "bool": module.bool, "device": module.device("cpu"),
        "layout": module.strided, "bytes": b"\x00\xff", "complex": 1j, "text": "ä", "set": {1},
    }  # fmt: skip


@pytest.mark.parametrize("settings", [{}, OLD], ids=["zip", "old"])
def test_structures_both_ways(settings) -> None:
    for writer, reader in ((rushlight, torch), (torch, rushlight)):
        got = reader.load(io.BytesIO(written(writer, values(writer), **settings)))
        want = values(reader)
        assert list(got) == list(want)
        for name, value in want.items():
            if not isinstance(value, reader.Tensor):
                assert got[name] == value
                assert type(got[name]) is type(value)
                continue
            x = got[name]
            assert (x.stride(), x.storage_offset()) == (value.stride(), value.storage_offset())
            assert x.tolist() == value.tolist()
            assert type(x) is type(value)
            assert x.requires_grad == value.requires_grad
        got["base"].fill_(-1.0)
        assert got["view"].tolist() == [[-1.0] * 3] * 3
        assert got["last"].tolist() == [-1.0] * 6


def model(module):
    module.manual_seed(0)
    nn = module.nn
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.1),
                         nn.LayerNorm(4), nn.Embedding(5, 2))  # fmt: skip


def test_a_state_dict_is_the_same_file() -> None:
    """Byte for byte, but for the number of the archive."""
    ours, theirs = (
        written(rushlight, model(rushlight).state_dict()),
        written(torch, model(torch).state_dict()),
    )
    assert len(ours) == len(theirs)
    a, b = zipfile.ZipFile(io.BytesIO(ours)), zipfile.ZipFile(io.BytesIO(theirs))
    assert [(e.filename, e.header_offset) for e in a.infolist()] == [
        (e.filename, e.header_offset) for e in b.infolist()
    ]
    for entry in a.infolist():
        if not entry.filename.endswith("serialization_id"):
            assert a.read(entry) == b.read(entry.filename), entry.filename


@pytest.mark.parametrize("settings", [{}, OLD], ids=["zip", "old"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_whole_modules_both_ways(settings) -> None:
    for writer, reader in ((rushlight, torch), (torch, rushlight)):
        data = written(writer, model(writer), **settings)
        with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL torch\.nn\.modules\.\S+ was not"):
            reader.load(io.BytesIO(data))
        got = reader.load(io.BytesIO(data), weights_only=False)
        assert repr(got) == repr(model(reader))
        x = reader.ones(2, 3)
        assert got[:5].eval()(x).tolist() == pytest.approx(
            [pytest.approx(r) for r in model(reader)[:5].eval()(x).tolist()]
        )


OPTIMIZERS = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adadelta", "Adagrad", "RMSprop",
              "Rprop", "ASGD", "Adafactor"]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_go_on_in_the_other(name) -> None:
    def run(module, state=None, steps=3):
        w = module.nn.Parameter(module.linspace(-1, 1, 6).reshape(2, 3).clone())
        optimizer = getattr(module.optim, name)([w], lr=0.05)
        if state is not None:
            w.data.copy_(state["w"])
            optimizer.load_state_dict(state["optimizer"])
        for _ in range(steps):
            optimizer.zero_grad()
            ((w - 0.3) ** 4).sum().backward()
            optimizer.step()
        return {"w": w.detach(), "optimizer": optimizer.state_dict()}

    for first, second in ((rushlight, torch), (torch, rushlight)):
        state = second.load(io.BytesIO(written(first, run(first))))
        whole, parts = run(second, steps=6), run(second, state)
        np.testing.assert_allclose(parts["w"].numpy(), whole["w"].numpy(), 2e-5, 1e-7)


def test_schedules_go_on_in_the_other() -> None:
    def make(module):
        optimizer = module.optim.SGD([module.nn.Parameter(module.ones(1))], lr=0.1)
        return optimizer, module.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    for first, second in ((rushlight, torch), (torch, rushlight)):
        optimizer, schedule = make(first)
        for _ in range(4):
            optimizer.step()
            schedule.step()
        state = second.load(io.BytesIO(written(first, schedule.state_dict())))
        _, other = make(second)
        other.load_state_dict(state)
        assert other.last_epoch == 4
        assert other.get_last_lr() == pytest.approx(schedule.get_last_lr())


def test_names_are_where_pytorch_defines_them() -> None:
    for module, text in homes.DEFINED.items():
        defined = importlib.import_module(module)
        for name in text.split():
            their = getattr(defined, name)
            assert their.__qualname__ == name
            if name not in ("Buffer", "Muon", "Adafactor"):
                assert their.__module__ == module, name
    for space in ("nn", "optim", "optim.lr_scheduler"):
        for name in dir(importlib.import_module(f"rushlight.{space}")):
            found = getattr(importlib.import_module(f"rushlight.{space}"), name)
            their = getattr(importlib.import_module(f"torch.{space}"), name, None)
            if isinstance(found, type) and isinstance(their, type) and name[0] != "_":
                assert name_of(found) == (their.__module__, their.__qualname__), name


def test_generators_and_copies() -> None:
    g = torch.Generator().manual_seed(5)
    torch.rand(3, generator=g)
    ours = rushlight.load(io.BytesIO(written(torch, g)), weights_only=False)
    assert rushlight.rand(4, generator=ours).tolist() == torch.rand(4, generator=g).tolist()
    theirs = torch.load(io.BytesIO(written(rushlight, ours)), weights_only=False)
    assert rushlight.rand(4, generator=ours).tolist() == torch.rand(4, generator=theirs).tolist()
    for module in (rushlight, torch):
        base = module.arange(6.0)
        copied = copy.deepcopy([base, base[2:]])
        copied[0].fill_(1.0)
        assert copied[1].tolist() == [1.0] * 4
        assert base.tolist() == [0, 1, 2, 3, 4, 5]
