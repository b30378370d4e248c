"""MNIST and the datasets in its format: FashionMNIST, KMNIST, EMNIST and QMNIST."""

from __future__ import annotations

import os
import string
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from rushlight.base import dtype as dt
from rushlight.random import Generator
from rushlight.vision import _pil
from rushlight.vision.datasets import idx
from rushlight.vision.datasets._rows import image_columns
from rushlight.vision.datasets.utils import (
    download_and_extract_archive,
    download_url,
    extract_archive,
    verify_str_arg,
)
from rushlight.vision.datasets.vision import Column, Transform, VisionDataset

_DIGITS: Final = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class MNIST(VisionDataset[tuple[Any, Any]]):
    """Handwritten digits: 60,000 images of 28 x 28 to train with, 10,000 to test with.

    The files lie in `<root>/MNIST/raw`, compressed or not, and are used as they are when they are
    there; `download=True` fetches those that are not.  A sample is a PIL image, transformed, and
    its class.  `data` (uint8, [N, 28, 28]) and `targets` (int64, [N]) hold everything.

    `RuntimeError` when files are missing, and for one that is truncated, corrupt or another.
    """

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: ClassVar[Any] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    training_file: str = "training.pt"
    test_file: str = "test.pt"
    classes: list[str] = [f"{i} - {name}" for i, name in enumerate(_DIGITS)]
    data: Any
    targets: Any

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
        if not self._check_exists():
            raise RuntimeError(
                "Dataset not found. You can use download=True to download it "
                f"({type(self).__name__} looked in {self.raw_folder})"
            )
        self.data, self.targets = self._load_data()
        if len(self.data) != len(self.targets):
            images, labels = self._files()
            raise RuntimeError(
                f"{images} holds {len(self.data)} images, but {labels} {len(self.targets)} labels: "
                "they do not belong together"
            )

    def _files(self) -> tuple[str, str]:
        """The files with the images and the labels that are asked for, uncompressed."""
        head = os.path.join(self.raw_folder, "train" if self.train else "t10k")
        return f"{head}-images-idx3-ubyte", f"{head}-labels-idx1-ubyte"

    def _load_data(self) -> tuple[Any, Any]:
        images, labels = self._files()
        return idx.read(images, 3), idx.read(labels, 1).to(dt.int64)

    def _check_exists(self) -> bool:
        return all(idx.find(file) for file in self._files())

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return _sample(self, self.data[index], int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def _columns(self, generator: Generator) -> Sequence[Column] | None:
        if type(self).__getitem__ is not _GET or self.target_transform is not None:
            return None
        return image_columns(self.data, self.targets, self.transform, generator)

    def download(self) -> None:
        """Fetch the files that are not there yet, from the first mirror that has them."""
        for filename, md5 in self.resources:
            file = os.path.join(self.raw_folder, filename)
            if idx.find(os.path.splitext(file)[0]) is None:
                self._download_file(filename, md5)

    def _download_file(self, filename: str, md5: str) -> None:
        errors = []
        for mirror in self.mirrors:
            try:
                return download_url(mirror + filename, self.raw_folder, filename, md5)
            except (RuntimeError, OSError) as error:
                errors.append(f"Tried {mirror}, got:\n{error}\n")
        raise RuntimeError(f"Error downloading {filename}:\n" + "".join(errors))

    @property
    def raw_folder(self) -> str:
        """Where the files lie."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """Where old releases of torchvision kept what they had read."""
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    @property
    def train_labels(self) -> Any:
        """The old name of `targets`."""
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> Any:
        """The old name of `targets`."""
        return self._renamed("test_labels", "targets")

    @property
    def train_data(self) -> Any:
        """The old name of `data`."""
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> Any:
        """The old name of `data`."""
        return self._renamed("test_data", "data")

    def _renamed(self, old: str, new: str) -> Any:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=3)
        return getattr(self, new)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


def _sample(dataset: Any, image: Any, target: Any) -> tuple[Any, Any]:
    image = _pil.from_array(image.numpy(), "L")
    if dataset.transform is not None:
        image = dataset.transform(image)
    if dataset.target_transform is not None:
        target = dataset.target_transform(target)
    return image, target


_GET: Final = MNIST.__getitem__


class FashionMNIST(MNIST):
    """Pieces of clothing in MNIST's format; the files lie in `<root>/FashionMNIST/raw`."""

    mirrors: ClassVar[list[str]] = [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ]
    resources: ClassVar[Any] = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes: list[str] = [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]


class KMNIST(MNIST):
    """Cursive Japanese characters in MNIST's format; the files lie in `<root>/KMNIST/raw`."""

    mirrors: ClassVar[list[str]] = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources: ClassVar[Any] = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes: list[str] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten letters and digits, in six splits; the files lie in `<root>/EMNIST/raw`.

    `split`: "byclass", "bymerge", "balanced", "letters", "digits" or "mnist".
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    # Letters whose upper and lower cases look alike.
    _merged_classes: ClassVar[set[str]] = set("cijklmopsuvwxyz")
    _all_classes: ClassVar[set[str]] = set(string.digits + string.ascii_letters)
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_all_classes),
        "bymerge": sorted(_all_classes - _merged_classes),
        "balanced": sorted(_all_classes - _merged_classes),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | Path, split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    def _files(self) -> tuple[str, str]:
        return self.images_file, self.labels_file

    @property
    def _file_prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    @property
    def images_file(self) -> str:
        """The file with the images."""
        return os.path.join(self.raw_folder, f"{self._file_prefix}-images-idx3-ubyte")

    @property
    def labels_file(self) -> str:
        """The file with the labels."""
        return os.path.join(self.raw_folder, f"{self._file_prefix}-labels-idx1-ubyte")

    def download(self) -> None:
        """Fetch the archive with all the splits, and unpack it."""
        import shutil

        if self._check_exists():
            return
        download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)
        folder = os.path.join(self.raw_folder, "gzip")
        for file in sorted(os.listdir(folder)):
            if file.endswith(".gz"):
                extract_archive(os.path.join(folder, file), self.raw_folder)
        shutil.rmtree(folder)


class QMNIST(MNIST):
    """MNIST with the history of each digit, and 50,000 more to test with.

    `what`: "train", "test", "test10k", "test50k" or "nist"; by default as `train` says.  With
    `compat=False` a target is the row of eight numbers that is known of a digit.
    """

    subsets: ClassVar[dict[str, str]] = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    _FROM: ClassVar[str] = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    resources: ClassVar[Any] = {
        "train": [
            (_FROM + "qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (_FROM + "qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (_FROM + "qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (_FROM + "qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (_FROM + "xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (_FROM + "xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self,
        root: str | Path,
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        if what is None:
            what = "train" if train else "test"
        self.what = verify_str_arg(what, "what", tuple(self.subsets))
        self.compat = compat
        self.data_file = self.training_file = self.test_file = f"{what}.pt"
        super().__init__(root, train, **kwargs)

    def _files(self) -> tuple[str, str]:
        return self.images_file, self.labels_file

    def _file(self, which: int) -> str:
        url, _ = self.resources[self.subsets[self.what]][which]
        return os.path.join(self.raw_folder, os.path.splitext(os.path.basename(url))[0])

    @property
    def images_file(self) -> str:
        """The file with the images."""
        return self._file(0)

    @property
    def labels_file(self) -> str:
        """The file with the targets."""
        return self._file(1)

    def _load_data(self) -> tuple[Any, Any]:
        data, targets = idx.read(self.images_file, 3), idx.read(self.labels_file)
        if len(targets.shape) != 2:
            raise RuntimeError(
                f"{self.labels_file} holds no targets of QMNIST: {len(targets.shape)} dimensions "
                "instead of 2"
            )
        part = {"test10k": slice(0, 10000), "test50k": slice(10000, None)}.get(self.what)
        targets = targets.to(dt.int64)
        return (data, targets) if part is None else (data[part].clone(), targets[part].clone())

    def download(self) -> None:
        """Fetch the two files of `what` that are not there yet."""
        for url, md5 in self.resources[self.subsets[self.what]]:
            name = os.path.basename(url)
            if idx.find(os.path.join(self.raw_folder, os.path.splitext(name)[0])) is None:
                download_url(url, self.raw_folder, name, md5)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target = self.targets[index]
        return _sample(self, self.data[index], int(target[0]) if self.compat else target)

    def extra_repr(self) -> str:
        return f"Split: {self.what}"


def read_image_file(path: str) -> Any:
    """The images in an IDX file."""
    return idx.read(path, 3)


def read_label_file(path: str) -> Any:
    """The labels in an IDX file, as int64."""
    return idx.read(path, 1).to(dt.int64)


def read_sn3_pascalvincent_tensor(path: str, strict: bool = True) -> Any:
    """The tensor in an IDX file."""
    return idx.read(path)


__all__ = ["EMNIST", "KMNIST", "MNIST", "QMNIST", "FashionMNIST"]
