"""Reading one element natively gives what NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.runtime.scalars import readers


@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "i4", "i2", "i1", "u1", "?"])
def test_reads_what_numpy_reads(kind: str) -> None:
    found = readers()
    if not found:
        pytest.skip("native builtins are not supported by this interpreter")
    values = np.array([0, 1, -1, 7, 100]).astype(kind)
    start = values.__array_interface__["data"][0]
    for i in range(len(values)):
        got = found[kind](start + i * values.itemsize)
        assert got == values[i].item()
        assert type(got) is type(values[i].item())


def test_special_floats() -> None:
    found = readers()
    if not found:
        pytest.skip("native builtins are not supported by this interpreter")
    values = np.array([np.inf, -np.inf, np.nan, 1e-45, -0.0], "f4")
    start = values.__array_interface__["data"][0]
    got = [found["f4"](start + 4 * i) for i in range(5)]
    assert [repr(v) for v in got] == [repr(float(v)) for v in values]
