"""Lazy modules: sizes are taken from the first input."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from .. import engine
from .parameter import is_lazy

if TYPE_CHECKING:
    from .module import Module

    _Base = Module
else:
    _Base = object


class LazyModuleMixin(_Base):
    """Beside a module class: parameters may stay uninitialised until the first call.

    A subclass defines ``initialize_parameters(*args, **kwargs)``, which gets what ``forward`` gets
    and gives every uninitialised parameter its shape; ``cls_to_become`` is then the module's class.
    """

    cls_to_become: ClassVar[type[Any] | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, value in self._persistent():
            whole = is_lazy(value) or keep_vars
            destination[prefix + name] = value if whole else value.detach()

    def _lazy_load_hook(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Shapes are taken from what is loaded."""
        for name, own in itertools.chain(self._parameters.items(), self._buffers.items()):
            given = state_dict.get(prefix + name)
            if given is None or not is_lazy(own) or is_lazy(given):
                continue
            before = engine.set_grad_enabled(False)
            try:
                own.materialize(given.shape)
            finally:
                engine.set_grad_enabled(before)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give shapes to the parameters, for these arguments of ``forward``."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Is there a parameter or buffer without a shape?"""
        held = itertools.chain(self._parameters.values(), self._buffers.values())
        return any(is_lazy(value) for value in held)

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook
        del module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _replicate_for_data_parallel(self) -> Any:
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. "
            "Run a dummy forward pass to correctly initialize the modules"
        )
