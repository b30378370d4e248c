"""CTC against a sum over alignments; bags, adaptive softmax, linear cross-entropy by hand."""

import itertools
import math

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.autograd import gradcheck


def alignments(lp, target, blank=0):
    """Minus the log of the summed probabilities of every path that collapses to the target."""
    total = 0.0
    steps, classes = lp.shape
    for path in itertools.product(range(classes), repeat=steps):
        short = [k for k, _ in itertools.groupby(path) if k != blank]
        if short == list(target):
            total += math.exp(sum(lp[t, k].item() for t, k in enumerate(path)))
    return -math.log(total) if total else math.inf


def test_ctc() -> None:
    torch.manual_seed(0)
    lp = torch.randn(4, 3, 3, dtype=torch.float64).log_softmax(-1)
    targets = torch.tensor([[1, 2], [1, 1], [2, 0]])
    got = F.ctc_loss(lp, targets, (4, 3, 2), (2, 2, 1), reduction="none")
    want = [
        alignments(lp[:4, 0], (1, 2)),
        alignments(lp[:3, 1], (1, 1)),
        alignments(lp[:2, 2], (2,)),
    ]
    assert torch.allclose(got, torch.tensor(want, dtype=torch.float64))
    flat = F.ctc_loss(lp, torch.tensor([1, 2, 1, 1, 2]), (4, 3, 2), (2, 2, 1), reduction="mean")
    assert flat.item() == pytest.approx((want[0] / 2 + want[1] / 2 + want[2]) / 3)


def test_ctc_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    loss = nn.CTCLoss(reduction="sum")
    targets, ins, outs = torch.tensor([[1, 2], [2, 2]]), torch.tensor([4, 3]), torch.tensor([2, 2])
    assert gradcheck(lambda x: loss(x.log_softmax(-1), targets, ins, outs), (x,))


def test_ctc_without_an_alignment() -> None:
    x = torch.zeros(2, 1, 3, requires_grad=True)
    targets = torch.tensor([[1, 1]])
    assert F.ctc_loss(x.log_softmax(-1), targets, (2,), (2,)).item() == math.inf
    loss = F.ctc_loss(x.log_softmax(-1), targets, (2,), (2,), zero_infinity=True)
    loss.backward()
    assert loss.item() == 0.0 and x.grad.abs().sum() == 0.0
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        F.ctc_loss(x, targets, (2,), (2,), blank=3)
    with pytest.raises(RuntimeError, match="input_lengths must be of size batch_size"):
        F.ctc_loss(x, targets, (2, 2), (2,))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags(mode) -> None:
    torch.manual_seed(0)
    bag = nn.EmbeddingBag(6, 3, mode=mode, padding_idx=0)
    table = bag.weight.detach()
    entries, offsets = torch.tensor([1, 2, 0, 5, 5, 3]), torch.tensor([0, 3, 3])
    out = bag(entries, offsets)
    each = [table[[1, 2]], None, table[[5, 5, 3]]]
    for got, rows in zip(out, each, strict=True):
        want = torch.zeros(3)
        if rows is not None:
            want = rows.max(0).values if mode == "max" else getattr(rows, mode)(0)
        assert torch.allclose(got, want, atol=1e-6)
    out.sum().backward()
    assert bag.weight.grad[0].abs().sum() == 0 and bag.weight.grad[4].abs().sum() == 0
    fixed = bag(torch.tensor([[1, 2, 0], [5, 5, 3]]))
    assert torch.allclose(fixed, out[[0, 2]], atol=1e-6)
    whole = F.embedding_bag(
        entries, table, torch.tensor([0, 3, 3, 6]), mode=mode, include_last_offset=True,
        padding_idx=0,
    )  # fmt: skip
    assert torch.allclose(whole, out, atol=1e-6)


def test_bag_factors_and_refusals() -> None:
    table = torch.eye(3, requires_grad=True)
    factors = torch.tensor([[2.0, 3.0]], requires_grad=True)
    out = F.embedding_bag(torch.tensor([[0, 2]]), table, mode="sum", per_sample_weights=factors)
    assert out.tolist() == [[2.0, 0.0, 3.0]]
    out.sum().backward()
    assert factors.grad.tolist() == [[1.0, 1.0]]
    with pytest.raises(NotImplementedError, match="only supported for mode='sum'"):
        F.embedding_bag(torch.tensor([[0, 2]]), table, per_sample_weights=factors)
    with pytest.raises(ValueError, match="offsets has to be a 1D Tensor but got None"):
        F.embedding_bag(torch.tensor([0, 2]), table)


def test_embedding_settings() -> None:
    table = torch.tensor([[3.0, 4.0], [0.3, 0.4]], requires_grad=True)
    out = F.embedding(torch.tensor([0, 1, 0]), table, scale_grad_by_freq=True)
    out.sum().backward()
    assert table.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    F.embedding(torch.tensor([0, 1]), table, max_norm=1.0)
    assert torch.allclose(table.detach(), torch.tensor([[0.6, 0.8], [0.3, 0.4]]), atol=1e-6)


def test_adaptive_softmax() -> None:
    torch.manual_seed(0)
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], div_value=2.0)
    x, y = torch.randn(5, 8, requires_grad=True), torch.tensor([0, 4, 9, 2, 6])
    out, loss = layer(x, y)
    full = layer.log_prob(x)
    assert torch.allclose(full.exp().sum(1), torch.ones(5), atol=1e-5)
    assert torch.allclose(out, full.gather(1, y[:, None])[:, 0], atol=1e-6)
    assert loss.item() == pytest.approx(-out.mean().item())
    assert torch.equal(layer.predict(x), full.argmax(1))
    loss.backward()
    assert layer.tail[1][0].weight.grad.abs().sum() > 0
    with pytest.raises(RuntimeError, match=r"Target values should be in \[0, 9\]"):
        layer(x, torch.tensor([0, 1, 2, 3, 10]))


def test_linear_cross_entropy() -> None:
    torch.manual_seed(0)
    layer = nn.LinearCrossEntropyLoss(4, 3, bias=True, label_smoothing=0.1)
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    want = F.cross_entropy(layer.linear(x), y, label_smoothing=0.1)
    assert layer(x, y).item() == pytest.approx(want.item())
    with pytest.raises(RuntimeError, match="expected equal input and linear_weight last"):
        F.linear_cross_entropy(x, torch.zeros(3, 5), y)
