"""The digits that come with the package."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from rushlight.lab import digits


def test_the_data_set() -> None:
    images, labels = digits.load_digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.uint8
    assert images.max() == 16
    assert labels.shape == (1797,)
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    data = images.tobytes() + labels.astype(np.uint8).tobytes()
    expected = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert hashlib.sha256(data).hexdigest() == expected


def test_each_call_gives_arrays_of_its_own() -> None:
    images, labels = digits.load_digits()
    images[:] = 0
    labels[:] = 0
    again = digits.load_digits()
    assert again[0].any()
    assert again[1].any()


def test_an_image_looks_like_its_digit() -> None:
    """The nearest class mean already tells nine out of ten apart, so images and labels agree."""
    images, labels = digits.load_digits()
    flat = images.reshape(len(images), -1).astype(np.float64)
    means = np.stack([flat[labels == k].mean(0) for k in range(10)])
    nearest = ((flat[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == labels).mean() > 0.88


def test_a_damaged_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "digits.npz"
    damaged.write_bytes(digits.FILE.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(digits, "FILE", damaged)
    with pytest.raises(RuntimeError, match="damaged"):
        digits.load_digits()


def test_small_and_attributed() -> None:
    assert digits.FILE.stat().st_size < 100_000
    text = digits.FILE.with_suffix(".txt").read_text()
    assert "CC BY 4.0" in text
    assert "Alpaydin" in text
