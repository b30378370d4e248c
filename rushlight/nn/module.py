"""``Module``: what holds parameters, buffers and children, and is called like a function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from .. import engine
from ..engine import Tensor
from ..engine.capture import VERSION
from . import calls
from .calls import GLOBAL, slow_call
from .conversion import Convertible
from .handles import Hook, Hooks, RemovableHandle
from .parameter import Buffer, Parameter
from .registry import Registry
from .state import Stateful
from .typename import typename

_CALL_HOOKS = ("_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_pre_hooks")
_PLAIN_HOOKS = (
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_REGISTRIES = ("_parameters", "_buffers", "_modules")
_SPECIAL = frozenset((*_CALL_HOOKS, *_REGISTRIES, "forward", "__class__"))
_MIXED = (
    "Cannot use both regular backward hooks and full backward hooks on a "
    "single Module. Please use only one of them."
)


def _indented(text: str) -> str:
    """``text`` with all lines but the first moved in by two; blank lines stay empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if line.strip() else "" for line in rest)])


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """Define the computation of every call; to be overridden."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


def _registered(self: Any, name: str) -> Any:
    """PyTorch's ``Module.__getattr__``, for subclasses whose own one calls it.

    What is registered is found without it (`registry`), and a class with ``__getattr__`` pays for
    it at every attribute, so ``Module`` has it from the moment a subclass defines one.
    """
    d = self.__dict__
    for registry in _REGISTRIES:
        found = d.get(registry)
        if found is not None and name in found:
            return found[name]
    raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


@calls.root
class Module(Convertible, Stateful):
    """Base of all layers and models, PyTorch's ``nn.Module``.

    Parameters, buffers and modules assigned as attributes are registered: they are found by
    ``parameters()``, moved by ``to()``, saved by ``state_dict()``.  Calling the module calls
    ``forward``, between the hooks if there are any.
    """

    dump_patches: bool = False
    call_super_init: bool = False
    __constants__: ClassVar[list[str]] = []
    _compiled_call_impl: Callable[..., Any] | None = None
    training: bool
    _non_persistent_buffers_set: set[str]
    _backward_pre_hooks: Hooks
    _backward_hooks: Hooks
    _is_full_backward_hook: bool | None
    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: Hooks
    _forward_hooks_always_called: Hooks
    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: Hooks

    forward: Callable[..., Any] = _forward_unimplemented
    __call__: Callable[..., Any] = slow_call

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        calls.install(cls)
        if hasattr(cls, "__getattr__") and "__getattr__" not in Module.__dict__:
            setattr(Module, "__getattr__", _registered)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        if not self.call_super_init and kwargs:
            raise TypeError(
                f"{cls.__name__}.__init__() got an unexpected keyword argument "
                f"'{next(iter(kwargs))}'"
            )
        if not self.call_super_init and args:
            raise TypeError(
                f"{cls.__name__}.__init__() takes 1 positional argument but {len(args) + 1} were "
                "given"
            )
        calls.check(cls)
        d = self.__dict__
        d["training"] = True
        d["_non_persistent_buffers_set"] = set()
        d["_is_full_backward_hook"] = None
        for name in _REGISTRIES:
            d[name] = Registry(self)
        changed = functools.partial(calls.hooks_changed, cls)
        for name in _CALL_HOOKS:
            d[name] = Hooks(changed)
        for name in _PLAIN_HOOKS:
            d[name] = Hooks()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # ------------------------------------------------------------ calling
    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return calls.call_with_hooks(self, args, kwargs)

    def _wrapped_call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return self._call_impl(*args, **kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: what is called repeatedly is recognised and compiled anyway."""

    # ------------------------------------------------------------ attributes
    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if d.get(name, VERSION) is not value:
            VERSION[0] += 1
        if isinstance(value, Parameter):
            if "_parameters" not in d:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif name in d.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in d:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_parameters", "_buffers")
            d["_modules"][name] = _hooked(GLOBAL.modules, self, name, value)
        elif name in d.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            d["_modules"][name] = _hooked(GLOBAL.modules, self, name, value)
        elif isinstance(value, Buffer) or name in d.get("_buffers", ()):
            self._set_buffer(name, value)
        elif name in _SPECIAL:
            self._set_special(name, value)
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, *registries: str) -> None:
        """Make room for ``name`` in another registry."""
        d = self.__dict__
        for registry in registries:
            d[registry].pop(name, None)
        d["_non_persistent_buffers_set"].discard(name)
        if name not in d["_parameters"] and name not in d["_modules"]:
            d.pop(name, None)

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        if type(self).register_buffer is Module.register_buffer or not persistent:
            self.register_buffer(name, value, persistent)
        else:  # a subclass's register_buffer may not know the argument
            self.register_buffer(name, value)

    def _set_special(self, name: str, value: Any) -> None:
        """Attributes that say how the module is called, or what it holds."""
        if name in _REGISTRIES:
            old = self.__dict__.get(name)
            if isinstance(old, Registry):
                old.release()
            self.__dict__[name] = Registry(self, value)
        elif name in _CALL_HOOKS:
            self.__dict__[name] = self._watched(value)
        else:
            object.__setattr__(self, name, value)
            if name == "forward":
                calls.find_forward(type(self))
            elif name == "__class__":
                for kind in _CALL_HOOKS:
                    self.__dict__[kind] = self._watched(self.__dict__[kind])

    def _watched(self, hooks: Mapping[int, Hook]) -> Hooks:
        out = Hooks(functools.partial(calls.hooks_changed, type(self)))
        for key, hook in hooks.items():
            out[key] = hook
        return out

    def __delattr__(self, name: str) -> None:
        VERSION[0] += 1
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                if registry == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        for registry in _REGISTRIES:
            names.update(self.__dict__[registry])
        return sorted(name for name in names if not name[0].isdigit())

    # ------------------------------------------------------------ copies
    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for registry in _REGISTRIES:
            if registry not in state:
                continue
            for name, value in state[registry].items():
                if state.get(name) is value:
                    del state[name]
            state[registry] = dict(state[registry])
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        VERSION[0] += 1
        d = self.__dict__
        d.update(state)
        d.setdefault("_non_persistent_buffers_set", set())
        d.setdefault("_is_full_backward_hook", None)
        for name in _CALL_HOOKS:
            d[name] = self._watched(d.get(name, {}))
        for name in _PLAIN_HOOKS:
            hooks = Hooks()
            hooks.update(d.get(name, {}))
            d[name] = hooks
        for name in _REGISTRIES:
            d[name] = Registry(self, d.get(name, {}))
        if "forward" in d:
            calls.find_forward(type(self))

    def _replicate_for_data_parallel(self) -> Self:
        replica = type(self).__new__(type(self))
        replica.__setstate__(self.__getstate__())
        replica._parameters = {}
        replica.__dict__["_is_replica"] = True
        return replica

    # ------------------------------------------------------------ registration
    def _check_name(self, name: Any, what: str, registry: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(
                f'{what} name can\'t contain "."' + (f", got: {name}" if what == "module" else "")
            )
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a tensor that is not a parameter; ``persistent`` ones are part of ``state_dict``."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or "
                "None required)"
            )
        self._buffers[name] = _hooked(GLOBAL.buffers, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Hold a parameter; ``None`` keeps the name without one."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if not engine.is_leaf(param):
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    "be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the "
                    "value in "
                    "the forward() method."
                )
            param = _hooked(GLOBAL.parameters, self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Hold a child module."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        self._check_name(name, "module", "_modules")
        self._modules[name] = _hooked(GLOBAL.modules, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias of ``add_module``."""
        self.add_module(name, module)

    # ------------------------------------------------------------ finding parts
    def get_submodule(self, target: str) -> Module:
        """The descendant at a dotted path; ``AttributeError`` when there is none."""
        module = self
        for item in target.split(".") if target else ():
            if not hasattr(module, item):
                raise AttributeError(f"{module._get_name()} has no attribute `{item}`")
            module = getattr(module, item)
            if not isinstance(module, Module):
                raise AttributeError(f"`{item}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put ``module`` at a dotted path; with ``strict`` there must be one already."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if hasattr(parent, name):
            if not isinstance(getattr(parent, name), Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        elif strict:
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        setattr(parent, name, module)

    def _get_member(self, target: str) -> tuple[Module, str, Any]:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return module, name, getattr(module, name)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path; ``AttributeError`` when there is none."""
        _, name, found = self._get_member(target)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path; ``AttributeError`` when there is none."""
        module, name, found = self._get_member(target)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found  # type: ignore[no-any-return]

    # ------------------------------------------------------------ modes and gradients
    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every descendant, then on the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training mode (dropout drops, batch norm learns its statistics), or evaluation mode."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        calls.check(type(self))
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation mode."""
        return self.train(False)

    # ------------------------------------------------------------ hooks
    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_output)`` before the module's gradients; may return another
        grad_output.
        """
        return self._add_hook(self._backward_pre_hooks, hook, first=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Deprecated: use ``register_full_backward_hook``."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED)
        self._is_full_backward_hook = False
        return self._add_hook(self._backward_hooks, hook)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """``hook(module, grad_input, grad_output)``; may return another grad_input."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED)
        self._is_full_backward_hook = True
        return self._add_hook(self._backward_hooks, hook, first=prepend)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """``hook(module, args)`` or ``hook(module, args, kwargs)``; may return other arguments."""
        extra = self._forward_pre_hooks_with_kwargs
        handle = self._add_hook(self._forward_pre_hooks, hook, extra, prepend)
        if with_kwargs:
            extra[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """``hook(module, args, output)`` or ``hook(module, args, kwargs, output)``; may return
        another output.
        """
        extra = [self._forward_hooks_with_kwargs, self._forward_hooks_always_called]
        handle = self._add_hook(self._forward_hooks, hook, extra, prepend)
        if with_kwargs:
            extra[0][handle.id] = True
        if always_call:
            extra[1][handle.id] = True
        return handle

    # ------------------------------------------------------------ listing
    def _named_members(
        self,
        get_members_fn: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, value in get_members_fn(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield path + ("." if path else "") + name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        if recurse and type(self).named_parameters is Module.named_parameters:
            found: dict[int, Parameter] = {}
            if self._collect(found, set()):
                return iter(found.values())
        return (param for _, param in self.named_parameters(recurse=recurse))

    def _collect(self, found: dict[int, Parameter], seen: set[Module]) -> bool:
        """All parameters, without the cost of their names; False where that cannot be done."""
        if type(self).named_modules is not Module.named_modules:
            return False
        seen.add(self)
        d = self.__dict__
        for param in d["_parameters"].values():
            if param is not None:
                found[id(param)] = param
        for module in d["_modules"].values():
            if module is None or module in seen:
                continue
            inner = module.__dict__
            if not inner["_modules"] and type(module).named_modules is Module.named_modules:
                seen.add(module)  # a layer: no call for it
                for param in inner["_parameters"].values():
                    if param is not None:
                        found[id(param)] = param
            elif not module._collect(found, seen):
                return False
        return True

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Name and parameter."""
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        for _, buf in self.named_buffers(recurse=recurse):
            yield buf

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Name and buffer."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def children(self) -> Iterator[Module]:
        """The children, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Name and child."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module and all its descendants, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Path and module, the module itself first with an empty path."""
        memo = set() if memo is None else memo
        if self not in memo:
            if remove_duplicate:
                memo.add(self)
            calls.check(type(self))
            yield prefix, self
            for name, module in self._modules.items():
                if module is not None:
                    yield from module.named_modules(
                        memo, prefix + ("." if prefix else "") + name, remove_duplicate
                    )

    # ------------------------------------------------------------ text
    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What ``repr`` says inside the parentheses beside the children."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): {_indented(repr(module))}" for name, module in self._modules.items()
        ]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({lines[0]})"
        lines += children
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"


def _hooked(hooks: Hooks, module: Module, name: str, value: Any) -> Any:
    """``value`` as the hooks on registrations leave it."""
    for hook in hooks.values():
        got = hook(module, name, value)
        if got is not None:
            value = got
    return value
