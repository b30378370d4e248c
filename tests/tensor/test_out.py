"""``out=``: results written into tensors that are given."""

import numpy as np
import pytest

import rushlight as torch

X = np.array([0.5, -1.5, 2.0, 0.25, -0.75, 1.0], np.float32)
M = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]], np.float32)


def x():
    return torch.tensor(X)


def m():
    return torch.tensor(M)


CASES = {
    "histogram": lambda **k: torch.histogram(x(), 4, **k),
    "qr": lambda **k: torch.linalg.qr(m(), **k),
    "old qr": lambda **k: torch.qr(m(), **k),
    "lu": lambda **k: torch.linalg.lu(m(), **k),
    "lu_factor": lambda **k: torch.linalg.lu_factor(m(), **k),
    "lu_unpack": lambda **k: torch.lu_unpack(*torch.linalg.lu_factor(m()), **k),
    "eig": lambda **k: torch.linalg.eig(m(), **k),
    "eigh": lambda **k: torch.linalg.eigh(m(), **k),
    "svd": lambda **k: torch.linalg.svd(m(), **k),
    "old svd": lambda **k: torch.svd(m(), **k),
    "slogdet": lambda **k: torch.linalg.slogdet(m(), **k),
    "old slogdet": lambda **k: torch.slogdet(m(), **k),
    "inv_ex": lambda **k: torch.linalg.inv_ex(m(), **k),
    "cholesky_ex": lambda **k: torch.linalg.cholesky_ex(m(), **k),
    "solve_ex": lambda **k: torch.linalg.solve_ex(m(), m(), **k),
    "lstsq": lambda **k: torch.linalg.lstsq(m(), m(), **k),
    "triangular_solve": lambda **k: torch.triangular_solve(m(), m(), **k),
    "searchsorted": lambda **k: torch.searchsorted(torch.arange(5.0), x(), **k),
    "bucketize": lambda **k: torch.bucketize(x(), torch.arange(5.0), **k),
    "mode": lambda **k: torch.mode(x(), 0, **k),
    "median": lambda **k: torch.median(x(), 0, **k),
    "nanmedian": lambda **k: torch.nanmedian(x(), 0, **k),
    "cummax": lambda **k: torch.cummax(x(), 0, **k),
    "cummin": lambda **k: torch.cummin(x(), 0, **k),
    "aminmax": lambda **k: torch.aminmax(x(), **k),
    "std": lambda **k: torch.std(x(), 0, **k),
    "var": lambda **k: torch.var(x(), 0, **k),
    "quantile": lambda **k: torch.quantile(x(), 0.3, **k),
    "diff": lambda **k: torch.diff(x(), **k),
    "renorm": lambda **k: torch.renorm(m(), 2, 0, 1.0, **k),
    "msort": lambda **k: torch.msort(x(), **k),
    "take_along_dim": lambda **k: torch.take_along_dim(x(), torch.tensor([0, 2]), **k),
    "scatter": lambda **k: torch.scatter(x(), 0, torch.tensor([1]), 9.0, **k),
    "scatter_add": lambda **k: torch.scatter_add(x(), 0, torch.tensor([1]), x(), **k),
    "scatter_reduce": lambda **k: torch.scatter_reduce(x(), 0, torch.tensor([1]), x(), "sum", **k),
    "index_copy": lambda **k: torch.index_copy(x(), 0, torch.tensor([1]), x()[:1], **k),
    "addr": lambda **k: torch.addr(m(), m()[0], m()[1], **k),
    "kron": lambda **k: torch.kron(m(), m(), **k),
    "cross": lambda **k: torch.cross(m(), m().T.contiguous(), **k),
    "inner": lambda **k: torch.inner(m(), m(), **k),
    "chain_matmul": lambda **k: torch.chain_matmul(m(), m(), **k),
    "isin": lambda **k: torch.isin(x(), x()[:2], **k),
    "narrow_copy": lambda **k: torch.narrow_copy(x(), 0, 1, 2, **k),
}


@pytest.mark.parametrize("name", CASES)
def test_results_are_written(name) -> None:
    f = CASES[name]
    want = f()
    if isinstance(want, tuple):
        out = tuple(torch.empty(0, dtype=w.dtype) for w in want)
        got = f(out=out)
        assert all(a is b for a, b in zip(got, out, strict=True))
        for a, b in zip(out, want, strict=True):
            assert np.array_equal(a.numpy(), b.numpy())
    else:
        out = torch.empty(0, dtype=want.dtype)
        assert f(out=out) is out
        assert np.array_equal(out.numpy(), want.numpy())


def test_what_out_must_be() -> None:
    with pytest.raises(TypeError, match="tuple of 2 Tensors"):
        torch.mode(x(), 0, out=torch.empty(0))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.median(x(), 0, out=(torch.empty(0, dtype=torch.int64), torch.empty(0).long()))
    with pytest.raises(TypeError, match="out"):
        torch.std_mean(x(), 0, out=torch.empty(0))


def test_one_of_the_inputs() -> None:
    a = x()
    torch.cummax(a, 0, out=(a, torch.empty(0, dtype=torch.int64)))
    assert np.array_equal(a.numpy(), np.maximum.accumulate(X))


def test_a_range_takes_the_type_of_out() -> None:
    out = torch.empty(0, dtype=torch.int64)
    assert torch.arange(0, 5, 1.5, out=out).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="nonzero"):
        torch.arange(0, 64, 0.5, out=out)
    with pytest.raises(RuntimeError, match="negative dims"):
        torch.empty_permuted((2, 3), (0, -1))
