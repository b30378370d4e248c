"""`VisionDataset`: what the image datasets have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rushlight.engine import Tensor
from rushlight.random import Generator
from rushlight.utils.data import Dataset

T_co = TypeVar("T_co", covariant=True)

Transform = Callable[..., Any]
Column = Callable[[Any], Tensor]  # row numbers (a slice or an int64 array) to a batch of them


class VisionDataset(Dataset[T_co]):
    """A dataset in a folder, with its transforms.

    Either `transforms(image, target)`, or `transform(image)` and `target_transform(target)`.
    """

    _repr_indent = 4

    def __init__(
        self,
        root: str | Path | None = None,
        transforms: Transform | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        if isinstance(root, str):
            root = os.path.expanduser(root)
        self.root: Any = root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if separate else transforms

    def __getitem__(self, index: int) -> T_co:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _columns(self, generator: Generator) -> Sequence[Column] | None:
        """How a loader gets whole batches; None where samples have to be made one by one."""
        return None

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if getattr(self, "transforms", None) is not None:
            body.append(repr(self.transforms))
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])

    def _format_transform_repr(self, transform: Transform, head: str) -> list[str]:
        return _indented(transform, head)

    def extra_repr(self) -> str:
        """More lines of the `repr`."""
        return ""


class StandardTransform:
    """A transform for the image and one for the target."""

    def __init__(
        self, transform: Transform | None = None, target_transform: Transform | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def _format_transform_repr(self, transform: Transform, head: str) -> list[str]:
        return _indented(transform, head)

    def __repr__(self) -> str:
        body = [type(self).__name__]
        if self.transform is not None:
            body += _indented(self.transform, "Transform: ")
        if self.target_transform is not None:
            body += _indented(self.target_transform, "Target transform: ")
        return "\n".join(body)


def _indented(transform: Transform, head: str) -> list[str]:
    first, *others = repr(transform).splitlines()
    return [head + first, *(" " * len(head) + line for line in others)]


__all__ = ["StandardTransform", "VisionDataset"]
