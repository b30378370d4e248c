"""SVHN: house numbers from street photographs (Netzer, 2011)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rushlight.vision import _pil
from rushlight.vision.datasets.utils import check_integrity, download_url, verify_str_arg
from rushlight.vision.datasets.vision import Transform, VisionDataset


class SVHN(VisionDataset[tuple[Any, Any]]):
    """Digits of house numbers, 32 x 32 in colour; `split`: "train", "test" or "extra".

    The files lie in `root`; `download=True` fetches them, SciPy reads them.  `data` (uint8 array
    [N, 3, 32, 32]) and `labels` (int64) hold everything.
    """

    split_list: ClassVar[dict[str, list[str]]] = {
        "train": [
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = os.path.join(self.root, self.filename)
        if not self._check_integrity():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it "
                f"({path} is missing, or has another MD5 than {self.file_md5})"
            )
        from scipy.io import loadmat

        try:
            found = loadmat(path)
            images, labels = found["X"], found["y"]
        except Exception as error:
            raise RuntimeError(f"{path} is corrupt, or no file of SVHN's: {error}") from error
        self.labels = labels.astype(np.int64).reshape(-1)
        self.labels[self.labels == 10] = 0  # the digit 0 is called 10 there
        self.data = np.ascontiguousarray(images.transpose(3, 2, 0, 1))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = (
            _pil.from_array(self.data[index].transpose(1, 2, 0)),
            int(self.labels[index]),
        )
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def _check_integrity(self) -> bool:
        return check_integrity(os.path.join(self.root, self.filename), self.file_md5)

    def download(self) -> None:
        """Fetch the file of the split, unless it is there."""
        download_url(self.url, self.root, self.filename, self.file_md5)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


__all__ = ["SVHN"]
