"""Anomaly mode: which node, which line, nested, without NaN checks, and the same bits."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

import rushlight as torch
from tests.programs import compare, ways
from tests.programs.generate import generate

TOLD = "returned nan values in its 0th output"


def root_of_zero(x: Any) -> Any:
    return torch.sqrt(x) * 0


def leaf() -> Any:
    return torch.tensor([0.0, 1.0], requires_grad=True)


def line_of(text: str) -> str:
    """`line N` of this file's first line with a text."""
    lines, _ = inspect.findsource(inspect.getmodule(line_of))  # type: ignore[arg-type]
    return f"line {next(i for i, s in enumerate(lines, 1) if s.strip() == text)}"


def test_a_nan_names_function_and_line() -> None:
    with torch.autograd.set_detect_anomaly(True):
        y = root_of_zero(leaf()).sum()
        with (
            pytest.warns(UserWarning, match="Error detected in SqrtBackward0") as told,
            pytest.raises(RuntimeError) as error,
        ):
            y.backward()
    assert str(error.value) == f"Function 'SqrtBackward0' {TOLD}."
    text = str(told[0].message)
    assert "Traceback of forward call that caused the error:\n" in text
    assert f"{__file__}" in text and line_of("return torch.sqrt(x) * 0") in text
    assert "return torch.sqrt(x) * 0" in text
    assert "y = root_of_zero(leaf()).sum()" in text
    assert "rushlight/tensor" not in text  # the program's lines only
    assert told[0].filename == __file__


def test_the_same_line_twice_names_the_call_that_failed() -> None:
    x = leaf()
    with torch.autograd.set_detect_anomaly(True):
        good = root_of_zero(x + 1)
        bad = root_of_zero(x)
        with (
            pytest.warns(UserWarning, match="bad = root_of_zero"),
            pytest.raises(RuntimeError, match=TOLD),
        ):
            (good + bad).sum().backward()


def test_without_nan_checks_only_exceptions_are_explained() -> None:
    x = leaf()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        root_of_zero(x).sum().backward()
        assert x.grad[0].isnan() and x.grad[1] == 0

        class Fails(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x * 2

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                raise ValueError("no gradient")

        y = Fails.apply(x)
        with (
            pytest.warns(UserWarning, match=r"FailsBackward[\s\S]*y = Fails.apply"),
            pytest.raises(ValueError, match="no gradient"),
        ):
            y.sum().backward()


def test_a_hook_that_raises_is_explained() -> None:
    def hook(g: Any) -> None:
        raise ValueError("hook")

    with torch.autograd.set_detect_anomaly(True):
        y = leaf() * 3
        y.register_hook(hook)
        with (
            pytest.warns(UserWarning, match=r"MulBackward0[\s\S]*y = leaf"),
            pytest.raises(ValueError, match="hook"),
        ):
            y.sum().backward()


def test_what_was_recorded_before_has_no_line() -> None:
    y = root_of_zero(leaf()).sum()
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match="No forward pass information available"),
        pytest.raises(RuntimeError, match=TOLD),
    ):
        y.backward()


def test_a_gradient_of_a_gradient_names_both() -> None:
    x = torch.tensor([0.0], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        y = x.sqrt() ** 3
        first = torch.autograd.grad(torch.exp(x).sum(), x, create_graph=True)[0]
        z = (first * x.sqrt() * 0).sum()
        with pytest.warns(UserWarning) as told, pytest.raises(RuntimeError, match=TOLD):
            z.backward()
        assert "x.sqrt() * 0" in str(told[0].message)
        with pytest.warns(UserWarning) as told, pytest.raises(RuntimeError):
            g = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
            g.backward()
    assert any("sqrt" in str(w.message) for w in told)


def test_contexts_nest_and_restore() -> None:
    assert not torch.is_anomaly_enabled()
    with (
        pytest.warns(UserWarning, match="Anomaly Detection has been enabled"),
        torch.autograd.detect_anomaly(check_nan=False),
    ):
        assert torch.is_anomaly_enabled() and not torch.is_anomaly_check_nan_enabled()
        with torch.autograd.set_detect_anomaly(False):
            assert not torch.is_anomaly_enabled()
            assert torch.is_anomaly_check_nan_enabled()
        assert torch.is_anomaly_enabled() and not torch.is_anomaly_check_nan_enabled()
    assert not torch.is_anomaly_enabled() and torch.is_anomaly_check_nan_enabled()
    torch.autograd.set_detect_anomaly(True)
    assert torch.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(False)


def train(anomaly: bool) -> list[Any]:
    """Some steps of a network with shared, reused and written values."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.randn(16, 5)
    out = []
    with torch.autograd.set_detect_anomaly(anomaly):
        for _ in range(4):
            optimiser.zero_grad()
            y = model(x)
            z = y * y * y[:, :1] + y.exp()
            z[:, 1] *= 0.3
            w = model[0].weight
            loss = z.softmax(1).log().mean() + (w * w).sum() * 0.1 + w.abs().mean()
            loss.backward()
            optimiser.step()
            out.append(loss.item())
    return [*out, *[p.tolist() for p in model.parameters()]]


def test_values_are_the_same_bits() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train(True) == train(False)


def test_a_double_backward_has_the_same_bits() -> None:
    def second(anomaly: bool) -> Any:
        torch.manual_seed(1)
        x = torch.randn(7, requires_grad=True)
        with torch.autograd.set_detect_anomaly(anomaly):
            y = (x.sin() * x * x + x.exp() * x).sum()
            (g,) = torch.autograd.grad(y, x, create_graph=True)
            ((g * g).sum() + y).backward()
        return x.grad.tolist()

    assert second(True) == second(False)


def test_a_node_knows_its_lines() -> None:
    with torch.autograd.set_detect_anomaly(True):
        y = leaf() * 2
    assert "y = leaf() * 2" in y.grad_fn.metadata["traceback_"][-1]


@pytest.mark.parametrize("seed", range(8))
def test_random_programs_give_the_same_bits(seed: int) -> None:
    program = generate(seed)
    (plain,) = ways.recorded(program)
    ways.fresh()
    try:
        with torch.autograd.set_detect_anomaly(True, check_nan=False):
            (looked,) = ways.recorded(program)
    finally:
        ways.fresh()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.clone(), lambda x: x):
        (packed,) = ways.recorded(program)
    ways.fresh()
    for other in (looked, packed):
        assert compare.first(program, plain, other, None, True) is None
