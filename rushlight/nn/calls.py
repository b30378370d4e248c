"""Calling a module: straight into ``forward`` where nothing else is to be done,
with hooks otherwise.

A class's ``__call__`` is `FORWARD`, which finds the instance's ``forward`` without a Python frame
of its own; of some layers it is compiled (`quick`).  The first hook on an instance, a global hook
or a ``__call__`` defined further down puts `slow_call` there, which does all that PyTorch's
``Module.__call__`` does; the last hook's removal puts `FORWARD` back.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from ..engine.capture import VERSION
from . import quick
from .backward_hooks import BackwardHooks
from .handles import Hooks, RemovableHandle

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]


class _Forward(property):
    """``__call__`` of a class: the instance's own ``forward``, whoever put it there and when."""

    def __call__(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        return slow_call(module, *args, **kwargs)  # `Net.__call__(net, x)`


FORWARD: Final = _Forward(attrgetter("forward"))
COMPILED: Final = quick.compiled_calls()


class CallState:
    """How instances of one class are called, kept in that class's ``__dict__``."""

    __slots__ = ("hooked", "installed", "must_be_found", "must_be_slow")

    def __init__(self) -> None:
        self.hooked = 0  # hook dictionaries of instances that are not empty
        self.must_be_slow = False
        self.must_be_found = False  # an instance has a forward of its own
        self.installed: Any = None  # the __call__ that was put there by `install`


# Every class whose __call__ was put there, for the global hooks.
_CLASSES: weakref.WeakSet[type[Any]] = weakref.WeakSet()
_ROOT: list[type[Any]] = []


def state_of(cls: type[Any]) -> CallState:
    """The call state of ``cls`` itself, made when first asked for."""
    found = cls.__dict__.get("_call_state")
    if found is None:
        found = CallState()
        type.__setattr__(cls, "_call_state", found)
    return found


def _own_call(cls: type[Any]) -> Any:
    """The ``__call__`` that the author of ``cls`` wrote, or None."""
    call = cls.__dict__.get("__call__")
    return None if call is None or call is state_of(cls).installed else call


def install(cls: type[Any]) -> None:
    """Give ``cls`` the call its present state asks for; after any change of it or of its bases."""
    VERSION[0] += 1
    state = state_of(cls)
    root = _ROOT[0] if _ROOT else None
    if _own_call(cls) is not None:
        # It may call super().__call__, which must find *its* forward, not that of a base.
        for base in cls.__mro__[1:]:
            if base is not root and _ROOT and issubclass(base, _ROOT[0]):
                slow = state_of(base)
                if not slow.must_be_slow:
                    slow.must_be_slow = True
                    install(base)
        return
    for base in cls.__mro__[1:]:
        if base is root:
            break
        if "__call__" in base.__dict__ and (
            root is None or not issubclass(base, root) or _own_call(base)
        ):
            if state.installed is not None:
                state.installed = None
                type.__delattr__(cls, "__call__")
            return
    call: Any
    if state.must_be_slow or state.hooked or GLOBAL.active:
        call = slow_call
    elif state.must_be_found:
        call = FORWARD
    else:
        call = COMPILED.get(id(getattr(cls, "forward", None)), FORWARD)
    if state.installed is not call:
        state.installed = call
        type.__setattr__(cls, "__call__", call)
    _CLASSES.add(cls)


def check(cls: type[Any]) -> None:
    """Follow a ``__call__`` that was put on the class after it was made.

    Asked where it costs nothing beside the work at hand: when a module is made, changes mode or
    lists its parts.
    """
    state = cls.__dict__.get("_call_state")
    if state is None:
        install(cls)
        return
    if state.installed is not cls.__dict__.get("__call__"):
        install(cls)


def find_forward(cls: type[Any]) -> None:
    """An instance has a ``forward`` of its own: calls must look it up."""
    state = state_of(cls)
    if not state.must_be_found:
        state.must_be_found = True
        install(cls)


def hooks_changed(cls: type[Any], present: bool) -> None:
    """An instance of ``cls`` got its first hook of some kind, or lost the last."""
    state = state_of(cls)
    state.hooked += 1 if present else -1
    install(cls)


class _Global:
    """The hooks common to all modules."""

    def __init__(self) -> None:
        self.count = 0
        self.active = False
        self.full_backward: bool | None = None
        self.backward_pre = Hooks(self._changed)
        self.backward = Hooks(self._changed)
        self.forward_pre = Hooks(self._changed)
        self.forward = Hooks(self._changed)
        self.forward_always: Hooks = Hooks()
        self.forward_with_kwargs: Hooks = Hooks()
        self.buffers: Hooks = Hooks()
        self.modules: Hooks = Hooks()
        self.parameters: Hooks = Hooks()

    def _changed(self, present: bool) -> None:
        self.count += 1 if present else -1
        if self.active is not (self.count > 0):
            self.active = self.count > 0
            for cls in list(_CLASSES):
                install(cls)


GLOBAL = _Global()


def root(cls: type[Any]) -> type[Any]:
    """Say which class is ``Module``."""
    _ROOT.append(cls)
    return cls


def slow_call(self: Module, *args: Any, **kwargs: Any) -> Any:
    """PyTorch's ``Module.__call__``."""
    if type(self)._call_impl is not _ROOT[0]._call_impl or "_call_impl" in self.__dict__:
        return self._call_impl(*args, **kwargs)
    return call_with_hooks(self, args, kwargs)


def call_with_hooks(self: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``forward`` between the hooks, in PyTorch's order; always-called hooks run on errors too."""
    if not (
        GLOBAL.active or self._backward_hooks or self._backward_pre_hooks or self._forward_pre_hooks
    ):
        hooks = self._forward_hooks
        if not hooks:
            return self.forward(*args, **kwargs)
        if not (self._forward_hooks_with_kwargs or self._forward_hooks_always_called):
            result = self.forward(*args, **kwargs)
            for hook in tuple(hooks.values()):
                got = hook(self, args, result)
                if got is not None:
                    result = got
            return result
    run = _Run(self, args, kwargs)
    try:
        return run.inner()
    except Exception:
        run.after_error()
        raise


class _Run:
    """One call with hooks: what is known at each moment, for the hooks that run after an error."""

    def __init__(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.called: set[int] = set()

    def inner(self) -> Any:
        """The call."""
        m = self.module
        pre: list[Hook] = [*GLOBAL.backward_pre.values(), *m._backward_pre_hooks.values()]
        hooks: list[Hook] = [*GLOBAL.backward.values(), *m._backward_hooks.values()]
        self._before()
        backward = None
        if hooks or pre:
            backward = BackwardHooks(m, hooks, pre)
            self.args = backward.inputs(self.args)
        self.result = m.forward(*self.args, **self.kwargs)
        self._after()
        if backward is not None:
            self.result = backward.outputs(self.result)
        return self.result

    def _before(self) -> None:
        m = self.module
        for hook_id, hook in (*GLOBAL.forward_pre.items(), *m._forward_pre_hooks.items()):
            if hook_id in m._forward_pre_hooks_with_kwargs:
                got = hook(m, self.args, self.kwargs)
                if got is None:
                    continue
                if not (isinstance(got, tuple) and len(got) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple "
                        f"of (new_args, new_kwargs), but got {got}."
                    )
                self.args, self.kwargs = got
            else:
                got = hook(m, self.args)
                if got is not None:
                    self.args = got if isinstance(got, tuple) else (got,)

    def _after(self) -> None:
        m = self.module
        for hook_id, hook in (*GLOBAL.forward.items(), *m._forward_hooks.items()):
            if hook_id in m._forward_hooks_always_called or hook_id in GLOBAL.forward_always:
                self.called.add(hook_id)
            if hook_id in m._forward_hooks_with_kwargs or hook_id in GLOBAL.forward_with_kwargs:
                got = hook(m, self.args, self.kwargs, self.result)
            else:
                got = hook(m, self.args, self.result)
            if got is not None:
                self.result = got

    def after_error(self) -> None:
        """Run the always-called hooks that have not run; what they raise becomes a warning."""
        m = self.module
        for always, hooks, with_kwargs, who in (
            (GLOBAL.forward_always, GLOBAL.forward, GLOBAL.forward_with_kwargs, "global module"),
            (
                m._forward_hooks_always_called,
                m._forward_hooks,
                m._forward_hooks_with_kwargs,
                "module",
            ),
        ):
            for hook_id, hook in hooks.items():
                if hook_id not in always or hook_id in self.called:
                    continue
                try:
                    if hook_id in with_kwargs:
                        got = hook(m, self.args, self.kwargs, self.result)
                    else:
                        got = hook(m, self.args, self.result)
                    if got is not None:
                        self.result = got
                except Exception as error:
                    warnings.warn(
                        f"{who} forward hook with ``always_call=True`` raised an exception that "
                        "was silenced "
                        f"as another error was raised in forward: {error}",
                        stacklevel=4,
                    )


# ---------------------------------------------------------------- hooks on all modules
def _register(hooks: Hooks, hook: Hook, extra: Hooks | None = None) -> RemovableHandle:
    handle = RemovableHandle(hooks, extra_dict=extra)
    hooks[handle.id] = hook
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """``hook(module, name, buffer)`` at every ``register_buffer``; may return another buffer."""
    return _register(GLOBAL.buffers, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """``hook(module, name, submodule)`` at every registration of a child; may return another."""
    return _register(GLOBAL.modules, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """``hook(module, name, parameter)`` at every ``register_parameter``; may return another."""
    return _register(GLOBAL.parameters, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """``hook(module, args)`` before every forward of every module."""
    return _register(GLOBAL.forward_pre, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """``hook(module, args, output)`` after every forward of every module."""
    handle = _register(GLOBAL.forward, hook, GLOBAL.forward_always)
    if with_kwargs:
        GLOBAL.forward_with_kwargs[handle.id] = True
    if always_call:
        GLOBAL.forward_always[handle.id] = True
    return handle


_MIXED = (
    "Cannot use both regular backward hooks and full backward hooks as a "
    "global Module hook. Please use only one of them."
)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """The old kind of backward hook, on all modules."""
    if GLOBAL.full_backward is True:
        raise RuntimeError(_MIXED)
    GLOBAL.full_backward = False
    return _register(GLOBAL.backward, hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """``hook(module, grad_output)`` before the gradients of every module."""
    return _register(GLOBAL.backward_pre, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """``hook(module, grad_input, grad_output)`` with the gradients of every module."""
    if GLOBAL.full_backward is False:
        raise RuntimeError(_MIXED)
    GLOBAL.full_backward = True
    return _register(GLOBAL.backward, hook)
