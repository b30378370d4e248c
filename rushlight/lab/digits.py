"""The handwritten digits that come with the package: 1,797 images of 8x8, no network needed.

The test set of the UCI "Optical Recognition of Handwritten Digits" data set (E. Alpaydin and
C. Kaynak, 1998, https://doi.org/10.24432/C50P49), CC BY 4.0; `data/digits.txt` has the attribution.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FILE: Final = Path(__file__).with_name("data") / "digits.npz"
SHA256: Final = "56691635b5c95f315ed55907c4fe83309809b3b822ee0b8d68e84bba3ffd4ca3"


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(images uint8 [1797, 8, 8] of values 0..16, labels int64 [1797] of values 0..9).

    Fresh arrays at every call.  RuntimeError if the file is not the one the package came with.
    """
    content = FILE.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise RuntimeError(
            f"load_digits: {FILE} is damaged (SHA-256 {found}, expected {SHA256}); "
            "reinstall rushlight"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images: NDArray[Any] = arrays["images"]
        labels: NDArray[Any] = arrays["labels"]
    return images, labels.astype(np.int64)
