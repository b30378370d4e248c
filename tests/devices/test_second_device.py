"""A second device, registered here: ordinary memory and our kernels, but another device to all."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine
from rushlight.base import device as devices
from rushlight.base.settings import override
from rushlight.engine import core

F = T.nn.functional
MIXED = "Expected all tensors to be on the same device, but found at least two devices, "


@pytest.fixture(autouse=True)
def fake() -> Iterator[None]:
    devices.register("fake", 2)
    yield
    T.set_default_device(None)
    engine.flush()
    devices.unregister("fake")


# ---------------------------------------------------------------- names
def test_names() -> None:
    d = T.device("fake:1")
    assert (d.type, d.index, str(d), repr(d)) == (
        "fake", 1, "fake:1", "device(type='fake', index=1)",
    )  # fmt: skip
    assert T.device("fake", 1) == d and T.device("fake") != d and T.device(d) == d
    assert hash(T.device("fake", 1)) == hash(d)
    assert pickle.loads(pickle.dumps(d)) == d
    devices.unregister("fake")
    with pytest.raises(RuntimeError, match=r"Expected one of cpu, cuda, ipu.*string: fake"):
        T.device("fake")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("cpu:x",), "Invalid device string: 'cpu:x'"),
        (("cuda:",), "Invalid device string: 'cuda:'"),
        (("cuda:-1",), "Invalid device string: 'cuda:-1'"),
        (("",), "Device string must not be empty"),
        (("cuda:0", 1), "must not include an index because index was passed explicitly: cuda:0"),
        (("gpu",), "privateuseone device type at start of device string: gpu"),
    ],
)
def test_errors_of_names(args: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match=words.replace("(", r"\(")):
        T.device(*args)


def test_a_name_of_pytorchs_is_not_given_away() -> None:
    with pytest.raises(ValueError, match="'cuda' is PyTorch's"):
        devices.register("cuda")
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        T.zeros(1, device="cuda")
    with pytest.raises(RuntimeError, match=r"'mps' is not supported by this build"):
        T.zeros(1, device="mps")
    with pytest.raises(RuntimeError, match=r"fake:2: invalid device ordinal; there are 2"):
        T.zeros(1, device="fake:2")


# ---------------------------------------------------------------- new tensors
MAKERS: dict[str, Callable[[Any], Any]] = {
    "tensor": lambda d: T.tensor([1.0, 2.0], device=d),
    "as_tensor": lambda d: T.as_tensor([1, 2], device=d),
    "as_tensor of an array": lambda d: T.as_tensor(np.arange(3), device=d),
    "zeros": lambda d: T.zeros(2, 3, device=d),
    "full": lambda d: T.full((2,), 3.5, device=d),
    "empty": lambda d: T.empty(3, device=d),
    "arange": lambda d: T.arange(5, device=d),
    "linspace": lambda d: T.linspace(0, 1, 4, device=d),
    "eye": lambda d: T.eye(3, device=d),
    "rand": lambda d: T.rand(4, device=d),
    "randn": lambda d: T.randn(4, device=d),
    "randint": lambda d: T.randint(0, 9, (4,), device=d),
    "randperm": lambda d: T.randperm(6, device=d),
    "ones_like": lambda d: T.ones_like(T.zeros(2), device=d),
    "new_zeros": lambda d: T.zeros(2).new_zeros(3, device=d),
}


@pytest.mark.parametrize("name", MAKERS)
def test_factories(name: str) -> None:
    make = MAKERS[name]
    x = make("fake")
    assert x.device == T.device("fake", 0)
    assert make(T.device("fake:1")).device == T.device("fake:1")
    if name not in ("tensor", "empty"):
        T.manual_seed(1)
        here = make("cpu").tolist()
        T.manual_seed(1)
        assert make("fake").tolist() == here


def test_like_and_new_follow_their_tensor() -> None:
    x = T.ones(2, device="fake:1")
    for y in (T.zeros_like(x), T.rand_like(x), x.new_ones(3), x.new_tensor([1.0]), x.clone()):
        assert y.device == T.device("fake:1")


def test_default_device() -> None:
    assert T.get_default_device() == T.device("cpu")
    with T.device("fake") as d:
        assert d == T.device("fake")
        assert T.ones(2).device == T.device("fake:0") == T.get_default_device()
        assert T.tensor(1.0).device == T.device("fake:0")
        assert T.nn.Linear(2, 2).weight.device == T.device("fake:0")
        assert T.ones(2, device="cpu").device == T.device("cpu")
        with T.device("cpu"):
            assert T.ones(2).device == T.device("cpu")
        assert T.ones_like(T.ones(1, device="cpu")).device == T.device("cpu")
        assert T.from_numpy(np.ones(2)).device == T.device("cpu")
    assert T.ones(2).device == T.device("cpu")
    with pytest.raises(ZeroDivisionError), T.device("fake"):
        raise ZeroDivisionError
    assert T.ones(2).device == T.device("cpu")
    T.set_default_device("fake:1")
    assert T.zeros(1).device == T.device("fake:1") == T.get_default_device()
    T.set_default_device(None)
    assert T.zeros(1).device == T.device("cpu")


def test_generators() -> None:
    g = T.Generator("fake")
    assert g.device == T.device("fake")
    g.manual_seed(5)
    a = T.randn(3, generator=g, device="fake").tolist()
    assert a == T.randn(3, generator=T.Generator().manual_seed(5)).tolist()
    with pytest.raises(RuntimeError, match="Expected a 'fake' device type for generator but found"):
        T.randn(3, generator=T.Generator(), device="fake")
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found"):
        T.randint(0, 3, (3,), generator=g)


# ---------------------------------------------------------------- what a tensor says of itself
def test_tensors_say_where_they_are() -> None:
    x = T.tensor([1.5, 2.0], device="fake:1")
    assert repr(x) == "tensor([1.5000, 2.0000], device='fake:1')"
    assert repr(x.requires_grad_()) == (
        "tensor([1.5000, 2.0000], device='fake:1', requires_grad=True)"
    )
    assert not x.is_cuda and not x.is_cpu and T.ones(1).is_cpu
    assert x.get_device() == 1 and T.ones(1).get_device() == -1
    assert x.type() == "torch.fake.FloatTensor" and T.ones(1).type() == "torch.FloatTensor"
    assert x.detach().tolist() == [1.5, 2.0] and x[0].item() == 1.5


def test_numpy_is_refused() -> None:
    x = T.ones(2, device="fake")
    words = "can't convert fake:0 device type tensor to numpy. Use Tensor.cpu\\(\\) to copy"
    for f in (x.numpy, lambda: np.asarray(x), T.ones(0, device="fake").numpy):
        with pytest.raises(TypeError, match=words):
            f()
    assert x.cpu().numpy().tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- moving
def test_to_and_back() -> None:
    x = T.arange(6.0).view(2, 3)
    y = x.to("fake")
    assert y.device == T.device("fake:0") and y.to("fake:0") is y and y.to("fake") is y
    assert x.cpu() is x and x.to("cpu") is x
    z = y.to("fake:1", T.float64)
    assert z.dtype is T.float64 and z.device == T.device("fake:1")
    assert y.to(z).device == z.device and y.to(z).dtype is T.float64
    assert y.type_as(z).device == z.device
    assert z.cpu().device == T.device("cpu") and z.cpu().tolist() == x.tolist()
    y.add_(1)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]] and y.tolist() == [[1, 2, 3], [4, 5, 6]]
    t = x.t().to("fake")
    assert t.stride() == (1, 3) and t.tolist() == x.t().tolist()


def test_a_copy_is_differentiated() -> None:
    x = T.tensor([1.0, -2.0], requires_grad=True)
    y = x.to("fake")
    assert y.requires_grad and not y.is_leaf and y.grad_fn.name() == "ToCopyBackward0"
    (y * y).sum().backward()
    assert x.grad.device == T.device("cpu") and x.grad.tolist() == [2.0, -4.0]
    w = T.ones(2, requires_grad=True, device="fake")
    (w.cpu() * 3).sum().backward()
    assert w.grad.device == T.device("fake:0") and w.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("f", [T.sum, lambda x: x[1:].sum(), lambda x: (x**2).mean()])
def test_gradients_live_with_their_tensor(f: Any) -> None:
    x = T.ones(3, requires_grad=True, device="fake:1")
    f(x).backward()
    assert x.grad.device == x.device
    loss = f(x)
    loss.item()  # the gradient is worked out after the run
    loss.backward()
    assert x.grad.device == x.device
    (g,) = T.autograd.grad(f(x), x, create_graph=True)
    assert g.device == x.device


def test_copy_writes_across_devices() -> None:
    x, y = T.zeros(3), T.tensor([1.0, 2.0, 3.0], device="fake")
    x.copy_(y)
    assert x.tolist() == [1.0, 2.0, 3.0] and x.device == T.device("cpu")
    y.zero_()
    y[1:] = 7.0
    y[0] = T.tensor(2.0)
    assert y.tolist() == [2.0, 7.0, 7.0] and y.device == T.device("fake:0")
    y.fill_(4)
    assert y.device == T.device("fake:0") and y.tolist() == [4.0] * 3


# ---------------------------------------------------------------- mixing
def test_cpu_scalars_may_mix() -> None:
    x = T.ones(2, device="fake")
    s = T.tensor(2.0)
    for y in (x * s, s - x, x + 1, T.where(x > 0, x, s), x.clamp(max=s), x.add_(s)):
        assert y.device == T.device("fake:0")


ONE = T.ones(2, 2)
MIXES: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: x + ONE,
    "radd": lambda x: ONE + x,
    "compare": lambda x: x < ONE,
    "where": lambda x: T.where(ONE > 0, x, ONE),
    "matmul": lambda x: x @ ONE,
    "linear": lambda x: F.linear(x, ONE),
    "cat": lambda x: T.cat([ONE, x]),
    "stack": lambda x: T.stack([x, ONE]),
    "in place": lambda x: ONE.clone().add_(x),
    "gather": lambda x: T.gather(ONE, 1, x.long()),
    "mse": lambda x: F.mse_loss(x, ONE),
    "cross_entropy": lambda x: F.cross_entropy(x, T.tensor([0, 1])),
    "scalar there": lambda x: ONE + x.sum(),
}


@pytest.mark.parametrize("name", MIXES)
def test_devices_do_not_mix(name: str) -> None:
    with pytest.raises(RuntimeError, match=MIXED + "fake:1 and cpu!"):
        MIXES[name](T.ones(2, 2, device="fake:1"))
    with pytest.raises(RuntimeError, match=MIXED + "fake:0 and fake:1!"):
        T.ones(2, device="fake:0") + T.ones(2, device="fake:1")


def test_cpu_indices_may_index() -> None:
    x = T.arange(6.0, device="fake").view(3, 2)
    y = x[T.tensor([2, 0])]
    assert y.device == T.device("fake:0") and y.tolist() == [[4, 5], [0, 1]]
    assert x[[True, False, True]].device == T.device("fake:0")


def test_a_gradient_has_to_be_on_its_tensors_device() -> None:
    x = T.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient with device type 'fak"):
        x.grad = T.ones(2, device="fake")


# ---------------------------------------------------------------- recognition
def test_the_same_program_elsewhere_is_another_path() -> None:
    a = np.arange(4, dtype=np.float32)

    def go(where: str) -> Any:
        x = T.tensor(a, device=where)
        y = (x * 2).sin()
        return y, y.tolist()

    first, want = go("cpu")
    n = core.mine().nplan
    second, got = go("fake")
    assert core.mine().nplan == n + 1 and second.rec is not first.rec
    third, _ = go("fake:1")
    assert core.mine().nplan == n + 2
    again, _ = go("fake")
    assert core.mine().nplan == n + 2 and again.rec is second.rec
    assert got == want
    leaf = second.rec.parent.parent
    assert leaf.row.name == "leaf" and T.device("fake:0") in leaf.key
    assert second.st.spec.device == T.device("fake:0") and third.device == T.device("fake:1")


def train(where: str, fuse_after: int) -> tuple[list[Any], Any, Any]:
    T.manual_seed(0)
    m = T.nn.Sequential(
        T.nn.Linear(4, 8), T.nn.BatchNorm1d(8), T.nn.ReLU(), T.nn.Dropout(0.3), T.nn.Linear(8, 3)
    )
    before = [id(p) for p in m.parameters()]
    m.to(where)
    assert [id(p) for p in m.parameters()] == before
    o = T.optim.AdamW(m.parameters(), lr=0.1)
    x, y = T.randn(6, 4).to(where), T.randint(0, 3, (6,)).to(where)
    out: list[Any] = []
    with override(fuse_after=fuse_after):
        for _ in range(5):
            o.zero_grad()
            loss = F.cross_entropy(m(x), y)
            loss.backward()
            T.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            o.step()
            out.append(loss.item())
        out.extend(p.tolist() for p in m.parameters())
        out.extend(b.tolist() for b in m.buffers())
    return out, m, o


@pytest.mark.parametrize("fuse_after", [1, 2, 1 << 40])
def test_training_elsewhere_has_the_same_bits(fuse_after: int) -> None:
    here, _, _ = train("cpu", fuse_after)
    there, m, o = train("fake:1", fuse_after)
    assert here == there
    d = T.device("fake:1")
    assert all(p.device == d and p.grad.device == d for p in m.parameters())
    assert all(b.device == d for b in m.buffers())
    for s in o.state.values():
        assert s["exp_avg"].device == d and s["exp_avg_sq"].device == d
        assert s["step"].device == T.device("cpu")
    assert all(v.device == d for v in m.state_dict().values())


def test_state_moves_with_the_model_that_loads_it() -> None:
    _, m, o = train("fake", 2)
    n = T.nn.Linear(4, 3)
    n.load_state_dict({k: v[:3] for k, v in m[0].state_dict().items()})
    assert n.weight.device == T.device("cpu")
    assert n.weight.tolist() == m[0].weight[:3].tolist()
    p = copy.deepcopy(m).cpu()
    q = T.optim.AdamW(p.parameters())
    q.load_state_dict(o.state_dict())
    assert all(s["exp_avg"].device == T.device("cpu") for s in q.state.values())
    assert copy.deepcopy(m)[0].weight.device == T.device("fake:0")
