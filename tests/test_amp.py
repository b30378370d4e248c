"""Mixed precision by PyTorch's lists for CPUs, and loss scaling."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight
from rushlight.base.settings import settings

torch: Any = rushlight
F = torch.nn.functional


def test_without_cuda_a_loop_trains_in_full_precision() -> None:
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = torch.cuda.amp.GradScaler()
    with pytest.warns(UserWarning, match="autocast"), torch.cuda.amp.autocast():
        loss = (weight * weight).sum()
    assert loss.dtype is torch.float32
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == [0, 0]
    assert (scaler.get_scale(), scaler.is_enabled(), scaler.state_dict()) == (1.0, False, {})


def test_switched_off_it_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    torch.amp.GradScaler("cpu", enabled=False)

    @torch.amp.autocast("cpu", enabled=False)
    def f(x: int) -> int:
        return x + 1

    assert f(1) == 2 and f.__name__ == "f"
    assert not recwarn.list
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        torch.autocast(torch.float32)
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        torch.autocast("cpu", torch.float64)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_the_lists(kind: Any) -> None:
    x, w = torch.randn(4, 4), torch.randn(4, 4)
    with torch.autocast("cpu", kind):
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is kind
        made = x @ w
        assert made.dtype is kind
        assert F.linear(x, w).dtype is F.linear(x, w, x[0]).dtype is kind
        assert torch.addmm(x, x, w).dtype is torch.bmm(x[None], w[None]).dtype is kind
        assert F.conv2d(x[None, None], w[None, None]).dtype is kind
        assert F.conv_transpose2d(x[None, None], w[None, None]).dtype is kind
        assert (x.double() @ w.double()).dtype is torch.float64
        assert (made @ w).dtype is F.conv2d(made[None, None], w[None, None]).dtype is kind
        assert torch.nn.ConvTranspose2d(1, 1, 2)(made[None, None]).dtype is kind
        assert (x + made).dtype is torch.float32
        assert made.exp().dtype is kind
        assert F.cross_entropy(made, torch.tensor([0, 1, 2, 3])).dtype is torch.float32
        assert F.mse_loss(made, made).dtype is made.prod().dtype is torch.float32
        with torch.autocast("cpu", enabled=False):
            assert (x @ w).dtype is torch.float32
        assert (x @ w).dtype is kind
    assert not torch.is_autocast_enabled("cpu")
    assert (x @ w).dtype is torch.float32
    assert made.equal((x.to(kind).float() @ w.to(kind).float()).to(kind))


def test_gradients_and_plans() -> None:
    """Gradients have the leaves' type; plans have the bits of one operation at a time."""
    torch.manual_seed(0)
    w = torch.randn(8, 8, requires_grad=True)
    x, y = torch.randn(16, 8), torch.randint(0, 8, (16,))
    before, settings.verify = settings.verify, True
    try:
        for _ in range(4):
            w.grad = None
            with torch.autocast("cpu"):
                loss = F.cross_entropy(F.linear(x, w).relu(), y)
            loss.backward()
            found = w.grad.tolist()
    finally:
        settings.verify = before
    exact = w.detach().clone().requires_grad_()
    F.cross_entropy(F.linear(x, exact).relu(), y).backward()
    assert w.grad.dtype is torch.float32
    assert found != exact.grad.tolist()
    assert torch.allclose(w.grad, exact.grad, 0.05, 0.01)


def test_scaler() -> None:
    """Gradients are divided; a step that is not finite is left out and halves the scale."""
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.25)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    for k, wanted in enumerate((8.0, 16.0, 8.0, 8.0)):
        optimizer.zero_grad()
        loss = (w * (float("inf") if k == 2 else 2.0)).sum()
        scaled = scaler.scale(loss)
        scaled.backward()
        if k == 1:
            scaler.unscale_(optimizer)
            assert w.grad.tolist() == [2.0, 2.0]
            with pytest.raises(RuntimeError, match="already been called"):
                scaler.unscale_(optimizer)
        scaler.step(optimizer)
        with pytest.raises(RuntimeError, match="since the last update"):
            scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == wanted
    assert w.tolist() == [-0.5, -0.5]
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() and other.get_scale() == 8.0
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        other.load_state_dict({})
    half = torch.ones(1, dtype=torch.float16, requires_grad=True)
    scaler.scale(half.sum()).backward()
    with pytest.raises(ValueError, match="unscale FP16"):
        scaler.step(torch.optim.SGD([half], lr=1.0))


def test_custom_functions() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx: Any, x: Any) -> Any:
            assert not torch.is_autocast_enabled("cpu")
            return x * 2

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu"):
        made = Double.apply(x)
    assert made.dtype is torch.float32
    made.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
