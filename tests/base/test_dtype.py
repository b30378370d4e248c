"""The table of types: promotion by PyTorch's rule, NumPy's names, what has no place."""

import copy
import pickle

import numpy as np
import pytest

from rushlight.base import dtype as dt

ORDER = (dt.bool_, dt.uint8, dt.int16, dt.int32, dt.int64, dt.float32, dt.float64)


@pytest.mark.parametrize("a", dt.ALL)
@pytest.mark.parametrize("b", dt.ALL)
def test_promotion_laws(a, b):
    """It commutes, and what it gives holds both."""
    try:
        found = dt.promote_types(a, b)
    except RuntimeError:
        with pytest.raises(RuntimeError, match="not supported, attempted to promote"):
            dt.promote_types(b, a)
        return
    assert dt.promote_types(b, a) is found
    assert dt.promote_types(found, a) is found
    assert dt.promote_types(found, b) is found
    assert found.rank == max(a.rank, b.rank)


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (dt.uint8, dt.int8, dt.int16),
        (dt.int64, dt.float16, dt.float16),
        (dt.float16, dt.bfloat16, dt.float32),
        (dt.bfloat16, dt.float32, dt.float32),
        (dt.float16, dt.complex64, dt.complex64),
        (dt.bfloat16, dt.complex64, dt.complex64),
        (dt.float64, dt.complex64, dt.complex128),
        (dt.uint16, dt.float32, dt.float32),
        (dt.float16, dt.complex32, dt.complex32),
    ],
)
def test_promotion_cases(a, b, want):
    assert dt.promote_types(a, b) is want


def test_a_chain():
    for i, a in enumerate(ORDER):
        for b in ORDER[i:]:
            assert dt.promote_types(a, b) is b


def test_numbers_keep_width():
    """A number brings its kind, not its width."""
    assert dt.result_type([(dt.float16, 0), (dt.number_type("f"), 2)]) is dt.float16
    assert dt.result_type([(dt.int8, 0), (dt.number_type("f"), 2)]) is dt.float32
    assert dt.result_type([(dt.float64, 0), (dt.number_type("c"), 2)]) is dt.complex128
    assert dt.result_type([(dt.bfloat16, 1), (dt.float32, 1)]) is dt.float32


@pytest.mark.parametrize("kind", dt.ALL)
def test_arrays(kind):
    found = dt.array_type(kind)
    assert found.itemsize == kind.itemsize
    assert np.zeros(2, kind.numpy).dtype == found
    assert pickle.loads(pickle.dumps(kind)) is copy.deepcopy(kind) is kind


def test_what_no_array_holds():
    with pytest.raises(NotImplementedError, match="complex64"):
        dt.array_type(dt.complex32)


def test_parts():
    assert dt.complex128.to_real() is dt.float64
    assert dt.float32.to_complex() is dt.complex64
    assert dt.int64.to_real() is dt.int64
