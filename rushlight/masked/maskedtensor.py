"""Masked tensors: values of which some are not there; what is computed is of those that are.

    data = torch.tensor([1.0, float("nan"), 3.0])
    x = torch.masked.masked_tensor(data, ~data.isnan())
    x.mean()                       # MaskedTensor(  2.0000, True)

A masked tensor holds a tensor and a mask, and is none itself: a function that does not know masked
tensors says so instead of computing with what is not there.  The functions of `torch` that know
them take them from the first use of `torch.masked.masked_tensor` on.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.tensor import FUNCTIONS

__all__ = ["MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"]

UNARY: Final = (
    "abs absolute acos arccos acosh arccosh angle asin arcsin asinh arcsinh atan arctan "
    "atanh arctanh bitwise_not ceil clamp clip conj_physical cos cosh deg2rad digamma erf "
    "erfc erfinv exp exp2 expm1 fix floor frac lgamma log log10 log1p log2 logit i0 isnan "
    "nan_to_num neg negative positive pow rad2deg reciprocal round rsqrt sigmoid sign sgn "
    "signbit sin sinc sinh sqrt square tan tanh trunc clone"
)
BINARY: Final = (
    "add atan2 arctan2 bitwise_and bitwise_or bitwise_xor bitwise_left_shift "
    "bitwise_right_shift div divide floor_divide fmod logaddexp logaddexp2 mul multiply "
    "nextafter remainder sub subtract true_divide eq ne le ge greater greater_equal gt "
    "less_equal lt less maximum minimum fmax fmin not_equal"
)
NO_WRITE: Final = (
    "angle positive signbit isnan clone logaddexp logaddexp2 fmin minimum maximum fmax"
)
REDUCE: Final = "sum mean amin amax argmin argmax prod norm var std"
PASS: Final = (
    "select transpose split t expand view reshape ravel flatten squeeze unsqueeze unfold "
    "permute contiguous"
)
JOIN: Final = ("cat", "stack")
_KINDS: Final = (
    dt.float16, dt.float32, dt.float64, dt.bool_, dt.int8, dt.int16, dt.int32, dt.int64,
)  # fmt: skip
_NOTE: Final = (
    "The PyTorch API of MaskedTensors is in prototype stage and will change in the near future."
)


def is_masked_tensor(obj: Any, /) -> bool:
    """Whether something is a masked tensor."""
    return isinstance(obj, MaskedTensor)


def _checked(data: Any, mask: Any) -> None:
    for what, x in (("data", data), ("mask", mask)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{what} must be a Tensor")
    if mask.dtype is not dt.bool_:
        raise TypeError("mask must have dtype bool.")
    if data.dtype not in _KINDS:
        raise TypeError(f"{data.dtype} is not supported in MaskedTensor.")
    if len(data.shape) != len(mask.shape):
        raise ValueError("data.dim() must equal mask.dim()")
    if tuple(data.shape) != tuple(mask.shape):
        raise ValueError("data.size() must equal mask.size()")


class MaskedTensor:
    """A tensor and a mask of its shape: where the mask is False, nothing is there.

    Args:
        data: the values, copied; floats, integers or bools.
        mask: bool, of the same shape, copied.
        requires_grad: collect gradients in `.grad`, a masked tensor too.
    """

    def __init__(self, data: Any, mask: Any, requires_grad: bool = False) -> None:
        _checked(data, mask)
        warnings.warn(_NOTE, UserWarning, stacklevel=2)
        if data.requires_grad:
            warnings.warn(
                "It is not recommended to create a MaskedTensor with a tensor that requires_grad. "
                "To avoid this, you can use data.detach().clone()",
                UserWarning,
                stacklevel=2,
            )
        self._data: Any = data.detach().clone().requires_grad_(requires_grad)
        self._mask: Any = mask.clone()

    @classmethod
    def _of(cls, data: Any, mask: Any) -> MaskedTensor:
        made = cls.__new__(cls)
        made._data, made._mask = data, mask
        return made

    def get_data(self) -> Any:
        """The values; what stands where the mask is False means nothing."""
        return self._data

    def get_mask(self) -> Any:
        """The mask: True for what is there."""
        return self._mask

    def to_tensor(self, value: Any) -> Any:
        """A plain tensor with `value` for what is not there."""
        return self._data.masked_fill(~self._mask, value)

    # ------------------------------------------------------------ what it is
    def __getattr__(self, name: str) -> Any:
        if name in _ASKED.split():
            return getattr(self._data, name)
        raise AttributeError(
            f"'MaskedTensor' object has no attribute {name!r}: use get_data(), get_mask() or "
            "to_tensor(value)"
        )

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def item(self) -> Any:
        """The one value."""
        return self._data.item()

    def __repr__(self) -> str:
        if not self._data.shape:
            there = self._mask.item()
            return f"MaskedTensor({_word(self._data.item()) if there else '--'}, {there})"
        lines = _text(self._data.tolist(), self._mask.tolist()).split("\n")
        return "MaskedTensor(\n" + "\n".join("  " + line for line in lines) + "\n)"

    # ------------------------------------------------------------ gradients
    @property
    def grad(self) -> MaskedTensor | None:
        """The gradient collected so far, with this tensor's mask."""
        found = self._data.grad
        return None if found is None else MaskedTensor._of(found, self._mask)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._data.grad = value._data if isinstance(value, MaskedTensor) else value

    def backward(self, gradient: Any = None, **kwargs: Any) -> None:
        """Add the gradients of this scalar (of `gradient * self` otherwise) to `.grad`."""
        g = gradient.to_tensor(0) if isinstance(gradient, MaskedTensor) else gradient
        self._data.backward(g, **kwargs)

    def requires_grad_(self, requires_grad: bool = True) -> MaskedTensor:
        """Collect gradients from here on."""
        self._data.requires_grad_(requires_grad)
        return self

    def detach(self) -> MaskedTensor:
        """The same without history."""
        return MaskedTensor._of(self._data.detach(), self._mask)

    # ------------------------------------------------------------ parts and kinds
    def __getitem__(self, key: Any) -> MaskedTensor:
        return MaskedTensor._of(self._data[key], self._mask[key])

    def to(self, *args: Any, **kwargs: Any) -> MaskedTensor:
        """In another type."""
        return MaskedTensor._of(self._data.to(*args, **kwargs), self._mask)

    def softmax(self, dim: int, dtype: Any = None) -> MaskedTensor:
        """Softmax of what is there."""
        return _softmax("softmax", self, dim, dtype)

    def log_softmax(self, dim: int, dtype: Any = None) -> MaskedTensor:
        """The logarithm of the softmax of what is there."""
        return _softmax("log_softmax", self, dim, dtype)

    def all(self, dim: Any = None, keepdim: bool = False) -> MaskedTensor:
        """Whether all that are there are true."""
        held = self._data.bool() | ~self._mask
        return MaskedTensor._of(held.all(dim, keepdim), _any(self._mask, dim, keepdim))


_ASKED: Final = (
    "dtype shape device ndim requires_grad is_leaf grad_fn layout dim size numel nelement "
    "stride is_floating_point is_contiguous element_size itemsize"
)


# ---------------------------------------------------------------- text
def _word(value: Any) -> str:
    return f"{value:8.4f}" if isinstance(value, float) else str(value)


def _text(values: Any, mask: Any) -> str:
    if not values or not isinstance(values[0], list):
        words = [_word(v) for v in values]
        width = max([len(w) if m else 8 for w, m in zip(words, mask)], default=0)
        shown = [w if m else "--".rjust(width) for w, m in zip(words, mask)]
        return "[" + ", ".join(shown) + "]"
    parts = [_text(v, m) for v, m in zip(values, mask)]
    inner = ["\n".join("  " + line for line in part.split("\n")) for part in parts]
    return "[\n" + ",\n".join(inner) + "\n]"


# ---------------------------------------------------------------- operations
def _data(x: Any) -> Any:
    return x._data if isinstance(x, MaskedTensor) else x


def _unary(name: str) -> Any:
    def f(self: MaskedTensor, *args: Any, **kwargs: Any) -> MaskedTensor:
        plain = [_data(a) for a in args]
        named = {k: _data(a) for k, a in kwargs.items()}
        return MaskedTensor._of(FUNCTIONS[name](self._data, *plain, **named), self._mask)

    return f


def _same_masks(a: Any, b: Any) -> Any:
    """The mask of two operands, which have the same where both have one."""
    if not isinstance(a, MaskedTensor):
        return b._mask
    if isinstance(b, MaskedTensor) and (
        tuple(a._mask.shape) != tuple(b._mask.shape) or not bool((a._mask == b._mask).all())
    ):
        raise ValueError(
            "Input masks must match. If you need support for this, please open an issue on Github."
        )
    return a._mask


def _binary(name: str, a: Any, b: Any, **kwargs: Any) -> MaskedTensor:
    mask = _same_masks(a, b)
    made = FUNCTIONS[name](_data(a), _data(b), **kwargs)
    if tuple(made.shape) != tuple(mask.shape):
        mask = mask.expand(made.shape)
    return MaskedTensor._of(made, mask)


def _pair(name: str) -> Any:
    return lambda self, other, **kwargs: _binary(name, self, other, **kwargs)


def _writing(name: str, pair: bool) -> Any:
    def f(self: MaskedTensor, *args: Any, **kwargs: Any) -> MaskedTensor:
        if pair and args:
            _same_masks(self, args[0])
        getattr(self._data, name)(*(_data(a) for a in args), **kwargs)
        return self

    return f


def _any(mask: Any, dim: Any, keepdim: bool) -> Any:
    if dim is None:
        return mask.any()
    return mask.any(dim=dim, keepdim=keepdim)


def _reduced(name: str) -> Any:
    def f(
        self: MaskedTensor, dim: Any = None, keepdim: bool = False, *more: Any, **kwargs: Any
    ) -> MaskedTensor:
        masked = sys.modules["rushlight.masked"]
        if name == "norm":  # norm(p, dim, keepdim)
            order, dim = dim, (keepdim if keepdim is not False else None)
            keepdim = bool(more[0]) if more else bool(kwargs.pop("keepdim", False))
            made = masked.norm(self._data, order, dim, keepdim=keepdim, mask=self._mask)
            return MaskedTensor._of(made, _any(self._mask, dim, keepdim))
        made = getattr(masked, name)(self._data, dim, keepdim=keepdim, mask=self._mask, **kwargs)
        return MaskedTensor._of(made, _any(self._mask, dim, keepdim))

    return f


def _passed(name: str) -> Any:
    def f(self: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
        made = getattr(self._data, name)(*args, **kwargs)
        mask = getattr(self._mask, name)(*args, **kwargs)
        if isinstance(made, tuple | list):
            return tuple(MaskedTensor._of(d, m) for d, m in zip(made, mask))
        return MaskedTensor._of(made, mask)

    return f


def _joined(name: str) -> Any:
    def f(tensors: Any, dim: int = 0) -> MaskedTensor:
        for x in tensors:
            if not isinstance(x, MaskedTensor):
                raise TypeError(f"{name}: every one has to be a MaskedTensor, or none")
        data = FUNCTIONS[name]([x._data for x in tensors], dim)
        return MaskedTensor._of(data, FUNCTIONS[name]([x._mask for x in tensors], dim))

    return f


def _softmax(name: str, x: MaskedTensor, dim: int, dtype: Any) -> MaskedTensor:
    f = getattr(sys.modules["rushlight.masked"], name)
    return MaskedTensor._of(f(x._data, dim, dtype=dtype, mask=x._mask), x._mask)


def where(condition: Any, input: Any, other: Any) -> MaskedTensor:
    """`input` where the condition holds, else `other`: values and masks; both are masked."""
    if not isinstance(input, MaskedTensor) or not isinstance(other, MaskedTensor):
        raise ValueError("masked_where: input and other have to be MaskedTensors")
    choose = FUNCTIONS["where"]
    condition = _data(condition)
    mask = choose(condition, input._mask, other._mask)
    return MaskedTensor._of(choose(condition, input._data, other._data), mask)


def _define() -> None:
    for name in UNARY.split():
        setattr(MaskedTensor, name, _unary(name))
    for name in BINARY.split():
        setattr(MaskedTensor, name, _pair(name))
    for names, pair in ((UNARY, False), (BINARY, True)):
        for name in names.split():
            if name not in NO_WRITE.split() and hasattr(Tensor, name + "_"):
                setattr(MaskedTensor, name + "_", _writing(name + "_", pair))
    for name in REDUCE.split():
        setattr(MaskedTensor, name, _reduced(name))
    for name in PASS.split():
        setattr(MaskedTensor, name, _passed(name))
    for name in ("float", "double", "half", "int", "long", "short", "bool"):
        setattr(MaskedTensor, name, lambda self, kind=name: MaskedTensor._of(
            getattr(self._data, kind)(), self._mask
        ))  # fmt: skip
    named = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "mod": "remainder",
             "floordiv": "floor_divide", "and": "bitwise_and", "or": "bitwise_or",
             "xor": "bitwise_xor"}  # fmt: skip
    for python, name in named.items():
        setattr(MaskedTensor, f"__{python}__", _pair(name))
        setattr(MaskedTensor, f"__r{python}__", lambda a, b, of=name: _binary(of, _full(b, a), a))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(MaskedTensor, f"__{name}__", _pair(name))
    setattr(MaskedTensor, "__hash__", object.__hash__)
    setattr(MaskedTensor, "__pow__", _unary("pow"))
    setattr(MaskedTensor, "__neg__", _unary("neg"))
    setattr(MaskedTensor, "__abs__", _unary("abs"))
    setattr(MaskedTensor, "__invert__", _unary("bitwise_not"))


def _full(x: Any, like: MaskedTensor) -> Any:
    """A number as a tensor without dimensions, where a function needs a tensor first."""
    return x if isinstance(x, Tensor) else engine.full((), x, like._data.dtype, like._data.device)


_define()


# ---------------------------------------------------------------- functions of torch
def _asking(plain: Callable[..., Any], name: str) -> Callable[..., Any]:
    pair = name in BINARY.split()
    own: Any = _joined(name) if name in JOIN else where if name == "where" else None

    def f(*args: Any, **kwargs: Any) -> Any:
        for a in args:
            if isinstance(a, MaskedTensor) or (
                own is not None and isinstance(a, tuple | list) and any(map(is_masked_tensor, a))
            ):
                if own is not None:
                    return own(*args, **kwargs)
                if isinstance(args[0], MaskedTensor):
                    return getattr(MaskedTensor, name)(*args, **kwargs)
                if pair:
                    return _binary(name, *args, **kwargs)
        return plain(*args, **kwargs)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = plain.__doc__
    setattr(f, "__wrapped__", plain)
    return f


_INSTALLED: Final[list[bool]] = []


def install() -> None:
    """Let the functions of `torch` know masked tensors."""
    if _INSTALLED:
        return
    _INSTALLED.append(True)
    space = vars(sys.modules["rushlight"])
    more = (*JOIN, "where", "all", "softmax", "log_softmax")
    for name in (*f"{UNARY} {BINARY} {REDUCE} {PASS}".split(), *more):
        if name in FUNCTIONS or name in space:
            space[name] = _asking(space.get(name) or FUNCTIONS[name], name)


# ---------------------------------------------------------------- making them
def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
    """A masked tensor of copies of `data` and `mask`; see `MaskedTensor`."""
    return MaskedTensor(data, mask, requires_grad)


def as_masked_tensor(data: Any, mask: Any) -> MaskedTensor:
    """A masked tensor of `data` itself: gradients go to `data`, none to what is not there."""
    _checked(data, mask)
    held = data
    if data.requires_grad:  # a gradient that is not finite stays away from what is not there
        held = FUNCTIONS["where"](mask, data, data.detach())
    return MaskedTensor._of(held, mask)
