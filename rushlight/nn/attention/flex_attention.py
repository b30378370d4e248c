"""``torch.nn.attention.flex_attention``: attention whose scores and mask a function decides.

``score_mod(score, b, h, q_idx, kv_idx)`` and ``mask_mod(b, h, q_idx, kv_idx)`` are called once,
with indices that broadcast against the scores (batch, heads, queries, keys); what they do is
recorded with the rest and fused with it.  A ``BlockMask`` says which blocks of the scores a mask
leaves out; results never depend on its blocks.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypedDict

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.tensor.install import FUNCTIONS

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_score_mod_signature = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
_mask_mod_signature = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_DEFAULT_SPARSE_BLOCK_SIZE = 128


class FlexKernelOptions(TypedDict, total=False):
    """Settings of PyTorch's kernels for GPUs; accepted, and without effect here."""

    num_warps: int
    num_stages: int
    BLOCK_M: int
    BLOCK_N: int
    PRESCALE_QK: bool
    ROWS_GUARANTEED_SAFE: bool
    BLOCKS_ARE_CONTIGUOUS: bool
    BACKEND: str


class AuxRequest(NamedTuple):
    """What ``return_aux`` asks for beside the output."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for; None else."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


# ---------------------------------------------------------------- masks
def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """True everywhere."""
    return batch.new_ones((), dtype=FUNCTIONS["tensor"](True).dtype)


def _indices(b: int, h: int, q: int, kv: int, device: Any) -> tuple[Any, ...]:
    """The four index tensors, each along a dimension of its own."""
    made = []
    for d, n in enumerate((b, h, q, kv)):
        shape = [1] * 4
        shape[d] = n
        made.append(FUNCTIONS["arange"](n, device=device).view(shape))
    return tuple(made)


def _over(made: Any, shape: tuple[int, ...], name: str) -> Any:
    """What a function gave, over all scores."""
    if not isinstance(made, Tensor):
        raise TypeError(f"flex_attention: {name} must give a tensor, not {type(made).__name__}")
    try:
        return made.expand(shape)  # type: ignore[attr-defined]
    except RuntimeError:
        raise RuntimeError(
            f"flex_attention: {name} gave a tensor of shape {tuple(made.shape)}, which is no value "
            f"for each of the scores {shape}: it is called with indices that broadcast"
        ) from None


def create_mask(
    mod_fn: Callable[..., Any],
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
) -> Tensor:
    """The whole mask (B, H, Q_LEN, KV_LEN): True where ``mod_fn`` lets a query see a key.

    A ``score_mod`` (five arguments) gives its change of scores that are all zero.
    """
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    at = _indices(*shape, device)
    if _takes(mod_fn) == 5:
        return _over(mod_fn(FUNCTIONS["zeros"](shape, device=device), *at), shape, "score_mod")  # type: ignore[no-any-return]
    return _over(mod_fn(*at), shape, "mask_mod")  # type: ignore[no-any-return]


def _takes(fn: Callable[..., Any]) -> int:
    """How many arguments without a default a function has."""
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = inspect.signature(fn).parameters.values()
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in found)


def _joined(masks: tuple[Callable[..., Any], ...], op: Callable[[Any, Any], Any]) -> Any:
    if not all(callable(mask) for mask in masks):
        raise RuntimeError(f"All inputs should be callable mask_mods: {masks}")

    def mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return functools.reduce(op, (m(b, h, q_idx, kv_idx) for m in masks))

    return mask


def or_masks(*mask_mods: Callable[..., Any]) -> Callable[..., Any]:
    """A mask that is True where any of the given ones is."""
    return _joined(mask_mods, lambda a, b: a | b)  # type: ignore[no-any-return]


def and_masks(*mask_mods: Callable[..., Any]) -> Callable[..., Any]:
    """A mask that is True where all of the given ones are."""
    return _joined(mask_mods, lambda a, b: a & b)  # type: ignore[no-any-return]


class BlockMask:
    """A mask by blocks: for every row of blocks how many blocks of keys are partly seen
    (``kv_num_blocks``) and which (``kv_indices``, those first), and the same for blocks that are
    seen whole (``full_``).  ``create_block_mask`` makes one.
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any,
        full_kv_indices: Any,
        BLOCK_SIZE: tuple[int, int],
        mask_mod: Callable[..., Any],
    ) -> None:
        self.seq_lengths = seq_lengths
        self.kv_num_blocks = kv_num_blocks
        self.kv_indices = kv_indices
        self.full_kv_num_blocks = full_kv_num_blocks
        self.full_kv_indices = full_kv_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any = None,
        full_kv_indices: Any = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: Callable[..., Any] | None = None,
        seq_lengths: tuple[int, int] | None = None,
    ) -> Self:
        """One of counts and indices of blocks; its ``mask_mod`` says what is seen in them."""
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError(
                "full_kv_num_blocks and full_kv_indices must be both provided or omitted"
            )
        size = _pair(BLOCK_SIZE)
        if seq_lengths is None:
            rows, columns = kv_indices.shape[-2:]
            seq_lengths = rows * size[0], columns * size[1]
        return cls(
            seq_lengths, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, size,
            mask_mod or noop_mask,
        )  # fmt: skip

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """Lengths, counts and indices, block sizes and the mask."""
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        size = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        return (
            *lengths, self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks,
            self.full_kv_indices, *size, self.mask_mod,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return *self.kv_indices.shape[:-2], *self.seq_lengths

    def numel(self) -> int:
        """How many scores there are."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """The part of the scores, in percent, that lies in blocks that are not seen at all."""
        seen = self.kv_num_blocks.sum().item()
        if self.full_kv_num_blocks is not None:
            seen += self.full_kv_num_blocks.sum().item()
        return float(100 * (1 - seen * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / self.numel()))

    def to_dense(self) -> Tensor:
        """Which blocks are seen, partly or whole: 0 or 1, (B, H, blocks, blocks)."""
        dense = _dense(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None:
            dense = dense | _dense(self.full_kv_num_blocks, self.full_kv_indices)
        return dense.int()  # type: ignore[no-any-return]

    def _with(self, lengths: tuple[int, int], change: Callable[[Any], Any]) -> BlockMask:
        """The same with its counts and indices changed."""

        def changed(t: Any) -> Any:
            return None if t is None else change(t)

        return type(self)(
            lengths, changed(self.kv_num_blocks), changed(self.kv_indices),
            changed(self.full_kv_num_blocks), changed(self.full_kv_indices), self.BLOCK_SIZE,
            self.mask_mod,
        )  # fmt: skip

    def to(self, device: Any) -> BlockMask:
        """The same with its tensors on a device."""
        return self._with(self.seq_lengths, lambda t: t.to(device))

    def __getitem__(self, index: Any) -> BlockMask:
        """Some batches, heads or rows of blocks; the mask has to be set anew."""
        at = index if isinstance(index, tuple) else (index,)
        at = tuple(slice(i, i + 1 or None) if isinstance(i, int) else i for i in at)
        rows = self.kv_indices[at].shape[-2]
        whole = rows == self.kv_indices.shape[-2]
        queries = self.seq_lengths[0] if whole else rows * self.BLOCK_SIZE[0]
        return self._with((queries, self.seq_lengths[1]), lambda t: t[at])

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """A picture of every batch and head: whole, partly seen and unseen blocks."""
        dense: Any = self.to_dense()
        *batches, rows, columns = dense.shape
        most = (rows, columns) if grid_size == -1 else _pair(grid_size)
        steps = [max(1, -(-n // m)) for n, m in zip((rows, columns), most, strict=True)]
        seen = engine.read(dense).astype(float)
        pictures = []
        for i, at in enumerate(itertools.product(*map(range, batches))):
            if i == limit:
                pictures += [
                    "...",
                    "To print out more, set BlockMask.to_string(limit=N)",
                    "You can also index (BlockMask[batch, head]) to choose a specific batch or "
                    "head",
                ]
                break
            text = f"{at}\n"
            for r in range(0, rows, steps[0]):
                for c in range(0, columns, steps[1]):
                    part = seen[at][r : r + steps[0], c : c + steps[1]].mean()
                    text += 2 * ("█" if part == 1 else " " if part == 0 else "░")
                text += "\n"
            pictures.append(text)
        return "\n".join(pictures)

    def __str__(self) -> str:
        name = f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n"
        return f"{name}{self.to_string().strip()}\n)"

    def __repr__(self) -> str:
        def shape(x: Any) -> Any:
            return None if x is None else x.shape

        return (
            f"BlockMask(\n    kv_num_blocks={shape(self.kv_num_blocks)},\n"
            f"    kv_indices={shape(self.kv_indices)},\n"
            f"    full_kv_num_blocks={shape(self.full_kv_num_blocks)},\n"
            f"    full_kv_indices={shape(self.full_kv_indices)},\n"
            f"    BLOCK_SIZE={self.BLOCK_SIZE},\n    shape={self.shape},\n"
            f"    sparsity={self.sparsity():.2f}%,\n"
            f"    mask_mod={getattr(self.mask_mod, '__name__', self.mask_mod)}\n)"
        )


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _dense(counts: Any, places: Any) -> Any:
    """Which blocks are among the first ``counts`` of ``places``."""
    there = FUNCTIONS["arange"](places.shape[-1], device=places.device) < counts.unsqueeze(-1)
    return FUNCTIONS["zeros_like"](places).scatter(-1, places.long(), there.to(places.dtype)) > 0


def _ordered(dense: Any) -> tuple[Any, Any]:
    """How many blocks of each row are set, and all blocks' numbers, those first."""
    counts = dense.int().sum(-1).int()
    places = FUNCTIONS["argsort"](dense.int(), dim=-1, descending=True, stable=True)
    return counts, places.int().contiguous()


def create_block_mask(
    mask_mod: Callable[..., Any],
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
    separate_full_blocks: bool = True,
) -> BlockMask:
    """The `BlockMask` of ``mask_mod``; ``B`` and ``H`` None: the same for all batches or heads."""
    if _takes(mask_mod) != 4:
        raise AssertionError(f"create-block_mask requires a mask_mod function! Got {mask_mod}")
    size = _pair(BLOCK_SIZE)
    mask: Any = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    blocks = [-(-n // s) for n, s in zip((Q_LEN, KV_LEN), size, strict=True)]
    pads = (0, blocks[1] * size[1] - KV_LEN, 0, blocks[0] * size[0] - Q_LEN)
    wide = FUNCTIONS["constant_pad_nd"](mask.int(), pads, 0)
    parts = wide.view(*mask.shape[:2], blocks[0], size[0], blocks[1], size[1])
    seen = parts.sum((3, 5))
    whole = seen == size[0] * size[1]
    some = (seen > 0) & ~whole if separate_full_blocks else seen > 0
    full: tuple[Any, Any] = _ordered(whole) if separate_full_blocks else (None, None)
    counts, places = _ordered(some)
    return BlockMask((Q_LEN, KV_LEN), counts, places, full[0], full[1], size, mask_mod)


# ---------------------------------------------------------------- attention
def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Any] | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """``softmax(score_mod(query @ key^T * scale))  @ value``, masked by ``block_mask``.

    Args:
        query: (B, Hq, L, E).
        key, value: (B, Hkv, S, E) and (B, Hkv, S, Ev), or with one batch for all;
            ``enable_gqa``: Hkv divides Hq, and each of their heads serves several queries' heads.
        return_lse: also the logarithm of the sum of the exponentials (B, Hq, L).
        return_aux: the same as an ``AuxOutput``, and the largest scores.

    Raises ``ValueError`` or ``NotImplementedError`` for shapes that do not fit.  A query that sees
    no key gets zeros.
    """
    q: Any = query
    k: Any = key
    v: Any = value
    _check(q, k, v, enable_gqa)
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    k, v = k.expand(q.shape[0], -1, -1, -1), v.expand(q.shape[0], -1, -1, -1)
    kind = q.dtype if q.dtype.itemsize > 4 else FUNCTIONS["tensor"](0.0).float().dtype
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = (q @ k.transpose(-2, -1)).to(kind) * factor
    shape = tuple(scores.shape)
    at = _indices(q.shape[0], q.shape[1], q.shape[2], k.shape[2], q.device)
    if score_mod is not None:
        scores = _over(score_mod(scores, *at), shape, "score_mod").to(kind)
    if block_mask is not None:
        _fits(block_mask, shape)
        seen = _over(block_mask.mask_mod(*at), shape, "mask_mod")
        scores = scores.masked_fill(~seen, -math.inf)
    unseen = (scores == -math.inf).all(-1, keepdim=True)
    weights = scores.softmax(-1).masked_fill(unseen, 0.0)
    out = weights.to(q.dtype) @ v
    if return_aux is None and not return_lse:
        return out
    lse = scores.logsumexp(-1).masked_fill(unseen.squeeze(-1), -math.inf)
    if return_aux is None:
        return out, lse
    largest = scores.amax(-1).detach()
    return out, AuxOutput(
        lse if return_aux.lse else None, largest if return_aux.max_scores else None
    )


def _check(q: Any, k: Any, v: Any, enable_gqa: bool) -> None:
    """PyTorch's conditions on the three."""
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{q.dtype}, key.dtype: {k.dtype}, and value.dtype: {v.dtype} instead."
        )
    if not q.dim() == k.dim() == v.dim() == 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    if q.shape[0] != k.shape[0] and not (q.shape[0] > 1 and k.shape[0] == 1):
        raise RuntimeError(f"Bq and Bkv must broadcast. Got Bq={q.shape[0]} and Bkv={k.shape[0]}")
    if not enable_gqa and q.shape[1] != k.shape[1]:
        raise ValueError(
            "Expect query and key/value to have the same number of heads but got "
            f"Hq={q.shape[1]} and Hkv={k.shape[1]}. "
            "Try setting enable_gqa=True for GQA."
        )
    if q.shape[1] % k.shape[1]:
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={q.shape[1]} and Hkv={k.shape[1]}."
        )
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            "Expect query and key/value to have the same embedding dimension and key and value the "
            f"same length, got {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )


def _fits(mask: BlockMask, shape: tuple[int, ...]) -> None:
    """Whether a mask covers the scores."""
    batch, heads = (*(1, 1), *mask.shape[:-2])[-2:]
    for name, have, want in (("batch", batch, shape[0]), ("heads", heads, shape[1])):
        if have not in (1, want):
            raise ValueError(
                f"block_mask has {have} for the dimension of {name}, the scores have {want}; pass "
                "None there for a mask that is the same for all"
            )
    queries, keys = mask.seq_lengths
    if shape[2] > queries or shape[3] > keys:
        raise ValueError(
            f"block_mask was created for block_mask.shape={mask.shape} but got "
            f"q_len={shape[2]} and kv_len={shape[3]}. As the block mask was created for a smaller "
            "length than you're using it for, you likely need to create a new block mask."
        )
    if (shape[2], shape[3]) != (queries, keys):
        raise ValueError(
            f"block_mask was created for block_mask.shape={mask.shape} but got "
            f"q_len={shape[2]} and kv_len={shape[3]}. As the block mask was created for a larger "
            "length than you're using it for, you can either 1. create a new block mask with the "
            "correct length, or 2. 'adjust' the existing block mask to the correct length by "
            "calling block_mask._adjust(q_len, kv_len)."
        )
