"""Switches of the process: what they answer, what they refuse, that none changes a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import rushlight
from rushlight import switches

torch: Any = rushlight


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    before = {k: v for k, v in vars(switches._State).items() if not k.startswith("_")}
    yield
    torch.set_num_threads(threads)
    for name, value in before.items():
        setattr(switches._State, name, value)


def test_threads() -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 200)
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        assert torch.get_num_threads() == count
        found.append((x.T @ x).sum(0).tolist())
    assert found[0] == found[1]
    torch.set_num_interop_threads(2)
    assert torch.get_num_interop_threads() == 2


@pytest.mark.parametrize("set_", [torch.set_num_threads, torch.set_num_interop_threads])
def test_threads_refused(set_: Any) -> None:
    with pytest.raises(RuntimeError, match="expects a positive integer"):
        set_(0)
    with pytest.raises(TypeError, match="expects an int, but got str"):
        set_("2")


def test_determinism() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.get_deterministic_debug_mode() == 2
    torch.set_deterministic_debug_mode("warn")
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.get_deterministic_debug_mode() == 1
    torch.set_deterministic_debug_mode(0)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
        torch.set_deterministic_debug_mode("loud")


def test_precision() -> None:
    assert torch.get_float32_matmul_precision() == "highest"
    x = torch.full((1, 3), 1 + 2**-20)
    exact = (x @ x.T).item()
    torch.set_float32_matmul_precision("medium")
    assert torch.get_float32_matmul_precision() == "medium"
    assert (x @ x.T).item() == exact
    with pytest.raises(RuntimeError, match="expected 'highest', 'high' or 'medium'"):
        torch.set_float32_matmul_precision("low")


def test_denormals_are_kept() -> None:
    assert torch.set_flush_denormal(True) is False
    assert (torch.tensor(1e-38) / 1000).item() > 0


def test_compile_takes_pytorchs_arguments() -> None:
    model = torch.nn.Linear(2, 1)
    assert torch.compile(model, disable=True) is model
    made = torch.compile(model, mode="max-autotune", fullgraph=True)
    assert list(made.state_dict()) == ["_orig_mod.weight", "_orig_mod.bias"]

    @torch.compile
    def f(x: Any) -> Any:
        return x * 2

    @torch.compile(dynamic=True, backend="eager")
    def g(x: Any) -> Any:
        return x * 3

    assert f(torch.ones(2)).tolist() == [2, 2]
    assert g(torch.ones(2)).tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="Either mode or options"):
        torch.compile(model, mode="default", options={})
    with pytest.raises(TypeError, match="expected a function or module, got int"):
        torch.compile(3)


def test_compiler_has_pytorchs_names() -> None:
    @torch.compiler.disable
    def f(x: Any) -> Any:
        return x * 2

    @torch.compiler.disable(recursive=False)
    def g(x: Any) -> Any:
        return x * 3

    with torch.compiler.set_stance("force_eager"):
        assert f(torch.ones(2)).tolist() == [2, 2]
        assert g(torch.ones(2)).tolist() == [3, 3]
    assert not torch.compiler.is_compiling()
    assert torch.compiler.compile(f)(torch.ones(2)).tolist() == [2, 2]
    torch.compiler.reset()
    with pytest.raises(AttributeError, match=r"torch\.compiler\.nothing is not in Rushlight yet"):
        torch.compiler.nothing
    with pytest.raises(TypeError, match="expected a function or module, got int"):
        torch.compiler.disable(3)


def test_version() -> None:
    assert torch.version.cuda is None
    assert torch.version.__version__ == torch.__version__
