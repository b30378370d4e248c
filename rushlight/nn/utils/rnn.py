"""Sequences of several lengths: padded to one length, or packed step after step without padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...base.device import CPU
from ...engine import Tensor
from ...tensor.creation import arange, as_tensor
from ...tensor.join import cat

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Steps of all sequences, the longest first: ``data`` (sum of lengths, *), and for each step
    how many sequences reach it (``batch_sizes``, on the CPU).

    ``sorted_indices`` says where each sequence stood before they were ordered by length.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            if not (isinstance(data, list | tuple) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. "
                "Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def pin_memory(self) -> Self:
        """The same, where transfers to a GPU are quick."""
        return self._with(lambda t: t.pin_memory())

    def _with(self, each: Any) -> Self:
        return type(self)(
            each(self.data),
            self.batch_sizes,
            None if self.sorted_indices is None else each(self.sorted_indices),
            None if self.unsorted_indices is None else each(self.unsorted_indices),
        )

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """``data`` converted or moved, and the indices moved with it; itself if nothing changes."""
        own: Any = self.data
        data = own.to(*args, **kwargs)
        if data is own:
            return self
        return type(self)(
            data,
            self.batch_sizes,
            _moved(self.sorted_indices, data.device),
            _moved(self.unsorted_indices, data.device),
        )

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """Moved to a GPU."""
        return self.to(*args, **{"device": "cuda", **kwargs})

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """Moved to the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def double(self) -> Self:
        """As float64."""
        return self.to(dtype=dt.float64)

    def float(self) -> Self:
        """As float32."""
        return self.to(dtype=dt.float32)

    def half(self) -> Self:
        """As float16."""
        own: Any = self.data
        return self.to(dtype=own.half().dtype)

    def long(self) -> Self:
        """As int64."""
        return self.to(dtype=dt.int64)

    def int(self) -> Self:
        """As int32."""
        return self.to(dtype=dt.int32)

    def short(self) -> Self:
        """As int16."""
        return self.to(dtype=dt.int16)

    def char(self) -> Self:
        """As int8."""
        return self.to(dtype=dt.int8)

    def byte(self) -> Self:
        """As uint8."""
        return self.to(dtype=dt.uint8)

    @property
    def is_cuda(self) -> bool:
        """Is the data in a GPU's memory?"""
        return bool(self.data.device.type == "cuda")

    def is_pinned(self) -> bool:
        """Is the data in pinned memory?"""
        own: Any = self.data
        return bool(own.is_pinned())


def _moved(indices: Any, device: Any) -> Any:
    return None if indices is None else indices.to(device)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Where each entry went: ``inverse[permutation[i]] = i``."""
    if permutation is None:
        return None
    order: Any = permutation
    return order.argsort()  # type: ignore[no-any-return]


def _order_of_steps(lengths: Any, batch: int) -> tuple[Any, Any]:
    """Flat places (step * batch + sequence) of what is not padding, and the size of each step."""
    steps = int(lengths[0])
    sizes = (lengths[None, :] > np.arange(steps)[:, None]).sum(1)
    places = np.concatenate([t * batch + np.arange(n) for t, n in enumerate(sizes)])
    return places.astype(np.int64), sizes.astype(np.int64)


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack (T, B, *), or (B, T, *) with ``batch_first``, whose sequences have ``lengths``.

    ``enforce_sorted``: the lengths already descend; else the sequences are ordered here.
    """
    x: Any = input
    size: Any = as_tensor(lengths, dtype=dt.int64)
    order: Any = None
    if not enforce_sorted:
        size, order = size.sort(descending=True)
        order = order.to(x.device)
        x = x.index_select(0 if batch_first else 1, order)
    if batch_first:
        x = x.transpose(0, 1)
    counts = engine.read(size)
    batch = x.shape[1]
    if counts.size == 0 or x.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(counts) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={batch})"
        )
    if (counts[:-1] < counts[1:]).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if counts[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if counts[0] > x.shape[0]:
        raise RuntimeError(
            f"Expected the longest length to be at most {x.shape[0]}, the padded length, but got "
            f"{counts[0]}"
        )
    _, sizes = _order_of_steps(counts, batch)
    steps = [x[t, :n] for t, n in enumerate(sizes.tolist())]
    return PackedSequence(cat(steps, 0), engine.from_array(sizes, dt.int64, CPU), order, None)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded sequences (T, B, *) or (B, T, *), and their lengths, in their original order."""
    sizes = engine.read(sequence.batch_sizes)
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length "
                "of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    data: Any = sequence.data
    batch = int(sizes[0])
    first = np.zeros(longest, np.int64)
    first[1 : len(sizes)] = np.cumsum(sizes)[:-1]
    places = first[:, None] + np.arange(batch)[None, :]
    counts = np.zeros(longest, np.int64)
    counts[: len(sizes)] = sizes
    there = np.arange(batch)[None, :] < counts[:, None]
    where = engine.from_array(np.where(there, places, 0), dt.int64, data.device)
    mask: Any = engine.from_array(~there, dt.bool_, data.device)
    out: Any = data[where].masked_fill(
        mask.reshape(longest, batch, *[1] * (data.dim() - 1)), padding_value
    )
    lengths: Any = engine.from_array(there.sum(0).astype(np.int64), dt.int64, CPU)
    if batch_first:
        out = out.transpose(0, 1)
    order: Any = sequence.unsorted_indices
    if order is not None:
        return out.index_select(0 if batch_first else 1, order), lengths[order.cpu()]
    return out, lengths


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (length, *) as one tensor (T, B, *) or (B, T, *), padded at one side."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    given: list[Any] = list(sequences)
    if not given:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(x.shape[0] for x in given)
    rest = tuple(given[0].shape[1:])
    parts = []
    for x in given:
        if tuple(x.shape[1:]) != rest:
            raise RuntimeError(
                f"pad_sequence: sequences differ beyond their first dimension: {list(x.shape[1:])} "
                f"and {list(rest)}"
            )
        short = longest - x.shape[0]
        if short:
            fill = x.new_full((short, *rest), padding_value)
            x = cat([x, fill] if padding_side == "right" else [fill, x], 0)
        parts.append(x.unsqueeze(0 if batch_first else 1))
    return cat(parts, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded tensor without their padding."""
    x: Any = padded_sequences
    if not batch_first:
        x = x.transpose(0, 1)
    places: Any = arange(x.shape[1], device=lengths.device)
    return [row[places < n] for row, n in zip(x, lengths, strict=True)]  # type: ignore[call-overload]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (length, *)."""
    lengths = [v.shape[0] for v in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed one, in their original order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
