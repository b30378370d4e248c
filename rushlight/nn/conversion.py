"""Moving and converting what a module holds: ``to``, ``float``, ``cuda`` and their kin."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self

from .. import engine
from ..base.device import device as Device
from ..base.dtype import dtype as DType
from ..engine import Tensor
from ..engine.grads import forget
from ..tensor.creation import empty_like


class Convertible:
    """The part of `Module` that changes its tensors, in place: parameters stay the same objects."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """The parameters."""
        raise NotImplementedError

    def children(self) -> Iterator[Any]:
        """The children."""
        raise NotImplementedError

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        if recurse:
            for module in self.children():
                module._apply(fn)
        before = engine.set_grad_enabled(False)
        try:
            for param in self._parameters.values():
                if param is None:
                    continue
                grad = param.grad
                applied = fn(param)
                if applied is not param:
                    param.data = applied
                if grad is not None:
                    grad_applied = fn(grad)
                    if grad_applied is not grad:
                        param.grad = grad_applied.requires_grad_(grad.requires_grad)
            for name, buf in self._buffers.items():
                if buf is not None:
                    self._buffers[name] = fn(buf)
        finally:
            engine.set_grad_enabled(before)
        return self

    def cuda(self, device: int | Device | None = None) -> Self:
        """Move parameters and buffers to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type: DType | str) -> Self:
        """Convert parameters and buffers."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Floating parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Floating parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Floating parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Self:
        """Floating parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, convert floating parameters to a dtype, or both; in place."""
        device, dtype, non_blocking, layout = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex "
                f"dtypes, but got desired dtype={dtype}"
            )

        def convert(t: Any) -> Any:
            kind = dtype if t.is_floating_point() else None
            if device is None and (kind is None or kind is t.dtype) and layout is None:
                return t
            extra = {"memory_format": layout} if layout is not None and t.dim() in (4, 5) else {}
            return t.to(device=t.device if device is None else device, dtype=kind or t.dtype,
                        non_blocking=non_blocking, **extra)  # fmt: skip

        return self._apply(convert)

    def to_empty(self, *, device: str | Device | None, recurse: bool = True) -> Self:
        """Parameters and buffers of the same kind on a device, with memory that is not filled."""
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def share_memory(self) -> Self:
        """Put parameters and buffers into memory that processes share."""
        return self._apply(lambda t: t.share_memory_())

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether gradients are computed for the parameters."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        if self.__dict__.get("_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. "
                "The parameters are copied (in a differentiable manner) from the original module. "
                "This means they are not leaf nodes in autograd and so don't accumulate gradients. "
                "If you need gradients in your forward method, consider using autograd.grad "
                "instead.",
                stacklevel=2,
            )
        if set_to_none:
            forget(self.parameters())
            return
        for p in self.parameters():
            zero_grad(p, False)


def zero_grad(p: Any, set_to_none: bool) -> None:
    """Forget one tensor's gradient, or set it to zero in place."""
    grad = p.grad
    if grad is None:
        return
    if set_to_none:
        p.grad = None
        return
    if grad.grad_fn is not None:
        grad.detach_()
    else:
        grad.requires_grad_(False)
    grad.zero_()


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Device | None, DType | None, bool, Any]:
    """The arguments of ``to``: device, dtype, tensor, non_blocking, in PyTorch's three forms."""
    device: Device | None = None
    dtype: DType | None = None
    layout = kwargs.pop("memory_format", None)
    kwargs.pop("copy", None)
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        device, dtype = other.device, other.dtype
    elif rest and isinstance(rest[0], DType):
        dtype = rest.pop(0)
    else:
        if (
            rest
            and (rest[0] is None or isinstance(rest[0], str | int | Device))
            and not isinstance(rest[0], bool)
        ):
            given = rest.pop(0)
            device = None if given is None else Device(given)
        if rest and (rest[0] is None or isinstance(rest[0], DType)):
            dtype = rest.pop(0)
    non_blocking = bool(rest.pop(0)) if rest else False
    tensor = kwargs.pop("tensor", None)
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    given = kwargs.pop("device", None)
    device = Device(given) if given is not None else device
    dtype = kwargs.pop("dtype", None) or dtype
    non_blocking = kwargs.pop("non_blocking", non_blocking)
    if rest or kwargs:
        raise TypeError(f"to() received an invalid combination of arguments: {args}, {kwargs}")
    return device, dtype, non_blocking, layout
