"""Attention by score and mask functions, against what it is composed of."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.nn import functional as F
from rushlight.nn.attention import bias
from rushlight.nn.attention.flex_attention import (
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    or_masks,
)

B, H, L, E = 2, 4, 20, 8


def causal(b, h, q, k):
    return q >= k


def near(b, h, q, k):
    return q - k <= 3


def given(heads: int = H):
    torch.manual_seed(0)
    return [torch.randn(B, n, L, E, requires_grad=True) for n in (H, heads, heads)]


def close(a, b) -> None:
    assert np.allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)


def test_without_functions_it_is_attention() -> None:
    q, k, v = given()
    out = flex_attention(q, k, v)
    want = F.scaled_dot_product_attention(q, k, v)
    close(out, want)
    for a, b in zip(
        torch.autograd.grad(out.square().sum(), (q, k, v)),
        torch.autograd.grad(want.square().sum(), (q, k, v)), strict=True,
    ):  # fmt: skip
        assert np.allclose(a.numpy(), b.numpy(), atol=1e-5)


def test_masks() -> None:
    q, k, v = given()
    mask = create_block_mask(and_masks(causal, near), None, None, L, L, BLOCK_SIZE=4)
    seen = create_mask(and_masks(causal, near), None, None, L, L)
    close(flex_attention(q, k, v, block_mask=mask),
          F.scaled_dot_product_attention(q, k, v, attn_mask=seen))  # fmt: skip
    either = create_mask(or_masks(causal, near), 1, 1, L, L)
    assert bool(either.all())


def test_scores_are_changed() -> None:
    q, k, v = given()
    slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625])
    out = flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s + slopes[h] * (j - i))
    away = torch.arange(L)[None] - torch.arange(L)[:, None]
    close(out, F.scaled_dot_product_attention(q, k, v, attn_mask=slopes[:, None, None] * away))


def test_fewer_heads_of_keys_and_what_else_is_asked_for() -> None:
    q, k, v = given(2)
    out, lse = flex_attention(q, k, v, enable_gqa=True, return_lse=True, scale=0.3)
    wide = [t.repeat_interleave(2, 1) for t in (k, v)]
    close(out, F.scaled_dot_product_attention(q, *wide, scale=0.3))
    scores = q @ wide[0].mT * 0.3
    close(lse, scores.logsumexp(-1))
    _, more = flex_attention(q, *wide, scale=0.3, return_aux=AuxRequest(max_scores=True))
    assert more.lse is None
    close(more.max_scores, scores.amax(-1))


def test_a_query_that_sees_nothing_gets_zeros() -> None:
    q, k, v = given()
    mask = create_block_mask(lambda b, h, i, j: (i > 4) & (j >= 0), None, None, L, L)
    out, lse = flex_attention(q, k, v, block_mask=mask, return_lse=True)
    assert bool((out[:, :, :5] == 0).all()) and bool(lse[:, :, :5].isneginf().all())
    grads = torch.autograd.grad(out.sum(), (q, k, v))
    assert all(bool(g.isfinite().all()) for g in grads)


def test_blocks() -> None:
    mask = create_block_mask(causal, None, None, 16, 16, BLOCK_SIZE=4)
    assert mask.shape == (1, 1, 16, 16) and mask.numel() == 256
    assert mask.kv_num_blocks.tolist() == [[[1, 1, 1, 1]]]
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1, 2, 3]]]
    assert mask.full_kv_indices[0, 0, 2].tolist() == [0, 1, 2, 3]
    assert torch.equal(mask.to_dense()[0, 0], torch.tril(torch.ones(4, 4)).int())
    assert mask.sparsity() == 37.5
    assert str(mask).startswith("BlockMask(shape=(1, 1, 16, 16), sparsity=37.50%, \n(0, 0)\n")
    again = BlockMask.from_kv_blocks(*mask.as_tuple()[2:6], BLOCK_SIZE=4, mask_mod=causal)
    assert torch.equal(again.to_dense(), mask.to_dense())
    assert mask[0].shape == (1, 1, 16, 16)
    assert mask.to("cpu").kv_indices.shape == mask.kv_indices.shape


def test_what_does_not_fit() -> None:
    q, k, v = given(2)
    with pytest.raises(ValueError, match="enable_gqa"):
        flex_attention(q, k, v)
    q, k, v = given()
    with pytest.raises(ValueError, match="smaller length"):
        flex_attention(q, k, v, block_mask=create_block_mask(causal, None, None, 8, 8))
    with pytest.raises(NotImplementedError, match="4D"):
        flex_attention(q[0], k[0], v[0])
    with pytest.raises(RuntimeError, match="score_mod gave a tensor of shape"):
        flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s[..., :3])


def test_causal_corners() -> None:
    assert bias.causal_lower_right(2, 3).tolist() == [[True, True, False], [True, True, True]]
    assert bias.causal_upper_left(2, 3).tolist() == [[True, False, False], [True, True, False]]
