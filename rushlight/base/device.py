"""Devices: where a tensor's memory lives.  Part of every record, so that plans never mix them."""

from __future__ import annotations

from typing import Any, Final

KNOWN: Final = ("cpu", "cuda", "mps", "xpu", "meta", "fake")


class device:
    """A type and an optional index.

    ``device('cpu')``, ``device('cuda', 1)``, ``device('cuda:1')``.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            self.type: str = type.type
            self.index: int | None = type.index if index is None else index
            return
        if isinstance(type, int):
            type, index = "cuda", type
        name, _, number = str(type).partition(":")
        if name not in KNOWN or (number and not number.isdigit()):
            raise RuntimeError(
                f"Expected one of {', '.join(KNOWN)} device type at start of device string: {type}"
            )
        if number and index is not None:
            raise RuntimeError(
                f"type (string) must not include an index because index was passed: {type}"
            )
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (
            f", index={self.index})" if self.index is not None else ")"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


CPU: Final = device("cpu")
