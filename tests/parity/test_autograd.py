"""Flags of views and leaves, sparse gradients and anomaly mode beside PyTorch's."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
import torch

import rushlight

MODULES = (torch, rushlight)


def chain(T: Any, seed: int) -> list[Any]:
    """The flags of every tensor after each of some random steps."""
    rng = random.Random(seed)
    pool = [T.ones(4, 4).requires_grad_(), T.ones(4, 4)]
    out: list[Any] = []
    for _ in range(12):
        step, i = rng.randrange(11), rng.randrange(100)
        x = pool[rng.randrange(len(pool))]
        made = None
        try:
            if step == 0:
                made = x.view(-1) if x.is_contiguous() else x.reshape(-1)
            elif step == 1:
                made = x[:2] if x.dim() and x.shape[0] > 2 else x.view_as(x)
            elif step == 2:
                made = x.t() if x.dim() == 2 else x.view_as(x)
            elif step == 3:
                made = x.detach()
            elif step == 4:
                made = x.detach().contiguous().clone()[:1].requires_grad_()
            elif step == 5:
                x.add_(1)
            elif step == 6:
                made = x * 2
            elif step == 7:
                x.mul_(pool[i % len(pool)].sum())
            elif step == 8:
                made = x.unsqueeze(0).view_as(x).view_as(x)
            elif step == 9:
                with T.no_grad():
                    x.mul_(0.5)
            else:
                x.sum().item()
        except RuntimeError as error:
            out.append(str(error))
        if made is not None:
            pool.append(made)
        out.append([(p.requires_grad, p.is_leaf, p.grad_fn is None) for p in pool])
    return out


@pytest.mark.parametrize("seed", range(0, 60, 10))
def test_flags_of_random_chains(seed: int) -> None:
    for k in range(seed, seed + 10):
        expected, found = (chain(T, k) for T in MODULES)
        assert found == expected, k


def trained(T: Any, name: str, settings: dict[str, Any]) -> list[Any]:
    """Places and values of gradients and tables, trained with sparse gradients."""
    T.manual_seed(0)
    table = T.nn.Embedding(6, 3, sparse=True, padding_idx=2)
    bag = T.nn.EmbeddingBag(6, 3, sparse=True, mode="mean")
    optimiser = getattr(T.optim, name)([*table.parameters(), *bag.parameters()], lr=0.1, **settings)
    out: list[Any] = []
    for at in ([[1, 2, 4], [4, 1, 0]], [[3, 1, 1], [5, 2, 0]]):
        x = T.tensor(at)
        optimiser.zero_grad()
        for _ in range(2):
            (table(x).pow(2).sum() + bag(x).pow(3).sum()).backward()
        for layer in (table, bag):
            g = layer.weight.grad
            out += [g._indices().tolist(), g._values().tolist(), g.is_coalesced()]
        optimiser.step()
        out += [table.weight.tolist(), bag.weight.tolist()]
    return out


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.5, "nesterov": True}),
        ("Adagrad", {"lr_decay": 0.1}),
        ("SparseAdam", {"betas": (0.8, 0.95)}),
        ("SparseAdam", {"maximize": True}),
    ],
)
def test_sparse_gradients(name: str, settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's about checks of sparse tensors
        expected, found = (trained(T, name, settings) for T in MODULES)
    for e, f in zip(expected, found, strict=True):
        if isinstance(e, bool) or isinstance(e[0][0], int):
            assert f == e
        else:
            assert torch.allclose(torch.tensor(f), torch.tensor(e), 1e-5, 1e-6)


def told(T: Any, f: Any) -> list[str]:
    """What anomaly mode says, without the traceback's frames."""
    x = T.tensor([0.0, 1.0], requires_grad=True)
    with T.autograd.set_detect_anomaly(True):
        y = f(T, x).sum()
        with pytest.warns(UserWarning) as record, pytest.raises(RuntimeError) as error:
            y.backward()
    line = "y = f(T, x).sum()"
    text = str(record[0].message)
    return [str(error.value), text.partition("\n")[0], str(line in text)]


@pytest.mark.parametrize(
    "f",
    [
        lambda T, x: x.sqrt() * 0,
        lambda T, x: T.log(x) * 0 * x,
        lambda T, x: x / (x * 1),
        lambda T, x: T.exp(x * 1e4) * 0,
    ],
)
def test_anomaly_mode(f: Any) -> None:
    assert told(rushlight, f) == told(torch, f)


NODES = """x.max()|x.min()|x.amax(1)|x.prod()|x.prod(1)|2 ** x|s ** x|x ** 3|x.log1p()|x.clamp(0, 1)
x.clamp(min=0)|x[None].squeeze(0)|x[None].squeeze()|F.conv1d(x[None], w)|F.max_pool1d(x[None], 2)
F.max_pool2d(x[None, None], 2)|F.max_pool3d(x[None, None, None], 1)|F.prelu(x, w[0, 0])
F.linear(x, s)|nn.Linear(4, 2, bias=False)(x)|nn.Linear(4, 2)(x)
nn.Linear(4, 2)(x[None])|F.l1_loss(x, s)|F.l1_loss(x, s, reduction="sum")|F.softsign(x)
F.l1_loss(x, s, reduction="none")|(x[:, :2] + T.eye(2)).inverse()|(x[:, :2] + T.eye(2)).det()
T.fft.rfft(x)
changed(x, "add_", 1)|changed(x, "mul_", s)|changed(x, "relu_")|changed(x, "__setitem__", 0, 1.0)
changed(x, "exp_").sum()""".replace("\n", "|").split("|")


@pytest.mark.parametrize("text", NODES)
def test_names_of_nodes(text: str) -> None:
    def changed(x: Any, name: str, *args: Any) -> Any:
        y = x + 0
        getattr(y, name)(*args)
        return y

    def names(T: Any) -> list[str]:
        given = {"x": T.ones(2, 4, requires_grad=True), "s": T.ones(2, 4), "w": T.ones(1, 2, 1)}
        scope = {**given, "T": T, "nn": T.nn, "F": T.nn.functional, "changed": changed}
        made = eval(text, scope)
        before = repr(made).rpartition("grad_fn")[2]
        made.sum().item()  # the stretch has been run
        return [made.grad_fn.name(), before, repr(made).rpartition("grad_fn")[2]]

    assert names(rushlight) == names(torch)
    if text.startswith("changed"):
        x = [T.ones(2, 4, requires_grad=True) for T in MODULES]
        nodes = [changed(y, "add_", 1).grad_fn.next_functions[0][0].name() for y in x]
        assert nodes[0] == nodes[1] == "AddBackward0"
