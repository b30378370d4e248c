"""Half and bfloat16: computed in float32 and rounded once, the same fused and one at a time."""

import math

import ml_dtypes
import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.base.settings import settings

KINDS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
kinds = pytest.mark.parametrize("name", KINDS)


def patterns(name):
    """All numbers of a type, as float32."""
    with np.errstate(invalid="ignore"):
        return np.arange(1 << 16, dtype=np.uint16).view(KINDS[name]).astype(np.float32)


def fused(f, *operands):
    """`f`'s value, computed by a plan that is checked against one operation at a time."""
    before = settings.verify
    settings.verify = True
    try:
        for _ in range(4):
            made = f(*operands)
            made.sum().item() if made.dtype.is_floating_point else made.any().item()
            found = made.to(torch.float32).numpy()
    finally:
        settings.verify = before
    return found


def same(found, wanted):
    wanted = wanted.astype(np.float32)
    assert ((found == wanted) | (np.isnan(found) & np.isnan(wanted))).all()


@kinds
def test_every_number_survives(name):
    """Memory to register and back, in plans and alone, for every bit pattern."""
    kind = getattr(torch, name)
    values = patterns(name)
    x = torch.from_numpy(values).to(kind)
    same(fused(lambda v: v.clone(), x), values)
    same(fused(lambda v: v.to(torch.float32), x), values)


@kinds
def test_rounding(name, rng=np.random.default_rng(0)):
    """Rounding is to nearest, ties to even, at every size: halfway cases included."""
    kind = getattr(torch, name)
    values = patterns(name)
    values = np.sort(values[np.isfinite(values)])
    halfway = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    near = np.concatenate([halfway, np.nextafter(halfway, 1e38), np.nextafter(halfway, -1e38)])
    wild = rng.integers(0, 1 << 32, 50_000, dtype=np.uint32).view(np.float32)
    for a in (near, wild):
        with np.errstate(all="ignore"):
            wanted = a.astype(KINDS[name])
        same(fused(lambda v: v.to(kind), torch.from_numpy(a)), wanted)


def pair(name):
    rng = np.random.default_rng(1)
    kind = getattr(torch, name)
    return [
        torch.from_numpy(rng.standard_normal((33, 17)).astype(np.float32)).to(kind)
        for _ in range(2)
    ]


@kinds
@pytest.mark.parametrize("f", ["add", "mul", "div", "atan2", "maximum", "hypot"])
def test_one_rounding_an_operation(name, f):
    x, y = pair(name)
    f = getattr(torch, f)
    same(fused(f, x, y), f(x.float(), y.float()).to(x.dtype).float().numpy())


@kinds
@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: (x * y + 1).tanh() - 0.3,
        lambda x, y: (x.t() @ y).relu().sum(0),
        lambda x, y: torch.where(x > y, x, 0.1).cumsum(1),
        lambda x, y: torch.nn.functional.layer_norm(x, (17,)) * y.exp(),
    ],
)
def test_plans_round_where_operations_do(name, f):
    """`fused` compares every plan with one operation at a time."""
    assert np.isfinite(fused(f, *pair(name))).all()


@kinds
def test_numbers_are_rounded_first_but_factors_are_not(name):
    x = torch.tensor([0.1, 3.0], dtype=getattr(torch, name))
    assert (x == 0.1).tolist() == [True, False]
    wide = np.float32(x[1].item()) * np.float32(0.1)
    assert (x * 0.1)[1].item() == float(wide.astype(KINDS[name]))


@kinds
def test_sums_and_products_are_kept_in_float32(name):
    kind = getattr(torch, name)
    x = torch.full((4096,), 0.1, dtype=kind)
    wanted = float(np.float32(x[0].item() * 4096).astype(KINDS[name]))
    assert math.isclose(x.sum().item(), wanted, rel_tol=0.01)
    a = torch.randn(20, 300).to(kind)
    b = torch.randn(300, 10).to(kind)
    same(fused(lambda a, b: a @ b, a, b), (a.float() @ b.float()).to(kind).float().numpy())
    same(fused(lambda a, b: a.mean(1), a, b), a.float().mean(1).to(kind).float().numpy())
    same(fused(lambda a, b: a.softmax(1), a, b), a.float().softmax(1).to(kind).float().numpy())


@kinds
def test_training(name):
    """A step in a narrow type: gradients have it, and a fit gets better."""
    torch.manual_seed(0)
    kind = getattr(torch, name)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    net = net.to(kind)
    x, y = torch.randn(32, 8).to(kind), torch.randn(32, 1).to(kind)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        loss = ((net(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad.dtype is kind for p in net.parameters())
    assert losses[-1] < 0.8 * losses[0]


@kinds
def test_views_joins_writes_and_indices(name):
    kind = getattr(torch, name)
    x = torch.arange(24).reshape(4, 6).to(kind)
    same(x.t()[1:3, ::2].float().numpy(), np.arange(24).reshape(4, 6).T[1:3, ::2])
    same(torch.cat([x, x]).float().numpy(), np.tile(np.arange(24).reshape(4, 6), (2, 1)))
    x[1, 2:4] = 100
    x[0] += 0.5
    assert x[1].tolist() == [6, 7, 100, 100, 10, 11]
    assert x[0].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert x[torch.tensor([3, 0])][:, 0].tolist() == [18, 0.5]
    out = torch.zeros(2, dtype=kind).index_add(0, torch.tensor([1, 1, 0]), x[1:, 0])
    assert out.tolist() == [18, 18]


def test_bfloat16_has_no_array():
    x = torch.ones(2, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="Got unsupported ScalarType BFloat16"):
        x.numpy()
    assert x.half().numpy().dtype == np.float16
    assert torch.from_numpy(np.ones(2, np.float16)).dtype is torch.float16


def test_print():
    assert repr(torch.tensor([1.5, 0.1], dtype=torch.bfloat16)) == (
        "tensor([1.5000, 0.1001], dtype=torch.bfloat16)"
    )
    assert torch.tensor(2.5).half().type() == "torch.HalfTensor"
    assert torch.finfo(torch.bfloat16).eps == 0.0078125


def test_float8_is_memory():
    x = torch.tensor([0.3, -500.0, float("nan")]).to(torch.float8_e4m3fn)
    assert x.itemsize == 1
    assert x.float().tolist()[:2] == [0.3125, -448.0]


NORMALISED = {
    "layer": lambda x, *p: F.layer_norm(x, (4,), *p),
    "group": lambda x, *p: F.group_norm(x, 2, *p),
    "batch": lambda x, *p: F.batch_norm(x, None, None, *p, training=True),
    "instance": lambda x, *p: F.instance_norm(x, None, None, *p),
    "rms": lambda x, *p: F.rms_norm(x, (4,), *p[:1]),
}


@kinds
@pytest.mark.parametrize("f", NORMALISED.values(), ids=NORMALISED)
def test_normalisations_round_once(f, name):
    """Squares beyond float16's range too; and scale and shift may be float32, as under autocast."""
    kind = getattr(torch, name)
    x = (torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1)) * 3000).to(kind)
    scale, shift = torch.linspace(0.5, 2, 4), torch.linspace(-1, 1, 4)
    for given in ((scale, shift), (scale.to(kind), shift.to(kind))):
        wide = x.float().requires_grad_()
        expected = f(wide, *(p.float() for p in given))
        part = x.clone().requires_grad_()
        made = f(part, *given)
        assert made.dtype is kind
        assert torch.equal(made, expected.to(kind))
        assert made.isfinite().all() and made.abs().max() > 1
        weights = torch.arange(48.0).view(3, 4, 4)
        (made.float() * weights).sum().backward()
        (expected.to(kind).float() * weights).sum().backward()
        assert part.grad.dtype is kind and torch.equal(part.grad, wide.grad.to(kind))


@kinds
@pytest.mark.parametrize("p", [0.5, 1, 2, 3, math.inf])
def test_norms_stay_in_range(name, p):
    kind = getattr(torch, name)
    x = torch.tensor([[3000.0, -4000.0], [0.5, 1.0]], dtype=kind)
    for found in (x.norm(p, 1), torch.linalg.vector_norm(x, p, 1)):
        assert torch.equal(found, x.float().norm(p, 1).to(kind))
    x.requires_grad_().norm(p, 1).sum().backward()
    wide = x.detach().float().requires_grad_()
    wide.norm(p, 1).sum().backward()
    assert torch.equal(x.grad, wide.grad.to(kind))


@kinds
def test_lengths_stay_in_range(name):
    kind = getattr(torch, name)
    x = torch.tensor([[3000.0, -4000.0], [600.0, 800.0]], dtype=kind)
    unit = torch.tensor([[0.6, -0.8], [0.6, 0.8]], dtype=kind)
    assert torch.allclose(F.normalize(x), unit, rtol=0.01)
    assert torch.allclose(x.renorm(2, 0, 1.0), unit, rtol=0.01)
    near = F.cosine_similarity(x, x * 0.5)
    assert near.dtype is kind and torch.allclose(near, torch.ones(2, dtype=kind), rtol=0.01)
    assert torch.dist(x[0], x[0] * 0).item() == pytest.approx(5000, rel=0.01)
