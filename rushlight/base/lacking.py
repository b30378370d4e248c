"""Names of PyTorch's that are known here and stand for nothing yet.

Programs import more than they use: importing such a name works, using it says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


class Lacking:
    """A function or class of PyTorch's that Rushlight lacks: `NotImplementedError` when used.

    Nothing is an instance of it, so that `isinstance(x, torch.fx.Node)` is False.
    """

    def __init__(self, name: str, instead: str = "") -> None:
        self._name = name
        self._instead = instead

    def _fail(self) -> NoReturn:
        advice = f": {self._instead}" if self._instead else ""
        raise NotImplementedError(f"{self._name} is not in Rushlight{advice}")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._fail()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{self._name} is not in Rushlight: it has no {name!r}")
        return Lacking(f"{self._name}.{name}", self._instead)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        self._fail()

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __subclasscheck__(self, subclass: Any) -> bool:
        return False

    def __enter__(self) -> NoReturn:
        self._fail()

    def __exit__(self, *exception: object) -> None:
        return None

    def __repr__(self) -> str:
        return f"<{self._name}: not in Rushlight>"


def names_of(module: str, names: frozenset[str], instead: str) -> Callable[[str], Any]:
    """A module's `__getattr__` that answers for names that are lacking.

    Args:
        module: the public name, such as `torch.fx`.
        names: what PyTorch has there; any other name is an `AttributeError`.
        instead: what to do, for the error of what is used.
    """

    def __getattr__(name: str) -> Any:
        if name in names:
            return Lacking(f"{module}.{name}", instead)
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}: {module}.{name} is not in Rushlight yet"
        )

    return __getattr__
