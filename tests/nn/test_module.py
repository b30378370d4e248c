"""Modules: registration, the fast call and when it must not be, hooks, states, copies."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import calls


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2, bias=False)
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("seen", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.second(self.first(x).relu()) * self.scale


class Other(Net):
    pass


X = torch.tensor([[1.0, -2.0, 0.5]])


def test_what_is_registered_is_found_without_getattr():
    net = Net()
    assert net.__dict__["first"] is net._modules["first"]
    assert net.first.__dict__["weight"] is net.first._parameters["weight"]
    assert [n for n, _ in net.named_parameters()] == ["first.weight", "first.bias", "second.weight"]
    assert [n for n, _ in net.named_buffers()] == ["scale", "seen"]
    assert list(net.state_dict()) == ["scale", "first.weight", "first.bias", "second.weight"]


def test_registries_and_attributes_stay_in_step():
    layer = nn.Linear(3, 2)
    del layer._parameters["bias"]
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'bias'"):
        _ = layer.bias
    layer._parameters["bias"] = nn.Parameter(torch.ones(2))
    assert layer.bias is layer._parameters["bias"]
    layer.bias = None
    assert layer.bias is None
    assert layer._parameters["bias"] is None
    layer.weight = nn.Parameter(torch.zeros(2, 3))
    assert layer(X).tolist() == [[0.0, 0.0]]
    del layer.weight
    assert "weight" not in layer.__dict__
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    del net[1]
    assert list(net._modules) == ["0", "1"]
    assert net.__dict__["1"] is net[1]
    assert "2" not in net.__dict__
    net._modules = {"a": nn.ReLU()}
    assert not hasattr(net, "0")
    assert isinstance(net.a, nn.ReLU)


def test_a_class_attribute_hides_a_child_as_in_pytorch():
    class Hiding(nn.Module):
        part = None

        def __init__(self):
            super().__init__()
            self.part = nn.ReLU()

    assert Hiding().part is None


def test_the_class_call_is_forward_until_something_is_hooked():
    net, other = Other(), Other()
    assert Other.__call__ is calls.FORWARD
    handle = net.register_forward_hook(lambda module, args, out: out * 2)
    assert Other.__call__ is calls.slow_call
    assert Net.__call__ is calls.FORWARD
    assert np.allclose(net(X).detach().numpy(), 2 * net.forward(X).detach().numpy())
    assert np.array_equal(other(X).detach().numpy(), other.forward(X).detach().numpy())
    handle.remove()
    assert Other.__call__ is calls.FORWARD
    net.register_forward_pre_hook(lambda module, args: None)
    del net
    gc.collect()
    assert Other.__call__ is calls.FORWARD


@pytest.mark.parametrize("layer", [Net, nn.ReLU, nn.Tanh])
def test_a_forward_put_on_the_class_later_counts(layer, monkeypatch):
    class Kind(layer):
        pass

    made, inherited = layer(), Kind()
    made(X), inherited(X)
    monkeypatch.setattr(layer, "forward", lambda self, x: "patched")
    assert made(X) == "patched"
    assert inherited(X) == "patched"
    monkeypatch.undo()
    assert made(X) != "patched"
    made.forward = lambda x: "own"
    assert made(X) == "own"


@pytest.mark.parametrize("layer", [lambda: nn.Linear(3, 3), nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_a_sequence_sees_what_its_layers_have_become(layer, monkeypatch):
    """Also in its middle: a module may change the class of those that come after it."""
    x = torch.ones(1, 3)
    cls = type(layer())

    class Patching(nn.Module):
        def forward(self, x):
            monkeypatch.setattr(cls, "forward", lambda self, x: x * 0 + 7)
            return x

    class Sub(cls):
        def forward(self, x):
            return super().forward(x) * 0 + 3

    plain = nn.Sequential(layer(), layer(), nn.Tanh(), layer())
    want = plain[3](torch.tanh(plain[1](plain[0](x)))).tolist()
    for _ in range(2):
        assert plain(x).tolist() == want
        assert nn.Sequential(layer(), Patching(), layer())(x).tolist() == [[7.0] * 3]
        assert plain(x).tolist() == [[7.0] * 3]
        monkeypatch.undo()
    assert plain(x).tolist() == want
    other = Sub(3, 3) if cls is nn.Linear else Sub()
    assert nn.Sequential(layer(), other)(x).tolist() == [[3.0] * 3]
    after = plain[0](torch.full((1, 3), 3.0)).tolist()
    assert nn.Sequential(other, plain[0])(x).tolist() == after
    handle = plain[3].register_forward_hook(lambda module, args, out: out * 0 + 5)
    assert plain(x).tolist() == [[5.0] * 3]
    handle.remove()
    assert plain(x).tolist() == want
    plain[3].forward = lambda x: x * 0 + 2
    assert plain(x).tolist() == [[2.0] * 3]


def test_the_class_call_takes_the_module():
    net = Net()
    assert np.array_equal(Net.__call__(net, X).detach().numpy(), net(X).detach().numpy())
    relu = nn.ReLU()
    assert np.array_equal(nn.ReLU.__call__(relu, X).numpy(), relu(X).numpy())
    assert np.array_equal(nn.Module.__call__(relu, input=X).numpy(), relu(X).numpy())


def test_a_subclass_may_call_the_getattr_of_module():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.inner, name)

    wrapped = Wrapper(nn.Linear(2, 3))
    assert wrapped.out_features == 3
    assert isinstance(wrapped.inner, nn.Linear)
    assert nn.Module.__getattr__(wrapped, "inner") is wrapped.inner
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'nothing'"):
        wrapped.nothing


def test_layers_of_two_compiled_kinds_copy_and_pickle():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(again(X).detach().numpy(), net(input=X).detach().numpy())
        assert weakref.ref(again[0])() is again[0]


def test_hooks_put_into_the_dictionaries_count():
    net = Other()
    net._forward_hooks[1] = lambda module, args, out: "hooked"
    assert net(X) == "hooked"
    net._forward_hooks.clear()
    assert Other.__call__ is calls.FORWARD


def test_global_hooks_reach_every_class():
    log = []
    handle = calls.register_module_forward_hook(lambda module, args, out: log.append(type(module)))
    Net()(X)
    assert log == [nn.Linear, nn.Linear, Net]
    handle.remove()
    Net()(X)
    assert len(log) == 3
    assert Net.__call__ is calls.FORWARD


def test_other_forwards_are_found():
    own = Other()
    own.forward = lambda x: "own"
    assert own(X) == "own"
    assert Other()(X).shape == (1, 2)

    class Patched(Net):
        pass

    Patched.forward = lambda self, x: "patched"
    assert Patched()(X) == "patched"

    class Calling(Net):
        def __call__(self, x):
            return "called", super().__call__(x)

    class Deeper(Calling):
        def forward(self, x):
            return "deeper"

    assert Deeper()(X) == ("called", "deeper")

    class Mixin:
        def forward(self, x):
            return "mixin"

    class Mixed(Mixin, nn.Module):
        pass

    assert Mixed()(X) == "mixin"
    with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
        nn.Module()(X)


def test_always_called_hooks_run_on_errors():
    log = []
    net = Other()
    net.register_forward_hook(lambda module, args, out: log.append(out), always_call=True)
    with pytest.raises(RuntimeError):
        net(torch.ones(2, 9))
    assert log == [None]


def test_hooks_with_keywords_and_their_order():
    class Scaled(nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    log = []
    m = Scaled()
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": 3.0}), with_kwargs=True)
    m.register_forward_pre_hook(lambda module, args: log.append("first"), prepend=True)
    m.register_forward_hook(lambda module, args, kwargs, out: log.append(kwargs), with_kwargs=True)
    assert m(X, by=2.0).tolist() == [[3.0, -6.0, 1.5]]
    assert log == ["first", {"by": 3.0}]


def test_hooks_on_gradients():
    layer = nn.Linear(3, 2)
    log = []
    layer.register_full_backward_hook(
        lambda m, gi, go: log.append((len(gi), len(go))) or (gi[0] * 2,)
    )
    layer.register_full_backward_pre_hook(lambda m, go: log.append("pre"))
    x = X.clone().requires_grad_()
    layer(x).sum().backward()
    assert log == ["pre", (1, 1)]
    expected = 2 * layer.weight.detach().numpy().sum(0)
    assert np.allclose(x.grad.numpy()[0], expected)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full"):
        layer.register_backward_hook(lambda *a: None)


def test_states_come_back_and_errors_name_what_is_wrong():
    a, b = Net(), Net()
    state = a.state_dict()
    assert str(b.load_state_dict(state)) == "<All keys matched successfully>"
    assert np.array_equal(a(X).detach().numpy(), b(X).detach().numpy())
    assert state._metadata["first"] == {"version": 1}
    del state["second.weight"]
    state["third"] = torch.ones(1)
    state["first.bias"] = torch.ones(7)
    with pytest.raises(RuntimeError) as error:
        b.load_state_dict(state)
    assert str(error.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "second.weight". \n'
        '\tUnexpected key(s) in state_dict: "third". \n'
        "\tsize mismatch for first.bias: copying a param with shape torch.Size([7]) from "
        "checkpoint, "
        "the shape in current model is torch.Size([4])."
    )
    keys = a.load_state_dict({}, strict=False)
    assert keys.missing_keys == ["scale", "first.weight", "first.bias", "second.weight"]


def test_copies_and_pickles_are_independent():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(net(X).detach().numpy(), other(X).detach().numpy())
        assert isinstance(other.first.weight, nn.Parameter)
        assert other.first.weight is other.first.__dict__["weight"]
        with torch.no_grad():
            other.first.weight.zero_()
        assert net.first.weight.abs().sum().item() > 0
    state = net.__getstate__()
    assert "first" not in state
    assert list(state["_modules"]) == ["first", "second"]


def test_modules_are_freed_by_reference_count():
    gc.collect()
    gc.disable()
    try:
        net = Net()
        died = weakref.ref(net)
        del net
        assert died() is None
    finally:
        gc.enable()


def test_conversion_keeps_the_parameters():
    net = Net()
    weight = net.first.weight
    net.double()
    assert net.first.weight is weight
    assert weight.dtype is torch.float64
    assert weight.requires_grad
    assert net(X.double()).dtype is torch.float64
    assert net.to(torch.float32).scale.dtype is torch.float32
    with pytest.raises(TypeError, match="only accepts floating point"):
        net.to(torch.int64)


def test_parameter():
    x = torch.ones(2)
    p = nn.Parameter(x)
    assert p.requires_grad
    assert p.is_leaf
    x += 1  # the memory is shared
    assert p.tolist() == [2.0, 2.0]
    assert repr(p) == "Parameter containing:\ntensor([2., 2.], requires_grad=True)"
    assert type(p * 2) is torch.Tensor
    p.tag = "mine"
    assert pickle.loads(pickle.dumps(p)).tag == "mine"
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(torch.ones(2, dtype=torch.int64))


def test_the_default_initialisation_is_pytorchs():
    # torch.manual_seed(0); torch.nn.Linear(3, 2) with PyTorch 2.13
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    assert layer.weight.tolist() == [
        [-0.004322517663240433, 0.3097158372402191, -0.4751853346824646],
        [-0.4248946011066437, -0.2223689705133438, 0.15482072532176971],
    ]
    assert layer.bias.tolist() == [-0.011439144611358643, 0.45777493715286255]
