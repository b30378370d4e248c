"""New tensors: types that are inferred, values, errors; all without PyTorch."""

import numpy as np
import pytest

import rushlight as torch


@pytest.mark.parametrize(
    ("data", "kind", "values"),
    [
        ([1, 2], torch.int64, [1, 2]),
        ([1, 2.5], torch.float32, [1.0, 2.5]),
        ([True, False], torch.bool, [True, False]),
        ([True, 2], torch.int64, [1, 2]),
        ([[1], [2]], torch.int64, [[1], [2]]),
        (3, torch.int64, 3),
        ([], torch.float32, []),
        (range(3), torch.int64, [0, 1, 2]),
        (np.float64(2), torch.float64, 2.0),
        ([np.float32(1), 2.0], torch.float32, [1.0, 2.0]),
        (np.arange(2, dtype=np.int32), torch.int32, [0, 1]),
        ([np.ones(2), np.zeros(2)], torch.float64, [[1, 1], [0, 0]]),
    ],
)
def test_inferred_types(data, kind, values):
    x = torch.tensor(data)
    assert x.dtype is kind
    assert x.tolist() == values


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([[1, 2], 3], TypeError, "not a sequence"),
        (["a"], ValueError, "too many dimensions 'str'"),
        ("a", TypeError, "invalid data type 'str'"),
        (None, RuntimeError, "Could not infer dtype of NoneType"),
        ([1 << 70], ValueError, "Overflow"),
    ],
)
def test_data_that_is_no_tensor(data, error, words):
    with pytest.raises(error, match=words):
        torch.tensor(data)


def test_tensor_copies_and_as_tensor_shares():
    a = np.zeros(3, np.float32)
    copy, shared = torch.tensor(a), torch.as_tensor(a)
    a[0] = 5
    assert copy.tolist() == [0, 0, 0]
    assert shared.tolist() == [5, 0, 0]
    assert torch.as_tensor(shared) is shared
    with pytest.warns(UserWarning, match="To copy construct"):
        torch.tensor(shared)


def test_requires_grad_needs_a_floating_type():
    assert torch.tensor([1.0], requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="floating point"):
        torch.tensor([1], requires_grad=True)


def test_fills_take_sizes_in_both_ways():
    assert torch.zeros(2, 3).shape == torch.zeros((2, 3)).shape == torch.Size([2, 3])
    assert torch.ones(2, dtype=torch.int64).tolist() == [1, 1]
    assert torch.full((2,), 3).dtype is torch.int64
    assert torch.full((2,), 3.5).tolist() == [3.5, 3.5]
    with pytest.raises(TypeError, match="tuple of ints"):
        torch.zeros(2.5)
    with pytest.raises(RuntimeError, match="negative"):
        torch.zeros(-1)


def test_likes_keep_the_layout():
    x = torch.ones(2, 3).t()
    assert torch.zeros_like(x).stride() == x.stride() == (1, 3)
    assert torch.full_like(x, 7).tolist() == [[7, 7]] * 3


def test_ranges():
    assert torch.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert torch.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert torch.arange(5, 1, -2).tolist() == [5, 3]
    assert torch.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert torch.eye(2).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(RuntimeError, match="step"):
        torch.arange(1, 0)


def test_a_type_of_its_own_and_the_default_one():
    assert torch.get_default_dtype() is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.tensor([1.5]).dtype is torch.zeros(1).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    with pytest.raises(TypeError):
        torch.set_default_dtype(torch.int64)


def test_devices_this_build_has_not():
    with pytest.raises(AssertionError, match="CUDA"):
        torch.zeros(1, device="cuda")
    assert torch.zeros(1, device="cpu").device == torch.device("cpu")


def test_random_numbers_are_pytorchs():
    torch.manual_seed(0)
    assert torch.randn(3).tolist() == [1.5409960746765137, -0.293428897857666, -2.1787893772125244]
    torch.manual_seed(0)
    assert torch.rand(2).tolist() == [0.49625658988952637, 0.7682217955589294]
    torch.manual_seed(0)
    assert torch.randperm(5).tolist() == [4, 0, 1, 3, 2]
    torch.manual_seed(0)
    assert torch.randint(0, 10, (3,)).tolist() == [4, 9, 3]


def test_random_state_comes_back():
    state = torch.get_rng_state()
    first = torch.rand(4).tolist()
    torch.set_rng_state(state)
    assert torch.rand(4).tolist() == first
    assert state.dtype is torch.uint8 and state.shape == (5056,)


def test_in_place_draws_change_the_tensor():
    x = torch.zeros(1000)
    assert x.uniform_(2, 3) is x
    assert 2 <= float(x.min()) <= float(x.max()) < 3
    x.bernoulli_(0.25)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert 0.15 < float(x.mean()) < 0.35
    with pytest.raises(RuntimeError, match="leaf"):
        torch.zeros(2, requires_grad=True).normal_()


def test_names_that_do_not_exist():
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_the_kind'"):
        _ = torch.nothing_of_the_kind


def test_public_names_are_sorted_and_there():
    assert list(torch.__all__) == sorted(torch.__all__)
    assert not [name for name in torch.__all__ if not hasattr(torch, name)]
    assert len(set(torch.__all__)) == len(torch.__all__)


def test_the_old_constructors():
    assert torch.Tensor(2, 3).shape == (2, 3)
    assert torch.Tensor([1, 2]).tolist() == [1.0, 2.0]
    assert torch.Tensor().shape == (0,)
    assert torch.LongTensor([1, 2]).dtype is torch.int64
    assert torch.FloatTensor(np.array([1, 2])).tolist() == [1.0, 2.0]
    assert torch.Tensor(np.ones((2, 1))).shape == (2, 1)
    assert isinstance(torch.ones(1), torch.FloatTensor)
    assert not isinstance(torch.ones(1), torch.LongTensor)
    x = torch.Tensor([[1, 2], [3, 4]])
    assert (x @ x).tolist() == [[7, 10], [15, 22]]
    assert type(x) is torch.Tensor
    with pytest.raises(TypeError):
        torch.Tensor("a")


def test_the_constructor_sets_what_the_recorder_sets():
    x = torch.ones(2)
    made = type(x).__new__(type(x))
    made.__init__(x.rec, 7)
    assert (made.rec, made.epoch, made.slot) == (x.rec, 7, x.rec.slot)
    assert (made.st, made.fam, made.reg) == (None, None, 0)
    slots = getattr(type(x), "__slots__", None)  # a compiled class does not list its own
    assert slots is None or set(slots) == {"rec", "epoch", "slot", "st", "fam", "reg"}


def test_another_shape_on_the_spot():
    x = torch.arange(3.0)
    assert x.unsqueeze_(0) is x and x.shape == (1, 3)
    assert x.t_().shape == (3, 1)
    assert x.resize_(2, 2).tolist() == [[0, 1], [2, 0]]


def test_questions_about_devices():
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    torch.cuda.manual_seed_all(1)
    torch.backends.cudnn.deterministic = True
    with pytest.raises(AssertionError, match="CUDA"):
        torch.cuda.synchronize()
