"""Windows against SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import windows as scipy_windows

import rushlight as torch
from rushlight.signal import windows

CASES: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "bartlett": ({}, ()), "blackman": ({}, ()), "cosine": ({}, ()), "hamming": ({}, ()),
    "hann": ({}, ()), "nuttall": ({}, ()), "gaussian": ({"std": 2.5}, (2.5,)),
    "kaiser": ({"beta": 5.0}, (5.0,)), "exponential": ({"tau": 2.0}, (None, 2.0)),
    "general_cosine": ({"a": [0.4, 0.5, 0.1]}, ([0.4, 0.5, 0.1],)),
    "general_hamming": ({"alpha": 0.6}, (0.6,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sym", [True, False])
def test_against_scipy(name: str, sym: bool) -> None:
    named, given = CASES[name]
    make = getattr(windows, name)
    got = make(9, sym=sym, dtype=torch.float64, **named)
    want = getattr(scipy_windows, name)(9, *given, sym=sym)
    assert np.allclose(got.numpy(), want, atol=1e-12)
    assert make(0, **named).shape == (0,) and make(1, **named).tolist() == [1.0]
    assert make(4, **named).dtype is torch.float32


def test_errors() -> None:
    with pytest.raises(ValueError, match="non-negative window length"):
        windows.hann(-1)
    with pytest.raises(ValueError, match="strided tensors only"):
        windows.hann(3, layout=torch.sparse_coo)
    with pytest.raises(ValueError, match="float32 or float64"):
        windows.hann(3, dtype=torch.int64)
