"""Convolutions and transposed convolutions over one, two or three dimensions in space."""

from __future__ import annotations

from collections.abc import Sequence

from ... import engine
from ...base.shape import Ints
from ...engine import Tensor, apply
from ...graph.ops import convolve as rows
from ...graph.ops import elementwise as ew
from ...graph.ops import movement
from ...graph.shaping import NAMES

Sizes = int | Sequence[int]


def per_dimension(value: Sizes, name: str, space: int) -> Ints:
    """One number for each dimension in space; PyTorch's words where there are too few or many."""
    if isinstance(value, int):
        return (value,) * space
    given = tuple(int(n) for n in value)
    if len(given) == 1:
        return given * space
    if len(given) != space:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {space} values to match "
            f"the convolution dimensions, but got {name}={list(given)}"
        )
    return given


def _batched(x: Tensor, space: int, name: str) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had one."""
    rank = len(x.shape)
    if rank not in (space + 1, space + 2):
        raise RuntimeError(
            f"Expected {space + 1}D (unbatched) or {space + 2}D (batched) input to {name}, but got "
            f"input of size: {list(x.shape)}"
        )
    if rank == space + 2:
        return x, True
    return engine.view(movement.unsqueeze, x, 0), False


def _check_sizes(stride: Ints, padding: Ints, dilation: Ints, groups: int) -> None:
    if any(n < 0 for n in padding):
        raise RuntimeError("negative padding is not supported")
    if any(n <= 0 for n in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(n <= 0 for n in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def _of_one_type(x: Tensor, w: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The operands, which autocast converts; otherwise they have to be of one type."""
    x, w, bias = engine.lowered(x, w, bias)
    if bias is not None and bias.dtype is not x.dtype:
        raise RuntimeError(
            f"Input type ({NAMES.get(x.dtype.name, x.dtype.name)}) and bias type "
            f"({NAMES.get(bias.dtype.name, bias.dtype.name)}) should be the same"
        )
    if x.dtype is not w.dtype:
        raise RuntimeError(
            f"expected scalar type {x.dtype.typename} but found {w.dtype.typename}: input and "
            "weight of a convolution have to be of one type"
        )
    return x, w, bias


def _check_weight(w: Tensor, groups: int) -> None:
    shape = list(w.shape)
    if shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {shape} instead"
        )
    if shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{shape}] instead"
        )
    if 0 in shape[2:]:
        raise RuntimeError(f"kernel size should be greater than zero, but got {shape[2:]}")


def _check_bias(w: Tensor, bias: Tensor | None, channels: int, start: str) -> None:
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"Given {start}weight of size {list(w.shape)}, expected bias to be 1-dimensional with "
            f"{channels} elements, but got bias of size {list(bias.shape)} instead"
        )


def _rank(x: Tensor, w: Tensor, space: int) -> None:
    if len(w.shape) != space + 2:
        raise RuntimeError(
            f"Expected {len(w.shape)}-dimensional input for {len(w.shape)}-dimensional weight "
            f"{list(w.shape)}, but got {len(x.shape)}-dimensional input of size {list(x.shape)} "
            "instead"
        )


def _empty_space(x: Tensor) -> None:
    if 0 in x.shape[2:]:
        raise RuntimeError(
            "Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{list(x.shape)}"
        )


def _same(x: Tensor, w: Tensor, stride: Ints, dilation: Ints) -> rows.Pads:
    if any(n != 1 for n in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
    return tuple((n // 2, n - n // 2) for n in total)


def _convolved(
    space: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes,
    padding: Sizes | str, dilation: Sizes, groups: int,
) -> Tensor:  # fmt: skip
    x, batched = _batched(input, space, f"conv{space}d")
    along = per_dimension(stride, "stride", max(len(weight.shape) - 2, 1))
    wide = per_dimension(dilation, "dilation", max(len(weight.shape) - 2, 1))
    _rank(x, weight, space)
    if isinstance(padding, str):
        _check_sizes(along, (), wide, groups)
        if padding not in ("same", "valid"):
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        pads = _same(x, weight, along, wide) if padding == "same" else ((0, 0),) * space
    else:
        around = per_dimension(padding, "padding", space)
        _check_sizes(along, around, wide, groups)
        pads = tuple((n, n) for n in around)
    _check_weight(weight, groups)
    shape = x.shape
    if shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected "
            f"input{list(shape)} to have {weight.shape[1] * groups} channels, but got {shape[1]} "
            "channels instead"
        )
    _check_bias(weight, bias, weight.shape[0], "")
    inside = [n + a + b for n, (a, b) in zip(shape[2:], pads, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(wide, weight.shape[2:], strict=True)]
    if any(n < r for n, r in zip(inside, reach, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, inside))}). "
            f"Kernel size: ({' x '.join(map(str, reach))}). Kernel size can't be greater than "
            "actual input size"
        )
    _empty_space(x)
    x, weight, bias = _of_one_type(x, weight, bias)
    arg = (along, pads, wide, groups)
    if bias is None:
        made = apply(rows.convolve, x, weight, arg=arg)
    else:
        made = apply(rows.convolution, x, weight, bias, arg=arg)
    return made if batched else engine.view(movement.squeeze, made, (0,))


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """(N, C, L) with (O, C / groups, K) to (N, O, L'); ``padding`` may be "same" or "valid"."""
    return _convolved(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """(N, C, H, W) with (O, C / groups, kH, kW) to (N, O, H', W'); (C, H, W) without a batch.

    Example:
        >>> conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).tolist()
        [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    return _convolved(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """(N, C, D, H, W) with (O, C / groups, kD, kH, kW) to (N, O, D', H', W')."""
    return _convolved(3, input, weight, bias, stride, padding, dilation, groups)


# ---------------------------------------------------------------- transposed
def _named(name: str, values: Ints) -> str:
    words = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}[len(values)]
    return " ".join(f"{name}_{word}: {n}" for word, n in zip(words, values, strict=True))


def _transposed(
    space: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes,
    output_padding: Sizes, groups: int, dilation: Sizes,
) -> Tensor:  # fmt: skip
    x, batched = _batched(input, space, f"conv_transpose{space}d")
    along = per_dimension(stride, "stride", max(len(weight.shape) - 2, 1))
    around = per_dimension(padding, "padding", max(len(weight.shape) - 2, 1))
    more = per_dimension(output_padding, "output_padding", max(len(weight.shape) - 2, 1))
    wide = per_dimension(dilation, "dilation", max(len(weight.shape) - 2, 1))
    _rank(x, weight, space)
    _check_sizes(along, around, wide, groups)
    if any(n < 0 for n in more):
        raise RuntimeError("negative output_padding is not supported")
    _check_weight(weight, groups)
    if x.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected "
            f"input{list(x.shape)} to have {weight.shape[0]} channels, but got {x.shape[1]} "
            "channels instead"
        )
    _check_bias(weight, bias, weight.shape[1] * groups, "transposed=1, ")
    if any(m >= s and m >= d for m, s, d in zip(more, along, wide, strict=True)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"{_named('output_padding', more)} {_named('stride', along)} "
            f"{_named('dilation', wide)}"
        )
    _empty_space(x)
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + m
        for n, s, p, d, k, m in zip(
            x.shape[2:], along, around, wide, weight.shape[2:], more, strict=True
        )
    )
    if any(n < 1 for n in size):
        raise RuntimeError(
            f"Given input size per channel: ({' x '.join(map(str, x.shape[2:]))}). Calculated "
            f"output size per channel: ({' x '.join(map(str, size))}). Output size is too small"
        )
    x, weight, bias = _of_one_type(x, weight, bias)
    pads = tuple((p, p - m) for p, m in zip(around, more, strict=True))
    made = apply(rows.convolve_input, x, weight, arg=(along, pads, wide, groups, size))
    if bias is not None:
        numbers = engine.view(movement.view, bias, (-1, *(1,) * space))
        made = apply(ew.add, made, numbers)
    return made if batched else engine.view(movement.squeeze, made, (0,))


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """(N, C, L) with (C, O / groups, K) to (N, O, L'): the gradient of ``conv1d`` as a function."""
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """(N, C, H, W) with (C, O / groups, kH, kW) to (N, O, H', W')."""
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """(N, C, D, H, W) with (C, O / groups, kD, kH, kW) to (N, O, D', H', W')."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """(T, N, C) with (K, C, O) and (O,): a convolution over the first dimension, (T', N, O)."""
    x = engine.view(movement.permute, input, (1, 2, 0))
    w = engine.view(movement.permute, weight, (2, 1, 0))
    return engine.view(movement.permute, conv1d(x, w, bias, padding=pad), (2, 0, 1))
