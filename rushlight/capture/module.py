"""What `torch.compile(module)` gives: a module around the module."""

from __future__ import annotations

from typing import Any

from ..nn.module import Module

_OWN = frozenset({"_orig_mod", "__dict__", "training"})


class OptimizedModule(Module):
    """Behaves like the module it holds, whose parameters its ``state_dict`` names ``_orig_mod.*``.

    Attributes are read from and set on the module itself, as PyTorch's ``OptimizedModule`` does.
    """

    _orig_mod: Module

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.__dict__.pop("training", None)
        super().__setattr__("_orig_mod", module)

    @property
    def training(self) -> bool:
        """The module's."""
        return self._orig_mod.training

    @training.setter
    def training(self, mode: bool) -> None:
        if "_orig_mod" in self.__dict__:
            self._orig_mod.training = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self._orig_mod(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_orig_mod" not in self.__dict__ or name in _OWN:
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})


def _attribute(self: OptimizedModule, name: str) -> Any:
    """What the module itself has."""
    if "_orig_mod" not in self.__dict__:
        raise AttributeError(f"'OptimizedModule' object has no attribute '{name}'")
    return getattr(self._orig_mod, name)


# Put there afterwards: a class that defines it makes attributes of every module dearer.
type.__setattr__(OptimizedModule, "__getattr__", _attribute)
