# ruff: noqa: E501 - tables of expressions
"""Printing beside PyTorch: thousands of arrays, all options, character for character."""

import numpy as np
import pytest
import torch

import rushlight
from rushlight.base import dtype as dt
from rushlight.tensor.display import set_printoptions, tensor_text

SIZES = [0, 1, 2, 3, 5, 7, 8, 30]


@pytest.fixture(autouse=True)
def default_options():
    yield
    set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


def drawn(rng, kind, shape):
    """Values of all magnitudes, whole numbers, infinities, zeros of both signs."""
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        low = 0 if kind.kind == "u" else -120
        scale = 10 ** rng.integers(0, 9) if kind.itemsize >= 4 else 1
        return rng.integers(low, 120, shape) * scale
    a = rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 9)
    way = rng.integers(6)
    if way == 1:
        return np.round(a)
    if way == 2:
        return np.where(
            rng.random(shape) < 0.2, rng.choice([np.inf, -np.inf, np.nan, 0, -0.0], shape), a
        )
    if way == 3:
        return a * 10.0 ** rng.integers(-5, 5, shape)
    if way == 4:
        return rng.choice([0.0, -0.0, 1, 2, np.inf, np.nan], shape)
    return a


KINDS = [d for d in dt.ALL if np.dtype(d.numpy).isbuiltin == 1]  # those that NumPy has itself


@pytest.mark.parametrize("seed", range(8))
def test_text_of_arrays(seed):
    rng = np.random.default_rng(seed)
    for k in range(500):
        shape = tuple(
            int(n) for n in rng.choice(SIZES if k % 3 else [1, 2, 3, 9, 12], rng.integers(0, 5))
        )
        if np.prod(shape) > 20000:
            continue
        kind = KINDS[rng.integers(len(KINDS))]
        with np.errstate(over="ignore", invalid="ignore"):
            a = np.asarray(drawn(rng, kind, shape)).astype(kind.numpy)
        options = {}
        if k % 4 == 0:
            options = {
                "precision": int(rng.integers(0, 8)),
                "threshold": int(rng.choice([5, 20, 1000])),
                "edgeitems": int(rng.integers(0, 4)),
                "linewidth": int(rng.choice([20, 80, 120])),
                "sci_mode": [None, True, False][rng.integers(3)],
            }
        for package in (torch, rushlight):
            package.set_printoptions(profile="default")
            package.set_printoptions(**options)
        wants = kind.kind == "f" and k % 2 == 0
        x = torch.tensor(a)
        name = None
        if wants:
            x.requires_grad_()
            if k % 8 == 0:
                x, name = x.clone(), "CloneBackward0"
        text = tensor_text(a, kind, requires_grad=wants, grad_fn=name)
        assert text == repr(x), (kind, shape, options)


EXPRESSIONS = """torch.zeros(2, 3)|torch.arange(5)|torch.tensor(1.5)|torch.tensor([])|torch.zeros(0, 3)
torch.ones(2, dtype=torch.float64)|torch.ones(2, requires_grad=True)|torch.ones(2, requires_grad=True) * 2
torch.ones(2, requires_grad=True).sum()|torch.ones(2, 3, requires_grad=True).sum(1)|torch.tensor(True)
torch.ones(2, 2, requires_grad=True).view(4)|torch.ones(2, requires_grad=True).exp()
torch.ones(2, requires_grad=True)[0]|torch.ones(2, requires_grad=True)[:1]|torch.ones(2, 2, requires_grad=True).t()
torch.ones(2, requires_grad=True).mean()|torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
torch.ones(2, requires_grad=True).relu()|torch.ones(2, requires_grad=True) - 1|1 / torch.ones(2, requires_grad=True)
torch.ones(2, requires_grad=True) ** 2|torch.ones(2, requires_grad=True).clone()|-torch.ones(2, requires_grad=True)
torch.ones(2, requires_grad=True).unsqueeze(0)
torch.ones(2, requires_grad=True).sigmoid()|torch.ones(2, requires_grad=True).double()|torch.arange(2000)
torch.cat([torch.ones(2, requires_grad=True)] * 2)|torch.ones(2, requires_grad=True).softmax(0)
torch.ones(2, requires_grad=True).log_softmax(0)|torch.Size([2, 3])
torch.float32|torch.device('cpu')|torch.ones(1).dtype|torch.strided|torch.contiguous_format|torch.ones(2, 3).shape
torch.randn(20, 30, 40).round()|torch.Tensor|torch.ones(2, requires_grad=True).sqrt()
type(torch.ones(1))|torch.ones(3).type()|torch.sort(torch.tensor([3, 1, 2]))|torch.ones(2, requires_grad=True).std()
""".replace("\n", "|").split("|")  # fmt: skip


@pytest.mark.parametrize("text", [t for t in EXPRESSIONS if t])
def test_repr(text):
    torch.manual_seed(0)
    rushlight.manual_seed(0)
    want = repr(eval(text, {"torch": torch}))
    assert repr(eval(text, {"torch": rushlight})) == want
