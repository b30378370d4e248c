"""`FakeData`: random images of any size, the same for the same index."""

from __future__ import annotations

from typing import Any

from rushlight.random import Generator, draws
from rushlight.vision.datasets.vision import Transform, VisionDataset
from rushlight.vision.transforms.functional import to_pil_image


class FakeData(VisionDataset[tuple[Any, Any]]):
    """`size` random PIL images of (channels, height, width) and random classes."""

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = Generator().manual_seed(index + self.random_offset)
        values = draws.normal(generator, tuple(self.image_size))
        target: Any = int(draws.randint(generator, 0, self.num_classes, 1)[0])
        image = to_pil_image(values.transpose(1, 2, 0))
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return self.size


__all__ = ["FakeData"]
