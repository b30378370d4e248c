"""Masked tensors: what PyTorch's print and compute for the same programs."""

import subprocess
import sys
import warnings

import pytest

import rushlight as torch
from rushlight.masked import maskedtensor as family


@pytest.fixture(autouse=True)
def _functions_are_put_back():
    space = vars(sys.modules["rushlight"])
    before = dict(space)
    family.install()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*prototype stage")
        yield
    space.clear()
    space.update(before)
    family._INSTALLED.clear()


def masked(values, mask, **more):
    return family.masked_tensor(torch.tensor(values), torch.tensor(mask), **more)


@pytest.fixture
def three():
    return masked([1.0, float("nan"), 3.0, float("nan")], [True, False, True, False])


@pytest.fixture
def cube():
    data = torch.arange(24.0).reshape(2, 3, 4)
    return family.masked_tensor(data, data % 2 == 0)


def test_it_prints_what_is_there(three, cube):
    assert repr(three) == "MaskedTensor(\n  [  1.0000,       --,   3.0000,       --]\n)"
    assert repr(cube[0]) == (
        "MaskedTensor(\n  [\n    [  0.0000,       --,   2.0000,       --],\n"
        "    [  4.0000,       --,   6.0000,       --],\n"
        "    [  8.0000,       --,  10.0000,       --]\n  ]\n)"
    )
    assert repr(masked([1, 2], [True, False])) == "MaskedTensor(\n  [1,       --]\n)"
    assert repr(masked(3, True)) == "MaskedTensor(3, True)"
    assert repr(masked(3.0, False)) == "MaskedTensor(--, False)"


def test_what_it_is(cube):
    assert family.is_masked_tensor(cube) and not family.is_masked_tensor(cube.get_data())
    assert cube.shape == (2, 3, 4) and cube.dtype is torch.float32 and cube.dim() == 3
    assert len(cube) == 2 and not cube.requires_grad
    assert cube.to_tensor(-1.0)[0, 0].tolist() == [0, -1, 2, -1]
    with pytest.raises(AttributeError, match="get_data"):
        cube.topk


@pytest.mark.parametrize(
    ("name", "whole", "first"),
    [
        ("sum", 132, [[12, 18], [48, 54]]), ("mean", 11, [[4, 6], [16, 18]]),
        ("amin", 0, [[0, 2], [12, 14]]), ("amax", 22, [[8, 10], [20, 22]]),
        ("prod", 0, [[0, 120], [3840, 5544]]),
    ],
)  # fmt: skip
def test_reductions(cube, name, whole, first):
    found = getattr(cube, name)()
    assert found.item() == whole and found.get_mask().item()
    for found in (getattr(torch, name)(cube, 1), getattr(cube, name)(dim=1)):
        assert found.get_data()[:, ::2].tolist() == first
        assert found.get_mask().tolist() == [[True, False, True, False]] * 2
    assert getattr(cube, name)(dim=1, keepdim=True).shape == (2, 1, 4)


def test_nan_is_not_there(three):
    assert torch.mean(three).item() == 2 and three.sum().item() == 4
    assert three.std().item() == pytest.approx(2**0.5)
    assert three.argmax(0).item() == 2 and three.norm().item() == pytest.approx(10**0.5)
    assert three.all().item() is True
    assert three.softmax(0).to_tensor(0.0).tolist() == pytest.approx(
        [0.1192, 0, 0.8808, 0], abs=1e-4
    )


def test_one_by_one_and_in_pairs(three):
    for found, want in (
        (torch.cos(three), [0.5403, -0.9900]), (three + three, [2, 6]), (three * 2, [2, 6]),
        (1 / three, [1, 1 / 3]), (2 - three, [1, -1]), (torch.ones(4) + three, [2, 4]),
        (torch.add(torch.ones(4), three), [2, 4]), (-three, [-1, -3]), (three**2, [1, 9]),
        (three.clamp(min=2), [2, 3]), (torch.maximum(three, three), [1, 3]),
    ):  # fmt: skip
        assert found.get_mask().tolist() == [True, False, True, False]
        assert found.get_data()[::2].tolist() == pytest.approx(want, abs=1e-4)
    assert (three > 1).get_data()[::2].tolist() == [False, True]
    copy = three.clone()
    assert copy.add_(1) is copy and copy.sum().item() == 6 and three.sum().item() == 4
    other = masked([1.0] * 4, [True, True, False, False])
    with pytest.raises(ValueError, match="Input masks must match"):
        three + other


def test_shapes_pass_both(three, cube):
    assert cube.reshape(6, 4).get_mask().shape == (6, 4)
    assert cube.transpose(0, 1).shape == (3, 2, 4)
    assert three.view(2, 2).to_tensor(0.0).tolist() == [[1, 0], [3, 0]]
    assert three.unsqueeze(0).expand(2, 4).shape == (2, 4)
    assert torch.stack([three, three]).get_mask().shape == (2, 4)
    assert torch.cat([three, three]).sum().item() == 8
    a, b = three.split(2)
    assert a.sum().item() == 1 and b.sum().item() == 3
    assert three.int().get_data()[::2].tolist() == [1, 3]


def test_gradients_have_the_mask():
    x = torch.tensor([-10.0, -5.0, 0.0, 50.0, 60.0, 100.0])
    mask = x < 0
    low = family.masked_tensor(x, mask, requires_grad=True)
    high = family.masked_tensor(torch.ones_like(x), ~mask, requires_grad=True)
    y = torch.where(mask, torch.exp(low), high)
    y.sum().backward()
    assert low.grad.get_mask().tolist() == mask.tolist()
    assert low.grad.get_data()[:2].tolist() == pytest.approx(torch.exp(x[:2]).tolist())
    assert high.grad.to_tensor(0.0).tolist() == [0, 0, 1, 1, 1, 1]


def test_as_masked_tensor_gives_gradients_to_the_tensor():
    w = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    torch.sqrt(family.as_masked_tensor(w, w > 0)).sum().backward()
    assert w.grad.tolist() == pytest.approx([0, 0.35355, 0.28868], abs=1e-5)


def test_functions_that_do_not_know_them_say_so(three):
    with pytest.raises(TypeError, match="must be Tensor, not MaskedTensor"):
        torch.cumsum(three, 0)
    assert torch.add(torch.ones(2), 1).tolist() == [2, 2]


def test_what_is_refused():
    ones = torch.ones(2)
    for data, mask, error, words in (
        (ones, ones, TypeError, "mask must have dtype bool"),
        (ones, torch.ones(3).bool(), ValueError, "data.size"),
        (ones, torch.ones(1, 2).bool(), ValueError, "data.dim"),
        ([1.0], ones.bool(), TypeError, "data must be a Tensor"),
        (torch.ones(2, dtype=torch.complex64), ones.bool(), TypeError, "is not supported"),
    ):
        with pytest.raises(error, match=words):
            family.MaskedTensor(data, mask)
    with pytest.warns(UserWarning, match="prototype stage"):
        family.MaskedTensor(ones, ones.bool())


def test_the_names_of_torch_bring_the_functions():
    text = (
        "import warnings, rushlight as torch\n"
        "from rushlight.masked import masked_tensor, MaskedTensor\n"
        "warnings.simplefilter('ignore')\n"
        "x = masked_tensor(torch.ones(2), torch.tensor([True, False]))\n"
        "assert isinstance(torch.exp(x), MaskedTensor) and torch.masked.is_masked_tensor(x)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
