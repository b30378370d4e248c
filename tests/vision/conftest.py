"""Small datasets in the formats that the real ones have."""

import gzip

import numpy as np
import pytest


def idx_bytes(array):
    """An array as an IDX file."""
    code = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    head = bytes([0, 0, code[array.dtype.name], array.ndim])
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def digits():
    """Forty images to train with and twelve to test with, with their classes."""
    rng = np.random.default_rng(0)
    return {
        "train": (
            rng.integers(0, 256, (40, 28, 28), dtype=np.uint8),
            rng.integers(0, 10, 40, dtype=np.uint8),
        ),
        "t10k": (
            rng.integers(0, 256, (12, 28, 28), dtype=np.uint8),
            rng.integers(0, 10, 12, dtype=np.uint8),
        ),
    }


@pytest.fixture
def mnist(tmp_path, digits):
    """A folder with a small MNIST."""

    def write(name="MNIST", compressed=False):
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for part, (images, labels) in digits.items():
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                data = idx_bytes(array)
                if compressed:
                    (raw / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
                else:
                    (raw / f"{part}-{kind}-ubyte").write_bytes(data)
        return str(tmp_path)

    return write
