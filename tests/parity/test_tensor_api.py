# ruff: noqa: E501 - tables of expressions
"""The tensor API beside PyTorch: the same expressions in both, compared in value, type and layout."""

import warnings

import numpy as np
import pytest
import torch

import rushlight

ATOL, RTOL = 1e-6, 2e-5
# Results whose layout is another than PyTorch's.
OTHER_STRIDES = {
    "torch.quantile(m, torch.tensor([0.1, 0.5]), 1, True)", "torch.rot90(m, 3)",
    "x.permute(2, 0, 1)[..., [0, 1]]", "x.permute(2, 0, 1)[True]", "x.permute(2, 0, 1)[False]",
    "x.permute(2, 0, 1)[torch.tensor(True)]", "x.permute(2, 0, 1)[..., [0, 1], :]",
    "x.permute(2, 0, 1)[None, [0]]",
}  # fmt: skip


def inputs(module):
    """Tensors of many kinds, equal in both frameworks."""
    rng = np.random.default_rng(7)

    def make(a, grad=False):
        return module.tensor(np.asarray(a), requires_grad=grad)

    f = rng.standard_normal((2, 3, 4)).astype(np.float32)
    return {
        "torch": module,
        "np": np,
        "x": make(f),
        "g": make(f.copy(), True),
        "m": make(rng.standard_normal((3, 4)).astype(np.float32)),
        "n": make(rng.standard_normal((4, 5)).astype(np.float32)),
        "b": make(rng.standard_normal((2, 4, 5)).astype(np.float32)),
        "v": make(rng.standard_normal(4).astype(np.float32)),
        "w": make(rng.standard_normal(4).astype(np.float32)),
        "p": make((rng.random((3, 4)) + 0.1).astype(np.float32)),
        "d": make(rng.standard_normal((3, 4))),
        "i": make(rng.integers(-5, 9, (3, 4))),
        "j": make(rng.integers(1, 6, (3, 4))),
        "s": make(rng.integers(-5, 9, (3, 4)).astype(np.int32)),
        "u": make(rng.integers(0, 200, (3, 4)).astype(np.uint8)),
        "k": make(rng.random((3, 4)) < 0.5),
        "o": make(np.float32(2.5)),
        "oi": make(np.int64(3)),
        "od": make(np.float64(1.5)),
        "e": make(np.zeros((0, 3), np.float32)),
        "q": make(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5], np.float32)),
        "idx": make(np.array([2, 0, 1, 2])),
        "t34": make(rng.integers(0, 3, (3, 4))),
    }


def outcome(module, text):
    """What an expression (or statements ending in one) gives, or its exception."""
    names = inputs(module)
    module.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            *body, last = text.split(";")
            for line in body:
                exec(line.strip(), names)
            return plain(eval(last.strip(), names), module)
        except Exception as error:
            return error


def plain(value, module):
    """A result without its framework: nested tuples of (kind, ...)."""
    if isinstance(value, module.Tensor):
        array = value.detach().numpy()
        return ("tensor", str(value.dtype), tuple(value.shape), value.stride(),
                bool(value.requires_grad), array.copy())  # fmt: skip
    if isinstance(value, tuple | list):
        return tuple(plain(v, module) for v in value)
    if isinstance(value, module.dtype):
        return str(value)
    return value


def assert_same(want, got, text):
    if isinstance(want, tuple) and want and isinstance(want[0], str) and want[0] == "tensor":
        assert isinstance(got, tuple) and got[:1] == ("tensor",), (text, got)
        assert got[1:3] == want[1:3], (text, "dtype, shape", want[1:3], got[1:3])
        if want[5].size and "grad" not in text and text not in OTHER_STRIDES:
            assert got[3] == want[3], (text, "strides", want[3], got[3])
        assert got[4] == want[4], (text, "requires_grad", want[4], got[4])
        np.testing.assert_allclose(got[5], want[5], RTOL, ATOL, err_msg=text)
    elif isinstance(want, tuple):
        assert isinstance(got, tuple) and len(got) == len(want), (text, want, got)
        for a, b in zip(want, got, strict=True):
            assert_same(a, b, text)
    elif isinstance(want, float):
        assert isinstance(got, float), (text, got)
        np.testing.assert_allclose(got, want, RTOL, ATOL, err_msg=text)
    else:
        assert type(got) is type(want) or type(got).__name__ == type(want).__name__, (text, got)
        assert got == want, (text, want, got)


# What is known to differ: a line that no longer does fails.
LEDGER = {
    "torch.pow(u, 300)",  # a number that does not fit
    "y = x.clone(); y[True, 0] = torch.tensor([1]); y",
    "y = x.clone(); y[torch.tensor(True)] = torch.tensor([1]); y", "y = x.clone(); y[True, 0] = od; y", "y = x.clone(); y[torch.tensor(True)] = od; y",
}  # fmt: skip


def check(text):
    if text in LEDGER:
        with pytest.raises(AssertionError):
            compare(text)
    else:
        compare(text)


def compare(text):
    want, got = outcome(torch, text), outcome(rushlight, text)
    if isinstance(want, Exception):
        assert isinstance(got, Exception), f"{text}: {want!r} expected, got {got!r}"
        assert isinstance(got, type(want)) or type(got).__name__ == type(want).__name__, (
            f"{text}: {want!r} expected, got {got!r}"
        )
        return
    if isinstance(got, Exception):
        raise AssertionError(f"{text}: {got!r}") from got
    assert_same(want, got, text)


UNARY = [
    "abs",
    "absolute",
    "neg",
    "negative",
    "sign",
    "sgn",
    "square",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "tanh",
    "sigmoid",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "relu",
    "floor",
    "ceil",
    "trunc",
    "fix",
    "frac",
    "round",
    "logical_not",
    "deg2rad",
    "rad2deg",
    "isnan",
    "isinf",
    "isfinite",
    "isposinf",
    "isneginf",
    "signbit",
    "positive",
    "nan_to_num",
    "logit",
]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "true_divide",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "atan2",
    "remainder",
    "fmod",
    "floor_divide",
    "copysign",
    "logaddexp",
    "xlogy",
    "hypot",
    "heaviside",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "pow",
    "multiply",
    "subtract",
    "divide",
    "greater",
    "less",
]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize(
    "operand", ["x", "p", "d", "i", "s", "u", "k", "q", "o", "oi", "e", "m.t()"]
)
def test_unary(name, operand):
    check(f"torch.{name}({operand})")
    check(f"({operand}).{name}()")


@pytest.mark.parametrize("name", UNARY)
def test_unary_in_place(name):
    check(f"y = p.clone(); y.{name}_(); y")
    check(f"y = i.clone(); y.{name}_(); y")


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "operands",
    ["m, p", "m, 2", "m, 2.5", "i, j", "i, 3", "i, 2.5", "m, d", "i, p", "u, s", "k, k", "m, v", "m, o",
     "i, o", "s, oi", "s, od", "m, od", "x, m", "m, torch.ones(2, 2)", "k, 1", "k, True", "u, 300", "m, True",
     "m, np.float64(2.0)", "i, np.int64(2)", "m, 'a'", "o, oi", "2, m"],
)  # fmt: skip
def test_binary(name, operands):
    check(f"torch.{name}({operands})")


@pytest.mark.parametrize("name", BINARY)
def test_binary_in_place(name):
    for other in ("p", "2", "v", "x", "o"):
        check(f"y = m.clone(); y.{name}_({other}); y")
    check(f"y = i.clone(); y.{name}_(2); y")
    check(f"y = i.clone(); y.{name}_(2.5); y")


EXPRESSIONS = """
m + 1; m - 1.5; 2 * m; 1 / p; m ** 2; m ** 3; p ** 0.5; p ** -1; p ** -2; p ** 2.5; 2 ** m; i ** 2; i ** 2.0; i ** -1
j ** j; m // p; m % p; i // j; i % j; -i // j; -i % 3; 7 // j; 7 % j; m // 0.3; i // 2; -m; ~i; ~k; +m; abs(m); k & k; k | k; k ^ True
i & 3; i | j; i ^ j; i << 1; i >> 1; 1 - m; 3 / j; i / j; i * 2.5; i + True; k + k; k * k; k - k; -k; k + 1; m == p; m != 1; i < j; i >= 2
m @ n; m @ v; v @ w; v @ n; b @ n.t(); m.t() @ m; x @ b; x @ n; v @ b; m @ m; v @ m; o @ m; i @ i.t(); m @ d.t()
""".replace("\n", "; ").split("; ")
FUNCTIONS = """
torch.add(m, p, alpha=2)|torch.add(i, j, alpha=2)|torch.add(i, j, alpha=2.5)|torch.sub(m, 1, alpha=3)|torch.rsub(m, 1)
torch.div(m, p, rounding_mode='floor')|torch.div(m, p, rounding_mode='trunc')|torch.div(i, j, rounding_mode='floor')|torch.div(i, j, rounding_mode='trunc')|torch.div(i, 2, rounding_mode='trunc')|torch.div(i, j, rounding_mode='x')|torch.div(i, 2.5, rounding_mode='floor')
torch.clamp(m, 0, 1)|torch.clamp(m, min=0.5)|torch.clamp(m, max=v)|m.clamp(-0.5)|torch.clamp(m)|torch.clamp(i, 0, 3)|torch.clamp(i, 0.5, 3)|torch.clamp_min(m, 0)|m.clip(0, 1)|torch.clamp(m, p, p + 1)
torch.where(m > 0, m, p)|torch.where(m > 0, m, 0.)|torch.where(m > 0, 1, 0)|torch.where(k, i, m)|torch.where(k)|m.where(k, 0)|torch.where(m, m, m)|torch.where(k, 1., 2.)|torch.where(k, m, d)
torch.addcmul(m, p, p, value=0.5)|torch.addcdiv(m, m, p, value=2)|torch.addcdiv(i, i, j)|torch.lerp(m, p, 0.3)|torch.lerp(m, p, 0.7)|torch.lerp(m, p, p)|torch.lerp(m, d, 0.5)
torch.isclose(m, m + 1e-9)|torch.allclose(m, m)|torch.allclose(m, p)|torch.equal(m, m.clone())|torch.equal(m, p)|torch.equal(m, v)|torch.isclose(q, q, equal_nan=True)|torch.isclose(i, i)
torch.float_power(m, 2)|torch.pow(2, i)|torch.pow(p, v)|torch.pow(2.0, i)|torch.round(m, decimals=2)|torch.round(m * 100, decimals=-1)|torch.nan_to_num(q, 1., 2., 3.)
torch.sum(x)|x.sum(1)|x.sum((0, 2), keepdim=True)|x.sum(-1, dtype=torch.float64)|i.sum()|k.sum()|k.sum(0)|s.sum(0)|u.sum()|e.sum()|e.sum(0)|o.sum()|o.sum(0)|x.sum(5)|x.sum((0, 0))|x.sum(())|i.sum(dtype=torch.float32)
x.mean()|x.mean(1)|x.mean((0, 1), True)|i.mean()|i.mean(dtype=torch.float32)|e.mean()|x.mean(dim=-1, keepdim=True)|torch.mean(x, [0, 1])|q.nansum()|q.nanmean()
x.prod()|x.prod(1)|i.prod()|i.prod(0)|k.prod()|e.prod()|x.prod(1, keepdim=True)
x.max()|x.max(1)|x.max(1, keepdim=True)|x.max(dim=-1).values|torch.max(m, p)|i.max()|i.max(0)|k.max()|u.max(0)|e.max()|e.max(1)|e.max(0)|x.min(2)|torch.min(m, p)|x.min()|o.max(0)|q.max()|q.min(0)|x.max(1).indices
x.amax()|x.amax(1)|x.amax((0, 1))|x.amin(0, keepdim=True)|x.argmax()|x.argmax(1)|x.argmax(1, keepdim=True)|x.argmin(-1)|i.argmax(0)|k.argmax()|torch.aminmax(x, dim=1)|torch.aminmax(x)|q.argmax()|e.argmax()
x.all()|k.all()|k.all(0)|k.any(1)|k.any()|u.any()|u.all(0)|(x > 0).any((0, 1))|i.all()|e.all()|e.any(0)|torch.count_nonzero(i)|torch.count_nonzero(i, 0)
x.var()|x.var(1)|x.std()|x.std(0)|x.var(unbiased=False)|x.var(1, False)|x.std(1, keepdim=True)|x.var(dim=1, correction=0)|torch.var_mean(x, 1)|torch.std_mean(x)|i.var()|o.var()|x.std((0, 1), correction=0, keepdim=True)
x.norm()|x.norm(1)|x.norm(dim=1)|x.norm(3, 0)|x.norm(float('inf'))|x.norm(p=2, dim=(0, 1))|i.norm()|torch.norm(m, 'fro')|x.norm(0)|x.norm(float('-inf'), 1)|torch.dist(m, p)|torch.dist(m, p, 1)
x.logsumexp(1)|x.logsumexp((0, 1), keepdim=True)|torch.logsumexp(q, 0)|x.softmax(1)|torch.softmax(x, -1)|x.log_softmax(0)|i.softmax(0)|i.softmax(0, dtype=torch.float32)|o.softmax(0)|x.softmax(1, torch.float64)|i.float().softmax(1)
x.cumsum(1)|i.cumsum(0)|k.cumsum(1)|x.cumprod(2)|s.cumsum(0)|o.cumsum(0)|x.cumsum(-1, dtype=torch.float64)|x.cummax(1)|x.cummin(0)|x.diff()|i.diff(dim=0)|x.diff(2)
torch.sort(x)|x.sort(1, descending=True)|i.sort(0)|i.sort(stable=True)|x.argsort(1)|torch.topk(x, 2)|x.topk(2, 1, largest=False)|x.topk(9)|x.kthvalue(2)|x.median()|x.median(1)|i.median(0)|torch.mode(i, 1)|o.sort()|torch.msort(m)
torch.quantile(m, 0.3)|torch.quantile(m, torch.tensor([0.1, 0.5]), 1)|m.quantile(0.5, 0, True)|torch.quantile(d, 0.25, interpolation='nearest')|torch.quantile(m, torch.tensor([0.1, 0.5]), 1, True)
torch.unique(i)|torch.unique(i, return_inverse=True, return_counts=True)|torch.unique(i, dim=0)|torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 1]), return_inverse=True, return_counts=True)|torch.bincount(idx)|torch.bincount(idx, v)|torch.bincount(idx, minlength=6)|torch.histc(m, 4, -1, 1)|torch.histc(m, 5)
torch.searchsorted(torch.tensor([1., 2., 3.]), m)|torch.bucketize(m, torch.tensor([-1., 0., 1.]), right=True)|torch.isin(i, j)|torch.combinations(v)|torch.combinations(v, 3)|torch.combinations(v, 2, True)
x.view(6, 4)|x.view(-1)|x.view(2, -1)|x.view(5, 5)|m.t().view(12)|x.reshape(4, 6)|m.t().reshape(-1)|x.reshape((2, 12))|x.view(x.size())|torch.reshape(x, (-1, 2))|x.view(-1, -1)|e.view(-1)|e.view(0, -1)|e.reshape(3, 0)|x.view_as(b[..., :3].reshape(2, 3, 4))|x.view(torch.int32)|x.view(-1, 0)
x.flatten()|x.flatten(1)|x.flatten(0, 1)|torch.flatten(m.t())|o.flatten()|x.flatten(2, 1)|x.unflatten(2, (2, 2))|x.unflatten(-1, (-1, 2))|x.ravel()|m.t().ravel()|x.unflatten(1, (2, 2))|torch.flatten(x, start_dim=1)
x.permute(2, 0, 1)|x.permute((1, 0, 2))|torch.permute(x, (0, -1, 1))|x.permute(0, 1)|x.permute(0, 0, 1)|x.transpose(0, 2)|x.transpose(-1, -2)|x.transpose(0, 5)|m.t()|m.T|x.mT|x.t()|v.t()|o.t()|x.movedim(0, 2)|torch.movedim(x, (0, 1), (1, 2))|x.swapaxes(0, 1)|o.T|x.adjoint()
x.unsqueeze(0)|x.unsqueeze(-1)|x.unsqueeze(3)|x.unsqueeze(5)|x[:1].squeeze()|x[:1].squeeze(0)|x.squeeze(1)|x[:1, :1].squeeze((0, 1))|o.unsqueeze(0)|o.squeeze()|x.squeeze(7)|m.t().unsqueeze(1)
v.expand(3, 4)|v.expand(3, -1)|v.expand(3, 5)|m.expand(4)|v.expand_as(m)|torch.broadcast_to(v, (2, 4))|o.expand(2, 3)|m[:, :1].expand(-1, 4)|v.expand(-1, 4)|torch.broadcast_tensors(m, v)|torch.broadcast_shapes((2, 1), (3,))|torch.broadcast_shapes((2,), (3,))
v.repeat(2)|v.repeat(2, 3)|m.repeat(1, 2)|m.repeat(2)|v.tile(2, 2)|torch.tile(m, (2,))|m.repeat(0, 1)|m.repeat_interleave(2)|m.repeat_interleave(2, 0)|torch.repeat_interleave(m, torch.tensor([1, 0, 2]), dim=0)|torch.repeat_interleave(torch.tensor([1, 2]))|m.repeat_interleave(torch.tensor([1, 2]), 0)
torch.cat([m, p])|torch.cat((m, p), 1)|torch.cat([m, d])|torch.cat([m, i], -1)|torch.cat([m, n])|torch.cat([o, o])|torch.cat([])|torch.cat([m, torch.tensor([])])|torch.cat([m])|torch.cat([m, v])|torch.cat([k, k])|torch.concat([v, w])|torch.cat([m.t(), p.t()])|torch.cat(m)|torch.cat([m, 1])
torch.stack([v, w])|torch.stack([v, w], 1)|torch.stack([v, w], -1)|torch.stack([o, o])|torch.stack([v, m])|torch.stack([])|torch.hstack([v, w])|torch.vstack([v, w])|torch.dstack([v, w])|torch.column_stack([v, w])|torch.hstack([m, p])|torch.block_diag(m, n)|torch.atleast_2d(v)|torch.atleast_3d(m)|torch.atleast_1d(o)
x.split(2)|x.split(2, 1)|torch.split(x, [1, 3], 2)|torch.split(x, [1, 1], 2)|x.chunk(2, 2)|x.chunk(3, 2)|x.chunk(9, 1)|x.chunk(0)|torch.tensor_split(x, 3, 2)|torch.tensor_split(x, (1, 3), 2)|x.unbind()|x.unbind(1)|o.unbind()|torch.hsplit(m, 2)|torch.vsplit(m, 3)|torch.split(v, 3)|e.split(2)
x.narrow(1, 0, 2)|x.narrow(2, -2, 2)|x.narrow(1, 2, 2)|x.select(1, 0)|x.select(0, -1)|x.select(0, 2)|o.select(0, 0)|x.flip(0)|x.flip(0, 2)|x.flip((1,))|torch.flip(m, [0, 0])|x.roll(1)|x.roll(1, 0)|x.roll((1, -1), (0, 2))|m.fliplr()|m.flipud()|torch.rot90(m)|torch.rot90(m, 2)|torch.rot90(m, 3)|torch.rot90(x, 1, [1, 2])
torch.meshgrid(v, w, indexing='ij')|torch.meshgrid(v, w[:2], indexing='xy')|torch.cartesian_prod(v, w)|v.diag()|v.diag(1)|m.diag()|m.diag(-1)|x.diag()|x.diagonal()|x.diagonal(1, 0, 2)|m.diagonal(-2)|torch.diag_embed(m)|torch.diag_embed(m, 1)|torch.diag_embed(m, 0, 0, 2)|v.diagflat()|torch.trace(m)|m.diagonal(0, 0, 0)
m.tril()|m.triu()|x.tril(1)|x.triu(-1)|torch.tril(i)|torch.triu(k)|v.tril()|torch.tril_indices(3, 4)|torch.triu_indices(3, 3, 1)|m.unfold(1, 2, 1)|v.unfold(0, 2, 2)|v.unfold(0, 9, 1)|m.as_strided((2, 2), (1, 2))|m.as_strided((2, 2), (1, 2), 3)|torch.kron(m, torch.eye(2))|torch.cross(x[..., :3], x[..., 1:], dim=2)
torch.mm(m, n)|torch.mm(m, v)|torch.bmm(x, b)|torch.bmm(x, x)|torch.mv(m, v)|torch.dot(v, w)|torch.dot(v, m)|torch.dot(v, torch.ones(3))|torch.outer(v, w)|torch.outer(m, v)|torch.inner(m, p)|torch.inner(v, w)|torch.matmul(x, n)|torch.matmul(m, v)|torch.mm(m, d)|torch.mm(m, m)
torch.addmm(torch.ones(5), m, n)|torch.addmm(torch.ones(3, 5), m, n, beta=0.5, alpha=2)|torch.addmv(torch.ones(3), m, v)|torch.baddbmm(torch.ones(2, 3, 5), x, b)|torch.addbmm(torch.ones(3, 5), x, b)|torch.addr(torch.ones(4, 4), v, w)|torch.tensordot(x, b, 1)|torch.tensordot(x, x, ([0, 1], [0, 1]))|torch.chain_matmul(m, n, n.t())
torch.einsum('ij,jk->ik', m, n)|torch.einsum('bij,bjk->bik', x, b)|torch.einsum('ij->ji', m)|torch.einsum('ij->', m)|torch.einsum('i,i', v, w)|torch.einsum('i,j->ij', v, w)|torch.einsum('...ij,jk->...ik', x, n)|torch.einsum('ii->i', m @ m.t())|torch.einsum('bij,jk,kl->bil', x, n, n.t())|torch.einsum('ij,ij->i', m, p)|torch.einsum('ij,jk', m, n)|torch.einsum('ij,kj->ik', m, n)|torch.einsum('abc,abc->', x, x)|torch.einsum('ij', m, n)|torch.einsum('b...,b...->b', x, x)
x.gather(1, torch.zeros(2, 1, 4, dtype=torch.long))|m.gather(0, t34)|m.gather(0, t34 + 5)|m.gather(0, m)|m.gather(1, idx)|torch.gather(m, 1, t34[:, :2])|m.index_select(0, idx)|m.index_select(1, idx)|m.index_select(0, t34)|v.index_select(0, oi)|torch.take(m, t34)|torch.take_along_dim(m, t34, 0)|torch.take_along_dim(m, m.argsort(1), 1)
m.scatter(0, t34, p)|m.scatter(0, t34[:1], 5.)|m.scatter(1, t34, p, reduce='add')|m.scatter_add(0, t34, p)|torch.zeros(3, 5).scatter_(1, t34, 1.)|torch.zeros(3, 4).scatter_add_(0, t34, p)|m.scatter(0, t34, d)|m.scatter_reduce(0, t34, p, 'sum')|m.scatter_reduce(0, t34, p, 'mean', include_self=False)|m.scatter(1, t34, value=2)|m.scatter(0, t34 + 9, p)
m.index_add(0, idx, torch.ones(4, 4))|m.index_add(0, idx, torch.ones(4, 4), alpha=2)|m.index_copy(0, idx[:2], torch.ones(2, 4))|m.index_fill(1, idx[:2], 7)|m.index_put((idx, idx), v)|m.clone().index_put_((idx,), v, accumulate=True)|m.clone().index_add_(1, idx, torch.ones(3, 4))|m.clone().put_(idx, v)|m.index_add(0, idx, torch.ones(4, 4).double())
m.masked_fill(k, 0)|m.masked_fill(k, float('-inf'))|m.masked_fill(i, 0)|x.masked_fill(k[None], o)|m.masked_fill(k, v)|i.masked_fill(k, 2)|i.masked_fill(k, 2.5)|m.masked_select(k)|m.masked_select(k[0])|v.masked_fill(k, 1)|m.clone().masked_fill_(k, 3)|v.clone().masked_fill_(k, 1)|m.masked_scatter(k, x)
torch.nonzero(i)|i.nonzero(as_tuple=True)|torch.nonzero(o)|torch.argwhere(k)|o.nonzero(as_tuple=True)|e.nonzero()
m.to(torch.float64)|m.double()|m.long()|q[3:].int()|m.bool()|i.float()|i.to(torch.uint8)|m.to('cpu')|m.to(d)|m.type(torch.int32)|m.type()|i.type()|m.type_as(i)|k.float()|m.byte()|m.to(torch.float32) is m|m.to(torch.float32, copy=True) is m|m.to(dtype=torch.float64)|m.to('cpu', torch.float64)|m.short()|m.char()|m.type('torch.DoubleTensor')
m.contiguous() is m|m.t().contiguous()|m.t().clone()|m.clone(memory_format=torch.contiguous_format)|m.t().is_contiguous()|m.numel()|m.dim()|m.ndim|m.size()|m.size(1)|m.size(-3)|m.stride()|m.stride(0)|m[1:].storage_offset()|m.element_size()|m.shape|len(m)|len(o)|m.nelement()|m.is_floating_point()|i.is_floating_point()|m.nbytes|m.itemsize
m.tolist()|o.tolist()|i.tolist()|k.tolist()|o.item()|m.item()|oi.item()|k[0, 0].item()|float(o)|int(o)|bool(o)|bool(m)|int(oi)|float(m)|[1, 2, 3, 4][oi]|f'{o:.3f}'|f'{oi}'|'%.2f' % o|round(float(o), 1)|m.is_leaf|2.5 in o.reshape(1)|list(v)|[r for r in m][0]|list(o)|max(v.tolist())|sum(v)|bool(torch.tensor([]))
m.new_zeros(2, 3)|i.new_ones((2,))|m.new_full((2,), 3)|m.new_tensor([1, 2])|m.new_empty(2).shape|d.new_zeros(2).dtype|m.new_zeros(2, dtype=torch.int64)
torch.zeros(2, 3)|torch.zeros((2, 3), dtype=torch.int64)|torch.ones(2)|torch.ones([2, 3])|torch.zeros(())|torch.zeros(0, 3)|torch.zeros(-1)|torch.zeros(2.5)|torch.zeros(2, dtype='a')|torch.full((2,), 3)|torch.full((2,), 3.)|torch.full((2,), True)|torch.full((2,), 3, dtype=torch.float64)|torch.full(2, 3)|torch.zeros(2, requires_grad=True)|torch.zeros(2, dtype=torch.int64, requires_grad=True)|torch.zeros(torch.Size([2]))|torch.zeros(size=(2, 2))|torch.empty(2, 3).shape|torch.ones(2, 3, dtype=float)|torch.zeros(oi, 2)
torch.zeros_like(m)|torch.ones_like(m.t())|torch.ones_like(i, dtype=torch.float32)|torch.full_like(m, 2)|torch.empty_like(m).shape|torch.zeros_like(g)|torch.zeros_like(g, requires_grad=True)|torch.ones_like(m[:, ::2])|torch.zeros_like(x.permute(2, 0, 1))|torch.zeros_like([1])|torch.ones_like(v.expand(3, 4))
torch.arange(5)|torch.arange(5.)|torch.arange(1, 2, 0.25)|torch.arange(1, 5)|torch.arange(5, 1, -2)|torch.arange(0, 1, 0)|torch.arange(1, 0)|torch.arange(0, 5, 2, dtype=torch.float32)|torch.arange(0, 1, 0.1)|torch.arange(start=1, end=3)|torch.arange(oi)|torch.arange(100.)|torch.arange(0., 50., 0.3)|torch.arange(3, dtype=torch.uint8)|torch.arange(2.5)|torch.arange(-1)
torch.linspace(0, 1, 5)|torch.linspace(-3, 3, 7)|torch.linspace(0, 10, 5, dtype=torch.int64)|torch.linspace(0, 1, 1)|torch.linspace(0, 1, 0)|torch.linspace(0, 1, -1)|torch.linspace(0, 1, 100)|torch.logspace(0, 2, 3)|torch.logspace(0, 3, 4, base=2)|torch.eye(3)|torch.eye(2, 3)|torch.eye(3, dtype=torch.bool)|torch.linspace(0, 1, 6, dtype=torch.float64)|torch.range(1, 3)
torch.tensor([1, 2, 3])|torch.tensor([[1., 2], [3, 4]])|torch.tensor(3)|torch.tensor(3.5)|torch.tensor(True)|torch.tensor([True, 2])|torch.tensor([])|torch.tensor([[], []])|torch.tensor([1, 2], dtype=torch.float32)|torch.tensor([1.7, -1.7], dtype=torch.int64)|torch.tensor([[1, 2], [3]])|torch.tensor([[1, 2], 3])|torch.tensor(['a'])|torch.tensor(None)|torch.tensor([1 << 70])|torch.tensor([300], dtype=torch.uint8)|torch.tensor([-1], dtype=torch.uint8)|torch.tensor(np.arange(3))|torch.tensor(np.float32(2))|torch.tensor(np.float64(2))|torch.tensor([np.float32(1), 2.0])|torch.tensor([o, 1.])|torch.tensor([torch.tensor([1])])|torch.tensor([v])|torch.tensor(range(3))|torch.tensor((1, 2))|torch.tensor([1.5], requires_grad=True)|torch.tensor([1], requires_grad=True)|torch.tensor(m)|torch.tensor([0.0, np.float64(1)])|torch.tensor([[1], [2.5]])|torch.tensor([1e400])|torch.tensor({1: 2})
torch.as_tensor([1, 2])|torch.as_tensor(m) is m|torch.as_tensor(np.ones(2)).dtype|torch.from_numpy(np.arange(4.)[::2])|torch.from_numpy(np.arange(4)[::-1])|torch.from_numpy([1])|a = np.zeros(3); y = torch.from_numpy(a); a[0] = 5; y|a = np.zeros(3); y = torch.from_numpy(a); y += 1; y.numpy().sum() + a.sum()
torch.rand(3, 4)|torch.randn(3, 5)|torch.randn(20)|torch.randint(10, (5,))|torch.randint(3, 10, (2, 3))|torch.randperm(10)|torch.rand_like(m)|torch.randn_like(d)|torch.normal(0., 1., (4,))|torch.normal(torch.zeros(3), 1.)|torch.normal(1., torch.ones(20))|torch.bernoulli(torch.full((8,), 0.5))|torch.multinomial(torch.tensor([0.2, 0.3, 0.5]), 2)|torch.multinomial(torch.ones(2, 4), 6, replacement=True)|torch.empty(4).uniform_(-1, 1)|torch.empty(20).normal_(1, 2)|torch.empty(5).random_(10)|torch.empty(6).bernoulli_(0.3)|torch.empty(4).exponential_()|torch.rand(2, dtype=torch.int64)|torch.randint(5, 2, (2,))|torch.rand(3, generator=torch.Generator().manual_seed(5))|torch.initial_seed()|torch.empty(4, 5).t().normal_()|torch.randint(0, 2, (3,), dtype=torch.float32)|torch.get_rng_state().dtype
torch.result_type(i, 1.5)|torch.result_type(m, d)|torch.result_type(o, i)|torch.promote_types(torch.int32, torch.uint8)|torch.can_cast(torch.float32, torch.int64)|torch.can_cast(torch.int64, torch.uint8)|torch.is_tensor(m)|torch.is_tensor(1)|torch.numel(m)|torch.is_floating_point(i)|torch.finfo(torch.float32).eps|torch.iinfo(torch.int16).max|repr(torch.finfo(torch.float64))|torch.finfo(torch.int64)|torch.get_default_dtype()|torch.set_default_dtype(torch.int64)
np.asarray(m).shape|np.sqrt(p)|np.add(m, 1)|np.mean(m.numpy())|m.numpy().dtype|g.numpy()|g.detach().numpy().shape|np.ones(4, np.float32) * v|v * np.ones(4, np.float32)|v + np.float32(2)|np.float32(2) * v|np.float64(2) * v|isinstance(m, torch.FloatTensor)|isinstance(i, torch.FloatTensor)|torch.FloatTensor([1, 2])|torch.LongTensor([1, 2])|torch.FloatTensor(2, 3).shape|np.array([1., 2.]) @ np.array([1., 1.])
m.sum_to_size(1, 4)|m.sum_to_size(4)|m.sum_to_size(5)|g.sum()|(g * 2).requires_grad|g.detach().requires_grad|(g > 0)|g.long()|g.max(1)|g.argmax()|g.view(-1)[0]|m.data|g.data|m.exp().log()|m.is_same_size(p)|torch.zeros(1).is_nonzero()|torch.is_nonzero(o)|m.__len__()
x.sum(axis=1)|x.mean(axis=(0, 1), keepdims=True)|x.max(axis=1)|x.argmax(axis=0)|torch.stack([v, w], axis=1)|x.std(axis=1)|x.softmax(axis=1)|torch.sort(x, axis=0)|x.unsqueeze(axis=0)|torch.flip(x, dims=(0, 1))|x.flip(dims=[1])|x.all(axis=0)|torch.sum(x, axis=-1, keepdim=True)|x.norm(dim=1, keepdim=True)|torch.squeeze(x[:1], axis=0)|x.cumsum(axis=0)|x.prod(axis=1)|x.roll(1, dims=0)|torch.split(x, 2, dim=1)|x.amax(axis=1)|x.permute(dims=(1, 0, 2))|x.reshape(shape=(4, 6))|x.view(size=(6, 4))|v.expand(size=(2, 4))|v.repeat(repeats=(2,))|torch.permute(x, dims=(1, 0, 2))|torch.reshape(input=x, shape=(-1,))|torch.sum(input=x)|torch.unsqueeze(input=x, dim=0)|torch.cat(tensors=(v, w))|torch.cat(dim=0, tensors=(v, w))|torch.matmul(input=m, other=n)|x.permute(foo=1)
torch.exp(m, out=torch.empty(3, 4))|torch.add(m, p, out=torch.empty(3, 4))|torch.add(m, d, out=torch.empty(3, 4))|torch.add(i, m, out=torch.zeros(3, 4, dtype=torch.long))|torch.exp(3)|torch.exp()|m.foo|torch.sum([1])|torch.relu(m)|torch.relu_(m.clone())|torch.sigmoid(i)|torch.square(i)
""".strip().replace("\n", "|").split("|")  # fmt: skip


@pytest.mark.parametrize("text", [*EXPRESSIONS, *FUNCTIONS])
def test_expression(text):
    if text.strip():
        check(text)


INDICES = """0|-1|5|-3|1:|:1|::2|1:0|::-1|None|...|()|0, 1|0, 1, 2|0, 0, 0, 0|:, 0|..., 0|0, ...|:, None, 0|[0, 1]|[0, 5]
[[0, 1], [1, 2]]|[0, 1], [1, 2]|[0, 1], [0, 1, 2]|[0, 1], :, [1, 2]|0, :, [1, 2]|[0, 1], None, [1, 2]|..., [0, 1]|True|False|True, 0
torch.tensor(True)|torch.tensor(1)|torch.tensor([1, 0])|torch.tensor([[0, 1], [1, 0]])|torch.tensor([0, 5])|torch.tensor([-1])
x > 0|x[0] > 0|(x > 0)[:, 0]|torch.tensor([True, False])|torch.tensor([True, False, True])|:, torch.tensor([True, False, True])
np.array([0, 1])|np.int64(1)|1.5|'a'|torch.tensor([0.5])|[True, False]|[]|torch.tensor([], dtype=torch.long)|range(2)|torch.tensor([0, 1], dtype=torch.uint8)
[torch.tensor(0), torch.tensor(1)]|:, 1:, ::3|0:torch.tensor(1)|..., [0, 1], :|slice(0, 1)|None, [0]|:, torch.tensor([0, 2]), 1:3|torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([3, 0])
1, [True, False, True]|:, :, [0, 0, 3]|torch.tensor([1, 0], dtype=torch.int32)|-1, ..., -1|..., None|None, ..., None|0, None, 1|[slice(0, 1), 0]
""".strip().replace("\n", "|").split("|")  # fmt: skip


@pytest.mark.parametrize("index", INDICES)
def test_getitem(index):
    check(f"x[{index}]")
    check(f"x.permute(2, 0, 1)[{index}]")


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("value", ["7", "2.5", "o", "od", "torch.ones(4)", "torch.ones(1, 1, 4)", "torch.ones(2)", "[1, 2]", "np.float32(3)", "torch.tensor([1])"])  # fmt: skip
def test_setitem(index, value):
    if "uint8" in index:
        pytest.skip("PyTorch 2.13 reads such a mask and refuses to write under it")
    check(f"y = x.clone(); y[{index}] = {value}; y")


@pytest.mark.parametrize("index", ["0", "1:", "[0, 1]", "x > 0", "..., 0", "[0, 1], [1, 2]", "torch.tensor([[0, 0], [1, 0]])"])  # fmt: skip
def test_gradients_of_indexing(index):
    check(f"(g[{index}] ** 2).sum().backward(); g.grad")
    check(f"y = g * 1; y[{index}] = 2; (y ** 2).sum().backward(); g.grad")


GRADIENTS = """(g.view(6, 4) * 2).sum()|g.permute(2, 0, 1).reshape(-1).sin().sum()|g.max(1).values.sum()|g.amax(1).sum()|g.softmax(-1).square().sum()
g.sort(1).values[:, 0].sum()|g.cumsum(1).square().sum()|torch.cat([g, g * 2], 1).square().sum()|torch.stack([g, g]).prod()|g.std()|g.norm()|g.logsumexp(0).sum()
torch.where(g > 0, g, g * 0.1).square().sum()|g.clamp(-0.5, 0.5).square().sum()|(g @ b).square().sum()|torch.einsum('bij,bkj->bik', g, g).sum()|g.expand(3, 2, 3, 4).square().mean()
g.flip(0).square()[0].sum()|g.roll(1, 1)[0].exp().sum()|g.tril().square().sum()|g.masked_fill(g > 0, 0).square().sum()|g.gather(1, torch.zeros(2, 2, 4, dtype=torch.long)).square().sum()
g.index_select(1, idx).square().sum()|(g ** 3).sum()|(g.abs() ** 0.5).sum()|(2 ** g).sum()|g.unfold(2, 2, 1).square().sum()|g.diagonal(0, 1, 2).square().sum()|g.repeat(2, 1, 1).square().sum()
g.topk(2).values.square().sum()|g.var(1).sum()|g.double().prod(1).sum()|(g / (g * g + 1)).sum()|torch.lerp(g, g * 2, 0.3).square().sum()|g.double().square().sum()|g[:, 0].t().square().sum()|g.chunk(2, 2)[1].square().sum()
g.asinh().sum()|g.sinh().sum()|g.atan().sum()|(g.tanh() * 0.9).atanh().sum()|(g.abs() + 1.1).acosh().sum()|g.fmod(0.7).sum()|g.remainder(0.7).sum()|g.logaddexp(g * 2).sum()|g.tan().sum()|g.frac().sum()|torch.hypot(g, g + 5).sum()
""".strip().replace("\n", "|").split("|")  # fmt: skip


@pytest.mark.parametrize("text", GRADIENTS)
def test_gradients(text):
    check(f"({text}).backward(); g.grad")
    check(f"torch.autograd.grad({text}, g)")
    check(f"r = torch.autograd.grad({text}, g, create_graph=True)[0]; (r ** 2).sum().backward(); g.grad")  # fmt: skip
