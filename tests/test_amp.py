"""Mixed precision that is asked for and not there."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight

torch: Any = rushlight


def test_a_loop_with_scaler_and_autocast_trains_in_full_precision() -> None:
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
