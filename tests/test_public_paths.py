"""Small modules under the paths that public programs import from."""

import importlib

import pytest

import rushlight as torch
from rushlight.torch_version import TorchVersion


def test_helpers_of_layers() -> None:
    utils = torch.nn.modules.utils
    assert utils._pair(3) == (3, 3) and utils._triple((1, 2, 3)) == (1, 2, 3)
    assert utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert utils._list_with_default([None, 7], [1, 5, 6]) == [5, 7]
    state = {"module.a.weight": 1, "b": 2}
    utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert state == {"a.weight": 1, "b": 2}


def test_global_hooks_where_pytorch_has_them() -> None:
    seen = []
    module = torch.nn.modules.module
    handle = module.register_module_forward_hook(lambda m, i, o: seen.append(type(m).__name__))
    torch.nn.Linear(2, 2)(torch.ones(1, 2))
    handle.remove()
    torch.nn.Linear(2, 2)(torch.ones(1, 2))
    assert seen == ["Linear"]


def test_to_empty_keeps_what_is_held() -> None:
    layer = torch.nn.BatchNorm1d(3)
    held = list(layer.state_dict())
    assert layer.to_empty(device="cpu") is layer
    assert list(layer.state_dict()) == held and layer.weight.requires_grad


def test_versions_compare_as_numbers() -> None:
    version = TorchVersion("2.13.0+rushlight")
    assert version >= "2.9" and version > (1, 10) and version >= "2.13" and version < "3"
    assert version != "2.13.0" and version == "2.13.0+rushlight"
    assert version.split("+")[0] == "2.13.0" and hash(version) == hash("2.13.0+rushlight")


def test_dlpack_capsules() -> None:
    x = torch.arange(4.0)
    y = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    y[0] = 7
    assert x[0] == 7


def test_futures() -> None:
    futures = torch.futures
    future: futures.Future = futures.Future()
    doubled = future.then(lambda f: f.value() * 2)
    assert not future.done()
    future.set_result(21)
    assert doubled.wait() == 42
    with pytest.raises(RuntimeError, match="once"):
        future.set_result(1)
    failed = futures.Future()
    later = failed.then(lambda f: f.value())
    failed.set_exception(KeyError("gone"))
    with pytest.raises(KeyError, match="gone"):
        later.wait()
    assert futures.wait_all([future, doubled]) == [21, 42]
    assert torch.jit.wait(torch.jit.fork(lambda a: a + 1, 1)) == 2


def test_control_flow() -> None:
    x = torch.ones(2)
    assert torch.cond(x.sum() > 1, lambda a: a + 1, lambda a: a - 1, (x,)).tolist() == [2, 2]
    got = torch.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * 2), (torch.tensor(0), x))
    assert got[0] == 3 and got[1].tolist() == [8, 8]


def test_gathered_and_split_again() -> None:
    held = [torch.arange(3.0), torch.ones(2, 2)]
    flat = torch._utils._flatten_dense_tensors(held)
    assert flat.tolist() == [0, 1, 2, 1, 1, 1, 1]
    for a, b in zip(torch._utils._unflatten_dense_tensors(flat, held), held, strict=True):
        assert torch.equal(a, b)
    assert [len(b) for b in torch._utils._take_tensors(held, 16)] == [1, 1]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("nn.common_types", "_size_2_t"), ("types", "Device"), ("functional", "einsum"),
        ("overrides", "is_tensor_like"), ("utils.hooks", "RemovableHandle"), ("_VF", "lstm"),
    ],
)  # fmt: skip
def test_names_are_there(module, name) -> None:
    assert hasattr(importlib.import_module(f"rushlight.{module}"), name)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(AttributeError, match=r"torch\.functional\.nothing"):
        torch.functional.nothing
    with pytest.raises(RuntimeError, match="Cannot access accelerator"):
        torch.accelerator.get_memory_info()


def test_numpy_of_a_parameter_without_grad_mode() -> None:
    weight = torch.nn.Linear(2, 1).weight
    with pytest.raises(RuntimeError, match="requires grad"):
        weight.numpy()
    with torch.no_grad():
        array = weight.numpy()
        array[0, 0] = 5.0
    assert weight[0, 0].item() == 5.0 and weight.requires_grad
