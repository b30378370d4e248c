"""Attention of several heads and transformers: formulas, masks, shapes, errors."""

import math

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.autograd import gradcheck


def by_hand(attend, x, hidden=None):
    """(N, L, E) with the weights of a MultiheadAttention, head by head."""
    e, width = attend.embed_dim, attend.head_dim
    outs, seen = [], []
    q, k, v = (x @ attend.in_proj_weight[i * e : (i + 1) * e].T for i in range(3))
    for h in range(attend.num_heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width)
        if hidden is not None:
            scores = scores.masked_fill(hidden, -math.inf)
        seen.append(scores.softmax(-1))
        outs.append(seen[-1] @ v[..., part])
    return torch.cat(outs, -1) @ attend.out_proj.weight.T, torch.stack(seen, 1)


@pytest.mark.parametrize("weights", [True, False])
def test_heads(weights) -> None:
    torch.manual_seed(0)
    attend = nn.MultiheadAttention(6, 2, batch_first=True)
    x = torch.randn(3, 4, 6)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    padded = torch.tensor([[False] * 4, [False, False, True, True], [False] * 3 + [True]])
    for mask, padding in ((None, None), (causal, None), (None, padded), (causal, padded)):
        hidden = None
        if mask is not None or padding is not None:
            hidden = torch.zeros(3, 4, 4, dtype=torch.bool)
            hidden = hidden if mask is None else hidden | mask
            hidden = hidden if padding is None else hidden | padding[:, None, :]
        out, seen = attend(
            x, x, x, attn_mask=mask, key_padding_mask=padding, need_weights=weights,
            average_attn_weights=False,
        )  # fmt: skip
        want, each = by_hand(attend, x, hidden)
        assert torch.allclose(out, want, atol=1e-6)
        assert (seen is None) is not weights
        if weights:
            assert torch.allclose(seen, each, atol=1e-6)


def test_one_sequence_and_other_widths() -> None:
    torch.manual_seed(0)
    attend = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True)
    out, seen = attend(torch.randn(6, 4), torch.randn(7, 3), torch.randn(7, 5))
    assert out.shape == (6, 4) and seen.shape == (6, 9)
    assert torch.allclose(seen.sum(-1), torch.ones(6))
    names = [n for n, _ in attend.named_parameters()]
    assert names == [
        "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "bias_k", "bias_v",
        "out_proj.weight", "out_proj.bias",
    ]  # fmt: skip


def test_gradients() -> None:
    torch.manual_seed(0)
    attend = nn.MultiheadAttention(4, 2).double()
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    y = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, y: attend(x, y, y)[0], (x, y))
    assert gradcheck(lambda x: attend(x, x, x, need_weights=False)[0], (x,))


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer(norm_first) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, norm_first=norm_first)
    x = torch.randn(3, 2, 4)

    def attend(x):
        return layer.self_attn(x, x, x)[0]

    def feed(x):
        return layer.linear2(layer.linear1(x).relu())

    if norm_first:
        y = x + attend(layer.norm1(x))
        want = y + feed(layer.norm2(y))
    else:
        y = layer.norm1(x + attend(x))
        want = layer.norm2(y + feed(y))
    assert torch.allclose(layer(x), want, atol=1e-6)


def test_transformer() -> None:
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 2, 2, 16, batch_first=True)
    assert model(torch.rand(3, 5, 8), torch.rand(3, 4, 8)).shape == (3, 4, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    assert mask[0].tolist() == [0.0] + [-math.inf] * 3 and mask[3].tolist() == [0.0] * 4
    model.eval()
    src, tgt = torch.rand(3, 5, 8), torch.rand(3, 4, 8)
    first = model(src, tgt, tgt_mask=mask)
    changed = tgt.clone()
    changed[:, -1] += 1
    second = model(src, changed, tgt_mask=mask)
    assert torch.allclose(first[:, :3], second[:, :3]) and not torch.allclose(first, second)
    with pytest.raises(RuntimeError, match="batch number of src and tgt"):
        model(src, tgt[:2])


def test_padding_is_left_out_in_evaluation() -> None:
    torch.manual_seed(0)
    inner = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder = nn.TransformerEncoder(inner, 2).eval()
    x, padding = torch.rand(1, 3, 4), torch.tensor([[False, False, True]])
    with torch.no_grad():
        out = encoder(x, src_key_padding_mask=padding)
    assert out[0, 2].tolist() == [0.0] * 4
    assert torch.allclose(out[:, :2], encoder(x[:, :2]), atol=1e-6)
    assert encoder(x, src_key_padding_mask=padding)[0, 2].abs().sum() > 0
    with pytest.warns(UserWarning, match="batch_first was not True"):
        nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1)


def test_refused() -> None:
    with pytest.raises(AssertionError, match="divisible by num_heads"):
        nn.MultiheadAttention(5, 2)
    attend = nn.MultiheadAttention(4, 2)
    x = torch.zeros(3, 2, 4)
    with pytest.raises(RuntimeError, match="2D attn_mask"):
        attend(x, x, x, attn_mask=torch.zeros(2, 2))
    with pytest.raises(AssertionError, match="only bool and floating types of attn_mask"):
        attend(x, x, x, attn_mask=torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="Need attn_mask"):
        attend(x, x, x, is_causal=True)
