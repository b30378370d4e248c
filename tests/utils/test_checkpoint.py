"""Checkpointed calls: the same values and gradients, random numbers included, computed twice."""

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.utils.checkpoint import checkpoint, checkpoint_sequential


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradients_of_inputs_and_parameters(use_reentrant) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))
    x = torch.randn(5, 3, requires_grad=True)
    calls = []

    def run(x):
        calls.append(torch.is_grad_enabled())
        return model(x)

    found = []
    for way in ("plain", "checkpoint"):
        torch.manual_seed(1)
        model.zero_grad()
        x.grad = None
        out = run(x) if way == "plain" else checkpoint(run, x, use_reentrant=use_reentrant)
        after = torch.rand(1).item()
        (out**2).sum().backward()
        grads = [p.grad.tolist() for p in model.parameters()]
        found.append((out.tolist(), after, x.grad.tolist(), grads, torch.rand(1).item()))
    assert found[0] == found[1]
    assert len(calls) == 3


def test_inputs_without_gradient() -> None:
    layer = nn.Linear(2, 2)
    x = torch.ones(1, 2)
    checkpoint(layer, x, use_reentrant=False).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
        assert not checkpoint(layer, x, use_reentrant=True).requires_grad


def test_several_outputs_and_keywords() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    out = checkpoint(lambda x, scale: (x * scale, "text", x + 1), x, scale=3.0, use_reentrant=False)
    assert out[1] == "text"
    (out[0].sum() + (out[2] * x).sum()).backward()
    assert x.grad.tolist() == [3.0 + 3.0, 3.0 + 5.0]


def test_sequences() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(5)])
    x = torch.randn(2, 3, requires_grad=True)
    model(x).sum().backward()
    want, x.grad = x.grad.tolist(), None
    checkpoint_sequential(model, 2, x, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == want


def test_refusals() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="should be passed explicitly"):
        checkpoint(lambda x: x * 2, x)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint(lambda x: x, x, use_reentrant=True, scale=1)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(lambda x: x, x, use_reentrant=False, determinism_check="x")
    sizes = iter([2, 3])

    def fickle(x):
        return x.sum() * torch.ones(next(sizes))

    with pytest.raises(RuntimeError, match="different metadata"):
        checkpoint(fickle, x, use_reentrant=False).sum().backward()
