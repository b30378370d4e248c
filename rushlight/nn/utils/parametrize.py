"""Parameters as functions of other tensors: ``register_parametrization`` and what goes with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ... import engine
from ...engine import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_depth = [0]  # blocks of `cached` that are open
_kept: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """A block in which each parametrized tensor is computed once."""
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1
        if not _depth[0]:
            _kept.clear()


def _register(module: Any, name: str, x: Any) -> None:
    if isinstance(x, Parameter):
        module.register_parameter(name, x)
    else:
        module.register_buffer(name, x)


@contextmanager
def _no_grad() -> Iterator[None]:
    before = engine.set_grad_enabled(False)
    try:
        yield
    finally:
        engine.set_grad_enabled(before)


def _same_kind(what: str, old: Any, new: Any, names: tuple[str, str]) -> None:
    """``ValueError`` where a parametrization changes a tensor's dtype or shape."""
    if not isinstance(new, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(new).__name__}.")
    for kind in ("dtype", "shape"):
        a, b = getattr(old, kind), getattr(new, kind)
        if a != b:
            raise ValueError(
                f"Registering a parametrization may not change the {kind} of the tensor, "
                f"unless {what} flag is enabled.\n"
                f"{names[0]} {kind}: {a}\n"
                f"{names[1]} {kind}: {b}"
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in order, with what they begin from: ``original``, or
    ``original0``, ``original1`` ... where the first one takes several tensors.
    """

    original: Any

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape_of = original.detach()
        with _no_grad():
            new: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass
        if not isinstance(new, Tensor | Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if isinstance(new, Tensor) else len(new)
        if isinstance(new, Tensor):
            for kind in ("dtype", "device"):
                a, b = getattr(original, kind), getattr(new, kind)
                if a != b:
                    raise ValueError(
                        "When `right_inverse` outputs one tensor, it may not change the "
                        f"{kind}.\noriginal.{kind}: {a}\nright_inverse(original).{kind}: {b}"
                    )
            if new is not original:
                engine.set_data(original, new.detach())
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors "
                        "(list, tuple...). "
                        f"Got element {i} of the sequence with type {type(part).__name__}."
                    )
                held: Any = part
                if isinstance(original, Parameter):
                    held = Parameter(held.detach(), original.requires_grad)
                else:
                    held = held.detach().requires_grad_(original.requires_grad)
                _register(self, f"original{i}", held)
        if not unsafe:
            _same_kind("`unsafe`", shape_of, self(), ("unparametrized", "parametrized"))

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Change the originals so that the result is ``value``."""
        with _no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor and not isinstance(value, Tensor):
                raise ValueError(
                    f"`right_inverse` should return a tensor. Got {type(value).__name__}"
                )
            if not self.is_tensor and not isinstance(value, Sequence):
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors. Got "
                    f"{type(value).__name__}."
                )
            parts: list[Any] = [value] if self.is_tensor else list(value)
            if len(parts) != self.ntensors:
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors of length "
                    f"{self.ntensors}. Got a sequence of length {len(parts)}."
                )
            for i, (old, new) in enumerate(zip(self._originals(), parts, strict=True)):
                if old.dtype is not new.dtype:
                    which = "The tensor" if self.is_tensor else f"Tensor {i}"
                    raise ValueError(
                        f"{which} returned by `right_inverse` has dtype {new.dtype} "
                        f"while `original{'' if self.is_tensor else i}` has dtype {old.dtype}"
                    )
                engine.set_data(old, new.detach().clone())

    def forward(self) -> Any:
        """The tensor that the parametrizations make."""
        first, *rest = list(self)
        x: Any = first(*self._originals())
        for module in rest:
            x = module(x)
        return x


def _inject_new_class(module: Module) -> None:
    """Give a module a class of its own, on which a property can stand."""
    cls = type(module)

    def deep(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        kind: Any = type(self)
        twin = kind.__new__(kind)
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(cls.__getstate__(self), memo))
        return twin

    def refuse(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only "
            "supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    body: dict[str, Any] = {"__getstate__": refuse}
    if not hasattr(cls, "__deepcopy__"):
        body["__deepcopy__"] = deep
    setattr(module, "__class__", type(f"Parametrized{cls.__name__}", (cls,), body))


def _inject_property(module: Any, name: str) -> None:
    def get(self: Any) -> Any:
        made = self.parametrizations[name]
        if not _depth[0]:
            return made()
        key = (id(self), name)
        if key not in _kept:
            _kept[key] = made()
        return _kept[key]

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, put))


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Any, *, unsafe: bool = False
) -> Any:
    """From now on ``module.<tensor_name>`` is ``parametrization`` of what it was.

    A further one is applied to the result.  With ``right_inverse`` the tensor can be assigned to.
    ``unsafe``: shape and dtype may change.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            old = getattr(module, tensor_name)
            new = parametrization(old)
            names = (f"module.{tensor_name}", f"parametrization(module.{tensor_name})")
            _same_kind("the `unsafe`", old, new, names)
            if hasattr(parametrization, "right_inverse"):
                try:
                    back = parametrization.right_inverse(new)
                except NotImplementedError:
                    pass
                else:
                    if not isinstance(back, Tensor):
                        raise ValueError(
                            "parametrization.right_inverse must return a tensor. "
                            f"Got: {type(back).__name__}"
                        )
                    _same_kind("the `unsafe`", old, back, (names[0], "returned"))
        held = module.parametrizations[tensor_name]
        held.append(parametrization)
        held.unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _inject_new_class(module)
        module.parametrizations = ModuleDict()
    _inject_property(module, tensor_name)
    module.parametrizations[tensor_name] = made
    return module


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Has the module a parametrized tensor (of this name)?"""
    held = getattr(module, "parametrizations", None)
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make a tensor an ordinary one again, with its present value or (not
    ``leave_parametrized``) that of its original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    held: Any = module.parametrizations[tensor_name]
    if held.is_tensor:
        original: Any = held.original
        if leave_parametrized:
            with _no_grad():
                engine.set_data(original, getattr(module, tensor_name).detach().clone())
    elif leave_parametrized:
        now = getattr(module, tensor_name)
        original = Parameter(now.detach()) if now.requires_grad else now
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        setattr(module, "__class__", type(module).__bases__[0])
    return module


def type_before_parametrizations(module: Any) -> type:
    """The class that the module was made of."""
    kind = type(module)
    return kind.__bases__[0] if is_parametrized(module) else kind


def transfer_parametrizations_and_params(
    from_module: Any, to_module: Any, tensor_name: str | None = None
) -> Any:
    """Parametrize ``to_module`` as ``from_module`` is, with the same originals."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        source: Any = from_module.parametrizations[name]
        for part in source:
            register_parametrization(to_module, name, part)
        target: Any = to_module.parametrizations[name]
        kinds = ["original"] if source.is_tensor else [
            f"original{i}" for i in range(source.ntensors)
        ]  # fmt: skip
        for kind in kinds:
            setattr(target, kind, getattr(source, kind))
    return to_module
