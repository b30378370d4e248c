"""CIFAR-10 and CIFAR-100: small colour photographs (Krizhevsky, 2009)."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from rushlight.random import Generator
from rushlight.vision import _pil
from rushlight.vision.datasets._rows import image_columns
from rushlight.vision.datasets.utils import check_integrity, download_and_extract_archive
from rushlight.vision.datasets.vision import Column, Transform, VisionDataset

#: What the files need to be read; anything else in a pickle is refused, and nothing is called.
_ALLOWED: Final = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Unpickler(pickle.Unpickler):
    """Dicts, lists, numbers, text and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no such file needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickle(path: str) -> dict[str, Any]:
    """The dict in a file of CIFAR's; `RuntimeError` that names what is anything else."""
    try:
        with open(path, "rb") as file:
            entry = _Unpickler(file, encoding="latin1").load()
    except Exception as error:
        raise RuntimeError(
            f"{path} is truncated or corrupt, or no file of CIFAR's: {error}"
        ) from error
    if not isinstance(entry, dict):
        raise RuntimeError(f"{path} is no file of CIFAR's: it holds a {type(entry).__name__}")
    return entry


class CIFAR10(VisionDataset[tuple[Any, Any]]):
    """Photographs of ten kinds of things: 50,000 of 32 x 32 to train with, 10,000 to test with.

    The files lie in `<root>/cifar-10-batches-py`; `download=True` fetches them.  A sample is a PIL
    image, transformed, and its class.  `data` (uint8 array [N, 32, 32, 3]) and `targets` (a list)
    hold everything.  `RuntimeError` for files that are missing, damaged or of another kind.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list: ClassVar[list[Any]] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[list[Any]] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }
    data: Any
    targets: Any
    classes: list[str]

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        bad = self._bad_files()
        if bad:
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it "
                f"({', '.join(bad)})"
            )
        parts = []
        self.targets = []
        for name, _ in self.train_list if train else self.test_list:
            entry = read_pickle(self._path(name))
            labels = entry.get("labels", entry.get("fine_labels"))
            images: Any = entry.get("data")
            if labels is None or np.shape(images) != (len(labels), 3072):
                raise RuntimeError(
                    f"{self._path(name)} is no file of CIFAR's: no images and labels"
                )
            parts.append(images)
            self.targets.extend(labels)
        planes = np.vstack(parts).reshape(-1, 3, 32, 32)
        self.data = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        self.classes = read_pickle(self._path(self.meta["filename"]))[self.meta["key"]]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _path(self, name: str) -> str:
        return os.path.join(self.root, self.base_folder, name)

    def _bad_files(self) -> list[str]:
        """The files that are not there or not what they should be, with what is wrong."""
        entries = [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]
        bad = []
        for name, md5 in entries:
            if not os.path.isfile(self._path(name)):
                bad.append(f"{self._path(name)} is missing")
            elif not check_integrity(self._path(name), md5):
                bad.append(f"{self._path(name)} has another MD5 than {md5}")
        return bad

    def _check_integrity(self) -> bool:
        return not self._bad_files()

    def download(self) -> None:
        """Fetch and unpack the files, unless they are there."""
        if not self._check_integrity():
            download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = _pil.from_array(self.data[index]), self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def _columns(self, generator: Generator) -> Sequence[Column] | None:
        if type(self).__getitem__ is not _GET or self.target_transform is not None:
            return None
        return image_columns(self.data, self.targets, self.transform, generator)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


_GET: Final = CIFAR10.__getitem__


class CIFAR100(CIFAR10):
    """CIFAR-10 with a hundred kinds of things; the files lie in `<root>/cifar-100-python`."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[list[Any]] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[list[Any]] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }


__all__ = ["CIFAR10", "CIFAR100"]
