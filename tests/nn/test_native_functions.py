"""Functions of ``torch`` in its library's order of arguments, against ``nn.functional``."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.nn import functional as F


def same(a, b) -> None:
    assert np.array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(4, 3, 5)


def test_normalisations(x) -> None:
    w, b = torch.rand(3), torch.rand(3)
    means, variances = torch.zeros(3), torch.ones(3)
    got = torch.batch_norm(x, w, b, means, variances, True, 0.1, 1e-5, True)
    same(got, F.batch_norm(x, torch.zeros(3), torch.ones(3), w, b, True, 0.1, 1e-5))
    assert means.abs().sum() > 0
    same(torch.instance_norm(x, w, b, None, None, True, 0.1, 1e-5, False),
         F.instance_norm(x, None, None, w, b))  # fmt: skip
    same(torch.layer_norm(x, (5,), None, None, 1e-3, False), F.layer_norm(x, (5,), eps=1e-3))
    same(torch.group_norm(x, 3, w, b, 1e-5, False), F.group_norm(x, 3, w, b))


def test_tables() -> None:
    table, at = torch.arange(10.0).view(5, 2), torch.tensor([4, 0, 4])
    same(torch.embedding(table, at), table[at])
    out, bag, sizes, _ = torch.embedding_bag(table, at, torch.tensor([0, 1]), False, 1)
    same(out, torch.tensor([[8.0, 9.0], [4.0, 5.0]]))
    assert bag.tolist() == [0, 1, 1] and sizes.tolist() == [1, 2]
    torch.embedding_renorm_(table, torch.tensor([4]), 1.0, 2.0)
    assert float(table[4].norm()) == pytest.approx(1.0, rel=1e-5)
    assert table[3].tolist() == [6.0, 7.0]


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "feature_alpha_dropout"])
def test_dropout_in_place_draws_the_same(x, name) -> None:
    torch.manual_seed(1)
    want = getattr(F, name)(x, 0.5, True)
    torch.manual_seed(1)
    given = x.clone()
    got = getattr(torch, f"{name}_")(given, 0.5, True)
    assert got is given
    same(got, want)


def test_feature_dropout_drops_channels(x) -> None:
    out = torch.feature_dropout(torch.ones(8, 16, 3), 0.5, True)
    rows = out.reshape(128, 3)
    assert bool((rows == rows[:, :1]).all())
    assert sorted(set(rows[:, 0].tolist())) == [0.0, 2.0]


def test_activations_in_place(x) -> None:
    for name in ("celu", "selu", "rrelu"):
        same(getattr(torch, f"{name}_")(x.clone()), getattr(F, name)(x))
    same(torch.threshold_(x.clone(), 0.1, 2.0), F.threshold(x, 0.1, 2.0))
    same(x.hardshrink(0.3), F.hardshrink(x, 0.3))
    same(x.prelu(torch.tensor([0.1])), F.prelu(x, torch.tensor([0.1])))


def test_norms(x) -> None:
    same(torch.frobenius_norm(x, (1, 2)), torch.linalg.vector_norm(x, dim=(1, 2)))
    same(torch.frobenius_norm(x), x.norm())
    same(torch.nuclear_norm(x[0]), torch.linalg.matrix_norm(x[0], "nuc"))
    same(torch.norm_except_dim(x, 2, 1), torch.linalg.vector_norm(x, dim=(0, 2), keepdim=True))
    with pytest.raises(RuntimeError, match="2 dimensions"):
        torch.nuclear_norm(x)


def test_losses_take_numbers(x) -> None:
    a, b, signs = x[0], x[1], torch.tensor([1.0, -1.0, 1.0])
    same(torch.hinge_embedding_loss(a[:, 0], signs, 1.0, 2),
         F.hinge_embedding_loss(a[:, 0], signs, reduction="sum"))  # fmt: skip
    same(torch.cosine_embedding_loss(a, b, signs, 0.1, 0),
         F.cosine_embedding_loss(a, b, signs, 0.1, reduction="none"))  # fmt: skip
    p, q = a.log_softmax(-1), b.softmax(-1)
    same(torch.kl_div(p, q), F.kl_div(p, q, reduction="none").mean())
    same(torch.kl_div(p, q, 2), F.kl_div(p, q, reduction="sum"))
    same(torch.poisson_nll_loss(a, b.abs(), True, False, 1e-8, 1), F.poisson_nll_loss(a, b.abs()))
    same(torch.triplet_margin_loss(a, b, x[2], 1.0, 2.0, 1e-6, False, 1),
         F.triplet_margin_loss(a, b, x[2]))  # fmt: skip
    same(torch.margin_ranking_loss(a, b, torch.ones(3, 5), 0.1, 2),
         F.margin_ranking_loss(a, b, torch.ones(3, 5), 0.1, reduction="sum"))  # fmt: skip
    same(torch.binary_cross_entropy_with_logits(a, q, None, None, 2),
         F.binary_cross_entropy_with_logits(a, q, reduction="sum"))  # fmt: skip
    odds = torch.randn(6, 2, 4).log_softmax(2)
    goal, whole, two = torch.tensor([[1, 2], [3, 1]]), torch.tensor([6, 6]), torch.tensor([2, 2])
    same(torch.ctc_loss(odds, goal, whole, two, 0, 2), F.ctc_loss(odds, goal, whole, two, 0, "sum"))


def test_recurrent_functions_are_the_layers() -> None:
    torch.manual_seed(0)
    x, h = torch.randn(5, 2, 3), torch.zeros(1, 2, 4)
    layer = torch.nn.GRU(3, 4)
    out, last = torch.gru(x, h, layer._flat_weights, True, 1, 0.0, False, False, False)
    same(out, layer(x)[0])
    same(last, layer(x)[1])
    cell = torch.nn.LSTMCell(3, 4)
    given = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    state = (torch.zeros(2, 4), torch.zeros(2, 4))
    for a, b in zip(torch.lstm_cell(x[0], state, *given), cell(x[0], state), strict=True):
        same(a, b)


def test_convolution_gradients_by_name() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(2, 3, 6, 6), torch.randn(4, 3, 3, 3)
    a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
    out = F.conv2d(a, b, stride=2, padding=1)
    seed = torch.randn(out.shape)
    out.backward(seed)
    same(torch.nn.grad.conv2d_input(x.shape, w, seed, stride=2, padding=1), a.grad)
    same(torch.nn.grad.conv2d_weight(x, w.shape, seed, stride=2, padding=1), b.grad)
