"""From PyTorch to Rushlight: values, functions and modules, and the comparison of what they give.

Tensors become NumPy copies with the same strides, offset and `requires_grad`.  A function is found
by its public path; one that PyTorch's own tables define (a wrapper, a lambda) is made again with
`torch` meaning Rushlight.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch

import rushlight
from rushlight import nn as our_nn

# (relative, absolute for each unit of the largest value)
TOLERANCES: Final = {
    "torch.float64": (1e-8, 1e-10), "torch.complex128": (1e-8, 1e-10),
    "torch.float32": (3e-5, 3e-6), "torch.complex64": (3e-5, 3e-6),
}  # fmt: skip
DEFAULT_TOLERANCE: Final = (1e-2, 1e-2)

_SPACES: Final = (
    "", "Tensor", "nn.functional", "linalg", "special", "fft", "masked", "signal.windows",
)  # fmt: skip


class Missing(Exception):
    """Rushlight has no such name, dtype or kind of tensor."""


class Different(Exception):
    """Two results differ; `reason` is one of the ledger's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def lookup(root: Any, path: str) -> Any:
    """The object at a dotted path below `root`, or None."""
    for name in path.split("."):
        root = getattr(root, name, None)
        if root is None:
            return None
    return root


@functools.cache
def _public_paths() -> dict[int, str]:
    """Where PyTorch shows each function: id -> path."""
    paths: dict[int, str] = {}
    for space in _SPACES:
        holder = lookup(torch, space) if space else torch
        for name in dir(holder):
            value = getattr(holder, name, None)
            if callable(value) and not isinstance(value, type):
                paths.setdefault(id(value), f"{space}.{name}" if space else name)
    return paths


def our_function(function: Any, name: str = "") -> Callable[..., Any]:
    """Rushlight's counterpart of a function of PyTorch's or of its tables; Missing if none."""
    if isinstance(function, functools.partial):
        inner = our_function(function.func, name)
        return functools.partial(inner, *ours(function.args), **ours(function.keywords))
    if isinstance(function, types.FunctionType) and not _is_public(function):
        return _rebound(function)
    path = _public_paths().get(id(function)) or name
    found = lookup(rushlight, path) if path else None
    if found is None:
        raise Missing(path or repr(function))
    return found  # type: ignore[no-any-return]


def _is_public(function: types.FunctionType) -> bool:
    module = function.__module__ or ""
    return module.startswith("torch.") and not module.startswith("torch.testing.")


def _rebound(function: types.FunctionType) -> types.FunctionType:
    """The same code with `torch`, and the functions it calls, meaning Rushlight's."""
    table = dict(function.__globals__)
    for name in _names_used(function.__code__):
        value = table.get(name)
        if name == "freeze_rng_state":  # of PyTorch's generators; the caller seeds ours
            table[name] = contextlib.nullcontext
        elif value is torch:
            table[name] = rushlight
        elif value is torch.nn.functional:
            table[name] = our_nn.functional
        elif isinstance(value, types.FunctionType) and value is not function:
            try:
                table[name] = our_function(value)
            except Missing:
                continue  # noticed when called, if it is
    cells = None
    if function.__closure__ is not None:
        cells = tuple(types.CellType(ours(c.cell_contents)) for c in function.__closure__)
    made = types.FunctionType(
        function.__code__, table, function.__name__, ours(function.__defaults__), cells
    )
    made.__kwdefaults__ = ours(function.__kwdefaults__)
    return made


def _names_used(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_used(constant)
    return names


def our_tensor(value: torch.Tensor, memo: dict[Any, Any] | None = None) -> Any:
    """A leaf with the same elements, strides and `requires_grad`, on memory of its own; on the
    same memory as others where `memo["shared"]` has the address of its storage."""
    if value.layout is not torch.strided:
        raise Missing(f"layout {value.layout}")
    our_dtype(value.dtype)
    plain = value.detach().resolve_conj().resolve_neg()
    if plain._is_zerotensor():  # has no storage
        plain = torch.zeros(plain.shape, dtype=plain.dtype)
    flat = plain.as_strided((plain.untyped_storage().nbytes() // plain.itemsize,), (1,), 0)
    if value.dtype is torch.bfloat16:  # NumPy has no such type
        near = rushlight.from_numpy(flat.float().numpy()).to(rushlight.bfloat16)
        made = near.as_strided(tuple(plain.shape), plain.stride(), plain.storage_offset())
        return made.requires_grad_() if value.requires_grad else made
    base = flat.numpy().copy()
    address = plain.untyped_storage().data_ptr()
    shared = memo is not None and address in memo.get("shared", ())
    if shared or (plain.storage_offset() and plain.is_contiguous() and plain.numel()):
        whole = rushlight.from_numpy(base)
        if memo is not None and shared:
            whole = memo.setdefault(("storage", address), whole)
        made = whole.as_strided(tuple(plain.shape), plain.stride(), plain.storage_offset())
        return made.requires_grad_() if value.requires_grad else made
    strides = tuple(s * plain.itemsize for s in plain.stride())
    # An empty tensor may begin past its storage's end.
    start = base[plain.storage_offset() if plain.numel() else 0 :]
    array = np.lib.stride_tricks.as_strided(start, tuple(plain.shape), strides)
    made = rushlight.from_numpy(array)
    return made.requires_grad_() if value.requires_grad else made


def our_dtype(kind: torch.dtype) -> Any:
    """The dtype of the same name."""
    found = getattr(rushlight, str(kind).removeprefix("torch."), None)
    if found is None:
        raise Missing(str(kind))
    return found


def our_module(module: torch.nn.Module) -> Any:
    """A module of the same class, made with the same arguments and given the same state."""
    made_with = module.__dict__.get("_made_with")
    kind = getattr(our_nn, type(module).__name__, None)
    if kind is None or made_with is None:
        raise Missing(f"nn.{type(module).__name__}")
    made = kind(*ours(made_with[0]), **ours(made_with[1]))
    made.load_state_dict({k: our_tensor(v.detach()) for k, v in module.state_dict().items()})
    return made


def remember_constructions() -> None:
    """From now on modules of PyTorch keep the arguments they were made with."""

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        object.__setattr__(made, "_made_with", (args, kwargs))
        return made

    torch.nn.Module.__new__ = new  # type: ignore[method-assign,assignment]


def shared_storages(value: Any) -> set[int]:
    """The addresses of the storages that several tensors among the arguments have."""
    found = [t.untyped_storage().data_ptr() for t in {id(t): t for t in tensors(value)}.values()]
    return {address for address in found if address and found.count(address) > 1}


def ours(value: Any, memo: dict[Any, Any] | None = None) -> Any:
    """Anything an argument can be.  With `memo`, one tensor met twice stays one tensor."""
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, torch.nn.Module):
        return our_module(value)
    if isinstance(value, torch.Tensor):
        made = our_tensor(value, memo)
        if isinstance(value, torch.nn.Parameter):
            made = our_nn.Parameter(made.detach(), value.requires_grad)
        memo[id(value)] = made
        return made
    if isinstance(value, torch.Size):
        return rushlight.Size(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(ours(v, memo) for v in value)
    if isinstance(value, list | tuple | set):
        return type(value)(ours(v, memo) for v in value)
    if isinstance(value, dict):
        return {k: ours(v, memo) for k, v in value.items()}
    if isinstance(value, torch.dtype):
        return our_dtype(value)
    if isinstance(value, torch.device):
        return rushlight.device(str(value))
    if isinstance(value, torch.memory_format | torch.layout):
        found = getattr(rushlight, str(value).removeprefix("torch."), None)
        if found is None:
            raise Missing(str(value))
        return found
    if isinstance(value, torch.Generator):
        return rushlight.Generator().manual_seed(value.initial_seed())
    if isinstance(value, slice):
        return slice(ours(value.start, memo), ours(value.stop, memo), ours(value.step, memo))
    if value is torch:
        return rushlight
    if isinstance(value, functools.partial | types.FunctionType | types.BuiltinFunctionType):
        if id(value) in _public_paths() or isinstance(value, functools.partial):
            return our_function(value)
        if isinstance(value, types.FunctionType):
            return _rebound(value)
    return value


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of PyTorch in a nest of arguments, each once for each place."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def plain_array(value: Any) -> np.ndarray[Any, Any]:
    """A tensor of either framework as an array."""
    value = value.detach()
    if isinstance(value, torch.Tensor):
        if value._is_zerotensor():
            value = torch.zeros(value.shape, dtype=value.dtype)
        value = value.resolve_conj().resolve_neg()
    if str(value.dtype) in ("torch.bfloat16", "torch.float16"):
        value = value.float()
    return np.asarray(value.numpy())


def same(expected: Any, found: Any, *, strides: bool = True, values: bool = True) -> None:
    """Raise Different unless two results agree."""
    if isinstance(expected, torch.Tensor):
        _same_tensor(expected, found, strides, values)
    elif isinstance(expected, torch.dtype | torch.device | torch.layout):
        if str(expected) != str(found):
            raise Different("type", f"{found} for {expected}")
    elif isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(expected):
            raise Different("type", f"{type(found).__name__} for {type(expected).__name__}")
        for e, f in zip(expected, found, strict=True):
            same(e, f, strides=strides, values=values)
    elif isinstance(expected, dict):
        if not hasattr(found, "keys") or list(expected) != list(found.keys()):
            raise Different("type", "other keys")
        for key, e in expected.items():
            same(e, found[key], strides=strides, values=values)
    elif isinstance(expected, bool | int | float | complex):
        if type(expected) is not type(found):
            raise Different("type", f"{type(found).__name__} for {type(expected).__name__}")
        if values and not np.allclose(found, expected, 1e-5, 1e-6, equal_nan=True):
            raise Different("value", f"{found} for {expected}")
    elif expected is None and found is not None:
        raise Different("type", f"{type(found).__name__} for None")


def _same_tensor(expected: torch.Tensor, found: Any, strides: bool, values: bool) -> None:
    if expected.layout is not torch.strided:
        raise Missing(f"layout {expected.layout}")
    if not isinstance(found, rushlight.Tensor):
        raise Different("type", f"{type(found).__name__} for a tensor")
    if str(expected.dtype) != str(found.dtype):
        raise Different("dtype", f"{found.dtype} for {expected.dtype}")
    if tuple(expected.shape) != tuple(found.shape):
        raise Different("shape", f"{tuple(found.shape)} for {tuple(expected.shape)}")
    if values:
        _same_values(plain_array(expected), plain_array(found), str(expected.dtype))
    if strides and expected.numel() and _told(expected) != _told(found):
        raise Different("stride", f"{found.stride()} for {expected.stride()}")


def _told(tensor: Any) -> list[int]:
    """The strides that say where elements lie: those of dimensions longer than one."""
    return [s for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1]


def _same_values(e: np.ndarray[Any, Any], f: np.ndarray[Any, Any], dtype: str) -> None:
    if e.dtype.kind not in "fc":
        if not np.array_equal(e, f):
            raise Different("value", f"{f.ravel()[:6]} for {e.ravel()[:6]}")
        return
    relative, absolute = TOLERANCES.get(dtype, DEFAULT_TOLERANCE)
    finite = np.abs(e[np.isfinite(e)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    good = np.isclose(f, e, relative, absolute * scale, equal_nan=True)
    if not good.all():
        at = np.unravel_index(int(np.argmin(good)), e.shape)
        place = tuple(int(i) for i in at)
        raise Different("value", f"{f[at]!r} for {e[at]!r} at {place} of {e.shape}")


def cotangents(outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Fixed numbers of the outputs' shapes: what flows back into each."""
    rng = np.random.default_rng(5)
    return [
        torch.from_numpy(np.asarray(rng.uniform(0.5, 1.5, o.shape))).to(o.dtype) for o in outputs
    ]


def same_gradients(expected: Any, found: Any, leaves: list[torch.Tensor], mine: list[Any]) -> None:
    """Compare which outputs have a history, and the gradients of `leaves` (ours: `mine`)."""
    theirs, our_outputs = list(tensors(expected)), list(_our_tensors(found))
    if [t.requires_grad for t in theirs] != [bool(t.requires_grad) for t in our_outputs]:
        raise Different("grad", "requires_grad differs in the results")
    used = [i for i, t in enumerate(theirs) if t.requires_grad]
    if not used or not leaves:
        return
    flow = cotangents([theirs[i] for i in used])
    # What PyTorch cannot differentiate we need not.
    want = torch.autograd.grad([theirs[i] for i in used], leaves, flow, allow_unused=True)
    outputs = [our_outputs[i] for i in used]
    got = rushlight.autograd.grad(outputs, mine, [our_tensor(t) for t in flow], allow_unused=True)
    for w, g in zip(want, got, strict=True):
        try:
            if w is None and g is not None and not plain_array(g).any():
                continue  # zeros for "not used"
            same(w, g, strides=False)
        except Different as error:
            raise Different("grad", str(error)) from None


def _our_tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, rushlight.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _our_tensors(item)
    elif isinstance(value, dict):
        yield from _our_tensors(list(value.values()))


def seed() -> None:
    """Both frameworks' generators at the same place."""
    torch.manual_seed(0)
    rushlight.manual_seed(0)


def finish(value: Any) -> None:
    """Have everything recorded computed, so that its errors are raised here."""
    for tensor in _our_tensors(value):
        if tensor.numel():
            plain_array(tensor)


def judged(error: BaseException) -> tuple[str, str]:
    """The reason and detail of an exception that ended a comparison."""
    detail = f"{type(error).__name__}: {error}"[:400]
    if isinstance(error, Different):
        return error.reason, str(error)[:400]
    if isinstance(error, Missing | NotImplementedError | AttributeError):
        return "missing", detail
    return "error", detail
