"""Sparse gradients: what embeddings give, how leaves add them up, and who steps along them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import rushlight as torch

F = torch.nn.functional
PLACES = torch.tensor([[1, 2, 4], [4, 1, 0]])


def table(**settings: Any) -> Any:
    torch.manual_seed(0)
    return torch.nn.Embedding(6, 3, sparse=True, **settings)


def twin(e: Any) -> Any:
    """The same table with dense gradients."""
    made = torch.nn.Embedding(6, 3, padding_idx=e.padding_idx)
    made.load_state_dict(e.state_dict())
    return made


def gradient(e: Any, at: Any = PLACES) -> Any:
    e(at).pow(2).sum().backward()
    return e.weight.grad


def test_an_embedding_gives_rows_in_the_order_of_their_places() -> None:
    e = table(padding_idx=2)
    g = gradient(e)
    assert isinstance(g, torch.Tensor) and g.is_sparse and g.layout is torch.sparse_coo
    assert not g.is_coalesced() and g._nnz() == 5 and g.shape == (6, 3)
    assert g._indices().tolist() == [[1, 4, 4, 1, 0]]
    rows = (2 * e.weight.detach())[torch.tensor([1, 4, 4, 1, 0])]
    assert torch.equal(g._values(), rows)
    assert torch.equal(g.to_dense(), gradient(twin(e)))


def test_gradients_accumulate_in_place() -> None:
    e = table()
    first = gradient(e)
    one = first.to_dense()
    assert gradient(e) is first and first._nnz() == 6
    assert torch.equal(first.to_dense(), one * 2)
    e(torch.tensor([3, 1])).sum().backward()
    assert e.weight.grad is first and first._nnz() == 8
    e.zero_grad(set_to_none=False)
    assert e.weight.grad._nnz() == 0
    e.zero_grad()
    assert e.weight.grad is None


def test_sparse_and_dense_make_dense() -> None:
    w = torch.randn(6, 3, requires_grad=True)
    for order in (0, 1, 2):
        w.grad = None
        sparse, dense = F.embedding(PLACES, w, sparse=True).sum(), (w * 2).sum()
        if order == 2:
            (sparse + dense).backward()
        else:
            (sparse, dense)[order].backward()
            (dense, sparse)[order].backward()
        assert not w.grad.is_sparse
        assert w.grad[:, 0].tolist() == [3, 4, 3, 2, 4, 2]


def test_a_table_that_is_no_leaf_has_a_dense_gradient() -> None:
    w = torch.randn(6, 3, requires_grad=True)
    F.embedding(PLACES, w * 2, sparse=True).sum().backward()
    assert w.grad[:, 0].tolist() == [2, 4, 2, 0, 4, 0]


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("padding", [None, 2])
def test_bags(mode: str, padding: int | None) -> None:
    torch.manual_seed(0)
    bag = torch.nn.EmbeddingBag(6, 3, sparse=True, mode=mode, padding_idx=padding)
    dense = torch.nn.EmbeddingBag(6, 3, mode=mode, padding_idx=padding)
    dense.load_state_dict(bag.state_dict())
    given = torch.tensor([1, 2, 4, 4]), torch.tensor([0, 2, 2])
    for b in (bag, dense):
        b(*given).pow(2).sum().backward()
    places = [1, 2, 4, 4] if padding is None else [1, 4, 4]
    assert bag.weight.grad._indices().tolist() == [places]
    assert torch.equal(bag.weight.grad.to_dense(), dense.weight.grad)


def test_hooks_copies_and_derivatives_see_sparse_gradients() -> None:
    e = table()
    seen: list[Any] = []
    e.weight.register_hook(lambda g: seen.append(g.is_sparse))
    (g,) = torch.autograd.grad(e(PLACES).sum(), e.weight)
    assert g.is_sparse and seen == [True] and e.weight.grad is None
    e.weight.grad = g
    assert e.weight.grad is g
    other = copy.deepcopy(g)
    other.zero_()
    assert g._nnz() == 6 and other._nnz() == 0
    with pytest.raises(RuntimeError, match="gradient of size"):
        e.weight.grad = torch.sparse_coo_tensor([[0]], torch.ones(1, 3), (5, 3))


def test_what_has_no_sparse_form_says_so() -> None:
    e = table()
    g = gradient(e)
    with pytest.raises(NotImplementedError, match="to_dense"):
        torch.nn.utils.clip_grad_norm_(e.parameters(), 1.0)
    with pytest.raises(NotImplementedError, match="to_dense"):
        g.exp()
    with pytest.raises(RuntimeError, match="scale_grad_by_freq not supported"):
        F.embedding(PLACES, e.weight, scale_grad_by_freq=True, sparse=True)
    assert g.norm().item() == pytest.approx(g.to_dense().norm().item())


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "RMSprop", "NAdam", "RAdam", "Rprop", "Adadelta", "Adamax", "ASGD"]
)
def test_most_optimisers_refuse(name: str) -> None:
    e = table()
    gradient(e)
    words = "Adam" if name == "AdamW" else name
    with pytest.raises(RuntimeError, match=f"^{words} does not support sparse gradients"):
        getattr(torch.optim, name)(e.parameters()).step()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("SGD", {}), ("SGD", {"maximize": True}), ("Adagrad", {}), ("Adagrad", {"lr_decay": 0.1})],
)
def test_a_step_is_the_dense_one(name: str, settings: dict[str, Any]) -> None:
    e = table()
    dense = twin(e)
    both = [(t, torch.nn.Linear(3, 2), getattr(torch.optim, name)) for t in (e, dense)]
    both[1][1].load_state_dict(both[0][1].state_dict())
    for t, layer, kind in both:
        optimiser = kind([*t.parameters(), *layer.parameters()], lr=0.1, **settings)
        for _ in range(3):
            optimiser.zero_grad()
            layer(t(PLACES)).pow(2).mean().backward()
            optimiser.step()
    assert torch.allclose(e.weight, dense.weight, atol=1e-6)
    assert torch.allclose(both[0][1].weight, both[1][1].weight, atol=1e-6)


def test_sgd_keeps_a_sparse_momentum() -> None:
    e = table()
    optimiser = torch.optim.SGD(e.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        e.zero_grad()
        e(PLACES).sum().backward()
        optimiser.step()
    buf = optimiser.state[e.weight]["momentum_buffer"]
    assert buf.is_sparse and buf._values()[0].tolist() == pytest.approx([1.9] * 3)
    with pytest.raises(RuntimeError, match="add\\(sparse, dense\\)"):
        torch.optim.SGD(e.parameters(), lr=0.1, weight_decay=0.1).step()
    with pytest.raises(RuntimeError, match="weight_decay option is not compatible"):
        torch.optim.Adagrad(e.parameters(), lr=0.1, weight_decay=0.1).step()


def test_sparse_adam_leaves_other_rows_alone() -> None:
    e = table()
    before = e.weight.detach().clone()
    optimiser = torch.optim.SparseAdam(e.parameters(), lr=0.1)
    gradient(e)
    optimiser.step()
    moved = (e.weight.detach() != before).any(1)
    assert moved.tolist() == [True, True, True, False, True, False]
    assert optimiser.state[e.weight]["step"] == 1
    dense = twin(e)
    gradient(dense)
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients"):
        torch.optim.SparseAdam(dense.parameters()).step()
