"""Layers, losses and initialisers: values that PyTorch 2.13 gave once, and what must hold."""

import math

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.nn import init


def test_cross_entropy_and_its_gradient():
    x = torch.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]], requires_grad=True)
    loss = F.cross_entropy(x, torch.tensor([2, 0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.40760594606399536, rel=1e-6)
    expected = [[0.04501529, 0.12236425, -0.1673795], [-0.1673795, 0.12236425, 0.04501529]]
    assert np.allclose(x.grad.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mean_over_no_target_is_nan_and_has_no_slope(smoothing: float, weighted: bool):
    """A batch of nothing but padding must not spoil the parameters, as in PyTorch."""
    weight = torch.tensor([0.5, 1.5, 2.0]) if weighted else None
    for _ in range(4):
        x = torch.ones(2, 3, requires_grad=True)
        t = torch.tensor([1, 1])
        loss = F.cross_entropy(x, t, weight, ignore_index=1, label_smoothing=smoothing)
        loss.backward()
        assert loss.isnan() and x.grad.tolist() == [[0.0] * 3] * 2
        x = torch.ones(2, 3, 4, requires_grad=True)
        loss = F.nll_loss(x, torch.ones(2, 4, dtype=torch.int64), weight, ignore_index=1)
        loss.backward()
        assert loss.isnan() and not x.grad.any()


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 3), (0, 3)])
def test_cross_entropy_of_classes_as_ones_and_zeros_says_what_it_wants(shape):
    x, t = torch.zeros(shape), torch.ones(shape, dtype=torch.int64)
    with pytest.raises(RuntimeError, match=r"floating point type .* class probabilities, got Long"):
        F.cross_entropy(x, t)
    assert F.cross_entropy(x, t.float(), reduction="sum").isfinite()


def test_dropout_draws_pytorchs_masks():
    torch.manual_seed(0)
    assert F.dropout(torch.ones(8), 0.5).tolist() == [0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0, 2.0]
    layer = nn.Dropout(0.5).eval()
    x = torch.ones(3)
    assert layer(x) is x


def test_initialisers_draw_pytorchs_numbers():
    torch.manual_seed(1)
    q = init.orthogonal_(torch.empty(2, 2)).numpy()
    assert np.allclose(q, [[0.9956796, -0.0928564], [0.0928564, 0.9956796]], atol=1e-6)
    expected = [-0.4519059658050537, -0.16613022983074188, -1.522768497467041, 0.38168391585350037]
    assert init.trunc_normal_(torch.empty(4)).tolist() == expected
    found = init.kaiming_normal_(torch.empty(2, 3)).tolist()
    assert found == [
        [-0.8390389084815979, -0.45973068475723267, -0.7285521626472473],
        [-0.04756107181310654, -0.15963290631771088, -0.7884384393692017],
    ]


@pytest.mark.parametrize("size", [(5, 3), (3, 5), (4, 2, 3)])
def test_orthogonal_matrices_are_orthogonal(size):
    w = init.orthogonal_(torch.empty(*size), gain=2.0).numpy().reshape(size[0], -1) / 2
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.allclose(product, np.eye(min(w.shape)), atol=1e-6)


def test_fans_and_gains():
    assert init._calculate_fan_in_and_fan_out(torch.empty(4, 3, 5, 5)) == (75, 100)
    assert init.calculate_gain("leaky_relu", 0.5) == pytest.approx(math.sqrt(1.6))
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        init.xavier_uniform_(torch.empty(3))


def test_layer_norm_standardises():
    x = torch.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]])
    expected = [[-1.2247356, 0.0, 1.2247356], [1.2247356, 0.0, -1.2247356]]
    assert np.allclose(nn.LayerNorm(3)(x).detach().numpy(), expected, atol=1e-6)


def test_batch_norm_follows_its_batches():
    layer = nn.BatchNorm1d(2, momentum=0.5)
    x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    out = layer(x).detach().numpy()
    assert np.allclose(out, [[-1, -1], [1, 1]], atol=1e-4)
    assert layer.running_mean.tolist() == [1.0, 10.0]
    assert layer.running_var.tolist() == [1.5, 100.5]  # the variance over n - 1
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    expected = ([[1.0, 10.0]] - np.array([1.0, 10.0])) / np.sqrt(np.array([1.5, 100.5]) + 1e-5)
    assert np.allclose(layer(x[:1]).detach().numpy(), expected)
    with pytest.raises(ValueError, match=r"expected 2D or 3D input \(got 1D input\)"):
        layer(x[0])


def test_embedding_leaves_the_padding_alone():
    layer = nn.Embedding(5, 2, padding_idx=1)
    assert layer.weight[1].tolist() == [0.0, 0.0]
    layer(torch.tensor([0, 1, 1, 4])).sum().backward()
    assert layer.weight.grad.tolist() == [
        [1.0, 1.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [1.0, 1.0],
    ]


def test_binary_cross_entropy_at_the_ends():
    p = torch.tensor([0.0, 1.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(p, torch.tensor([0.0, 1.0, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(100 / 3)  # the logarithm counts as -100
    assert np.isfinite(p.grad.numpy()).all()
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1.0])).item()


def test_losses_reduce():
    x, t = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])
    assert F.mse_loss(x, t).item() == 5.0
    assert F.mse_loss(x, t, reduction="sum").item() == 10.0
    assert F.mse_loss(x, t, reduction="none").tolist() == [1.0, 9.0]
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        F.mse_loss(x, t, reduction="all")
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(x, torch.zeros(1))


def test_clipping():
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    assert nn.utils.clip_grad_norm_(layer.parameters(), 1.0).item() == 5.0
    assert np.allclose(layer.weight.grad.numpy(), [[0.6, 0.8]], atol=1e-6)
    nn.utils.clip_grad_value_(layer.parameters(), 0.7)
    assert np.allclose(layer.weight.grad.numpy(), [[0.6, 0.7]], atol=1e-6)
    layer.weight.grad = torch.tensor([[float("nan"), 1.0]])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0, error_if_nonfinite=True)


def test_containers():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU()) + nn.Sequential(nn.Linear(3, 1))
    assert repr(net[1:]) == (
        "Sequential(\n  (1): ReLU()\n  (2): Linear(in_features=3, out_features=1, bias=True)\n)"
    )
    assert net(torch.ones(4, 2)).shape == (4, 1)
    assert repr(nn.ModuleList([nn.ReLU()] * 3 + [nn.Tanh()])) == (
        "ModuleList(\n  (0-2): 3 x ReLU()\n  (3): Tanh()\n)"
    )
    many = nn.ParameterList([torch.ones(2)])
    many.append(torch.zeros(3))
    assert [p.requires_grad for p in many.parameters()] == [True, True]
    named = nn.ParameterDict({"b": torch.ones(1), "a": torch.ones(2)})
    assert list(named) == ["a", "b"]
    assert [n for n, _ in named.named_parameters()] == ["a", "b"]


def test_the_numbers_of_a_module_do_not_depend_on_how_it_is_called():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 3))
    x = torch.randn(7, 6)
    fast = net(x).detach().numpy()
    handle = net[0].register_forward_hook(lambda module, args, out: None)
    assert np.array_equal(net(x).detach().numpy(), fast)
    handle.remove()
    assert np.array_equal(net(x).detach().numpy(), fast)
