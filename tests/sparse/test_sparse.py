"""Sparse tensors by coordinates: forms, products, gradients, errors."""

import pytest

import rushlight as torch

AT = torch.tensor([[0, 1, 1, 1], [2, 0, 2, 2]])
VALUES = torch.tensor([3.0, 4.0, 5.0, 1.0])
DENSE = [[0.0, 0.0, 3.0], [4.0, 0.0, 6.0]]


def made(**more):
    return torch.sparse_coo_tensor(AT, VALUES, (2, 3), **more)


def test_forms() -> None:
    s = made()
    assert s.to_dense().tolist() == DENSE and s.is_sparse and s.shape == (2, 3) and s._nnz() == 4
    with pytest.raises(RuntimeError, match="uncoalesced"):
        s.indices()
    c = s.coalesce()
    assert c.indices().tolist() == [[0, 1, 1], [2, 0, 2]] and c.values().tolist() == [3, 4, 6]
    assert c.is_coalesced() and c.coalesce() is c
    assert s.t().to_dense().tolist() == torch.tensor(DENSE).T.tolist()
    back = torch.tensor(DENSE).to_sparse()
    assert back.indices().tolist() == c.indices().tolist()
    assert (s * 2).to_dense().tolist() == (torch.tensor(DENSE) * 2).tolist()
    assert (s + s).to_dense().tolist() == (s * 2).to_dense().tolist()
    old = torch.sparse.FloatTensor(AT, VALUES, torch.Size([2, 3]))
    assert old.to_dense().tolist() == DENSE
    assert repr(c) == (
        "tensor(indices=tensor([[0, 1, 1],\n"
        "                       [2, 0, 2]]),\n"
        "       values=tensor([3., 4., 6.]),\n"
        "       size=(2, 3), nnz=3, layout=torch.sparse_coo)"
    )


def test_products_and_gradients() -> None:
    x = torch.arange(6.0).reshape(3, 2).requires_grad_()
    s = made(requires_grad=True)
    dense = torch.tensor(DENSE)
    for product in (torch.spmm, torch.sparse.mm, torch.mm, lambda a, b: a @ b):
        assert torch.equal(product(s, x), dense @ x)
    out = torch.sparse.mm(s, x)
    (out * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert torch.equal(x.grad, dense.T @ torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert s.grad._values().tolist() == [1 * 4 + 2 * 5, 0 + 4, 3 * 4 + 4 * 5, 3 * 4 + 4 * 5]
    assert torch.equal(torch.sparse.addmm(torch.ones(2, 2), s, x), 1 + dense @ x)
    assert torch.sparse.sum(made()).item() == 13
    assert torch.sparse.sum(made(), 1).to_dense().tolist() == [3, 10]


def test_softmax_is_among_what_is_there() -> None:
    soft = torch.sparse.softmax(made(), 1).to_dense()
    assert soft[0].tolist() == [0, 0, 1] and soft[1].sum().item() == pytest.approx(1)


def test_a_graph_network_learns() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 2)
    adjacency = torch.eye(3).to_sparse()
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    x, y = torch.randn(3, 2), torch.tensor([0, 1, 0])
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(torch.spmm(adjacency, layer(x)), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_refused() -> None:
    with pytest.raises(RuntimeError, match="size is inconsistent with indices: for dim 1"):
        torch.sparse_coo_tensor(AT, VALUES, (2, 2))
    with pytest.raises(RuntimeError, match="same nnz"):
        torch.sparse_coo_tensor(AT, VALUES[:2], (2, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        torch.spmm(made(), torch.ones(2, 2))


def test_text_is_the_one_of_sparse_tensors() -> None:
    s = made()
    assert str(s) == repr(s) == f"{s}" and "layout=torch.sparse_coo" in str(s)
    wide = torch.sparse_coo_tensor(torch.arange(16).reshape(1, 16), torch.arange(16) / 8)
    assert repr(wide).split("\n")[2:4] == [
        "       values=tensor([0.0000, 0.1250, 0.2500, 0.3750, 0.5000, 0.6250, 0.7500,",
        "                      0.8750, 1.0000, 1.1250, 1.2500, 1.3750, 1.5000, 1.6250,",
    ]
    assert repr(torch.sparse_coo_tensor((4, 5)).double()) == (
        "tensor(indices=tensor([], size=(2, 0)),\n"
        "       values=tensor([], size=(0,)),\n"
        "       size=(4, 5), nnz=0, dtype=torch.float64, layout=torch.sparse_coo)"
    )
    leaf = made(requires_grad=True)
    assert repr(leaf).endswith("layout=torch.sparse_coo, requires_grad=True)")
    assert "grad_fn=<" in repr(leaf * 2) and "requires_grad" not in repr(leaf * 2)


def test_a_subclass_prints_its_own_text() -> None:
    class Named(torch.Tensor):
        def __repr__(self) -> str:
            return "Named"

    assert str(torch.ones(2).as_subclass(Named)) == "Named"
    assert str(torch.ones(2)) == repr(torch.ones(2)) == "tensor([1., 1.])"


def test_what_a_dense_tensor_answers() -> None:
    x = torch.arange(4.0).reshape(2, 2).requires_grad_()
    for name in ("coalesce", "indices", "values", "is_coalesced"):
        with pytest.raises(RuntimeError, match=f"{name} expected sparse .* but got Strided"):
            getattr(x, name)()
    assert (x.sparse_dim(), x.dense_dim()) == (0, 2)
    assert torch.equal(x.to_sparse_coo().to_dense(), x)
    mask = torch.sparse_coo_tensor([[0, 1], [1, 1]], torch.ones(2), (2, 2))
    kept = x.sparse_mask(mask)
    assert kept.to_dense().tolist() == [[0, 1], [0, 3]]
    kept.to_dense().sum().backward()
    assert x.grad.tolist() == [[0, 1], [0, 1]]
    with pytest.raises(RuntimeError, match="incompatible sizes"):
        x.sparse_mask(torch.sparse_coo_tensor([[0], [1]], torch.ones(1), (3, 2)))
    with pytest.raises(NotImplementedError, match="must be a sparse tensor"):
        x.sparse_mask(x)
