"""Parametrizations, norms of weights, functional calls, fusion, initialisation that is skipped."""

import copy

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn.utils import parametrizations, parametrize


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, a):
        return a.triu()


def test_parametrization() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    before = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert type(layer).__name__ == "ParametrizedLinear"
    assert (
        torch.equal(layer.weight, layer.weight.T)
        and layer.parametrizations.weight.original is before
    )
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    layer(torch.ones(1, 3)).sum().backward()
    assert before.grad.abs().sum() > 0 and before.grad[2, 0] == 0
    layer.weight = torch.ones(3, 3)
    assert torch.equal(layer.weight.detach(), torch.ones(3, 3))
    with parametrize.cached():
        assert layer.weight is layer.weight
    twin = copy.deepcopy(layer)
    assert torch.equal(twin.weight, layer.weight)
    assert twin.parametrizations.weight.original is not before
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        layer.__getstate__()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is before
    assert torch.equal(before.detach(), torch.ones(3, 3))


def test_parametrization_refused() -> None:
    class Longer(nn.Module):
        def forward(self, x):
            return torch.cat([x, x])

    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(layer, "weight", Longer())
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(layer, "nothing", Symmetric())
    parametrize.register_parametrization(layer, "weight", Longer(), unsafe=True)
    assert layer.weight.shape == (4, 2)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(3, 4)
    x, want = torch.randn(2, 3), None
    want = plain(x)
    new = parametrizations.weight_norm(copy.deepcopy(plain), dim=dim)
    assert torch.allclose(new(x), want, atol=1e-6)
    with pytest.warns(FutureWarning, match="parametrizations.weight_norm"):
        old = nn.utils.weight_norm(copy.deepcopy(plain), dim=dim)
    assert torch.allclose(old(x), want, atol=1e-6)
    assert sorted(old.state_dict()) == ["bias", "weight_g", "weight_v"]
    new.load_state_dict(old.state_dict())
    old(x).sum().backward()
    new(x).sum().backward()
    assert torch.allclose(old.weight_g.grad, new.parametrizations.weight.original0.grad, atol=1e-6)
    nn.utils.remove_weight_norm(old)
    assert isinstance(old.weight, nn.Parameter) and torch.allclose(old(x), want, atol=1e-6)


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm(norm) -> None:
    torch.manual_seed(0)
    layer = norm(nn.Linear(3, 4))
    for _ in range(40):
        layer(torch.randn(2, 3))
    layer.eval()
    layer(torch.zeros(1, 3))
    assert torch.linalg.svdvals(layer.weight.detach())[0].item() == pytest.approx(1, abs=1e-3)
    state = layer.state_dict()
    other = norm(nn.Linear(3, 4))
    other.load_state_dict(state)
    other.eval()
    x = torch.randn(2, 3)
    assert torch.allclose(other(x), layer(x), atol=1e-6)


def test_spectral_norm_removed() -> None:
    layer = nn.utils.spectral_norm(nn.Linear(3, 4)).eval()
    out = layer(torch.ones(1, 3))
    nn.utils.remove_spectral_norm(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert torch.allclose(layer(torch.ones(1, 3)), out, atol=1e-6)


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_orthogonal(how, shape) -> None:
    torch.manual_seed(0)
    layer = parametrizations.orthogonal(nn.Linear(*shape[::-1]), orthogonal_map=how)
    w = layer.weight
    small = w @ w.T if shape[0] < shape[1] else w.T @ w
    assert torch.allclose(small, torch.eye(min(shape)), atol=1e-5)
    w.sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    fixed = torch.linalg.qr(torch.randn(max(shape), min(shape)))[0]
    layer.weight = fixed.T if shape[0] < shape[1] else fixed
    assert torch.allclose(
        layer.weight.abs(), (fixed.T if shape[0] < shape[1] else fixed).abs(), atol=1e-5
    )


def test_functional_call() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    given = {k: torch.ones_like(v, requires_grad=True) for k, v in model.named_parameters()}
    x = torch.randn(4, 2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    out = torch.func.functional_call(model, given, (x,))
    (out * x.sum(1, keepdim=True)).sum().backward()
    assert given["1.weight"].grad is not None
    assert all(torch.equal(before[k], v) for k, v in model.named_parameters())
    assert model[0].weight.grad is None
    with pytest.raises(RuntimeError, match="Missing key"):
        torch.func.functional_call(model, given, (x,), strict=True)


def test_functional_call_ties() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    model.forward = lambda x: model["b"](model["a"](x))
    one = {"a.weight": torch.eye(2) * 2}
    x = torch.ones(1, 2)
    assert torch.func.functional_call(model, one, (x,)).tolist() == [[4.0, 4.0]]


def test_skip_init() -> None:
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    layer = nn.utils.skip_init(nn.Linear, 3, 4)
    assert torch.equal(torch.rand(1), want) and layer.weight.shape == (4, 3)


def test_fusion() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    norm(torch.randn(8, 3, 4, 4) * 3)
    conv, norm = conv.eval(), norm.eval()
    x = torch.randn(1, 2, 5, 5)
    fused = nn.utils.fuse_conv_bn_eval(conv, norm)
    assert torch.allclose(fused(x), norm(conv(x)), atol=1e-5)
    line, norm = nn.Linear(2, 3).eval(), nn.BatchNorm1d(3).eval()
    x = torch.randn(4, 2)
    assert torch.allclose(nn.utils.fuse_linear_bn_eval(line, norm)(x), norm(line(x)), atol=1e-5)
