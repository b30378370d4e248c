"""`x[...]` and `x[...] = v` against NumPy, where both mean the same, and PyTorch's own rules."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import rushlight as torch

SHAPE = (3, 4, 5)


@st.composite
def basic(draw):
    """An index of integers, slices, None and Ellipsis that fits three dimensions."""
    parts = []
    for n in SHAPE[: draw(st.integers(0, 3))]:
        kind = draw(st.sampled_from(["int", "slice", "slice"]))
        if kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        else:
            ends = st.none() | st.integers(-n - 1, n + 1)
            parts.append(slice(draw(ends), draw(ends), draw(st.none() | st.integers(1, 3))))
    for extra in (None, Ellipsis):
        if draw(st.booleans()):
            parts.insert(draw(st.integers(0, len(parts))), extra)
    return tuple(parts)


def pair():
    a = np.arange(60, dtype=np.float32).reshape(SHAPE)
    return a, torch.from_numpy(a.copy())


@given(basic())
def test_basic_indices_are_numpys_views(index):
    a, x = pair()
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), a[index])
    x.mul_(2)
    np.testing.assert_array_equal(y.numpy(), 2 * a[index])


@given(basic(), st.floats(-3, 3, width=32))
def test_basic_stores(index, value):
    a, x = pair()
    a[index] = value
    x[index] = value
    np.testing.assert_array_equal(x.numpy(), a)


@given(st.lists(st.integers(-3, 2), min_size=1, max_size=5), st.integers(0, 2))
def test_one_index_tensor(places, dim):
    a, x = pair()
    index = (slice(None),) * dim + (places,)
    np.testing.assert_array_equal(x[index].numpy(), a[index])
    np.testing.assert_array_equal(
        x[(slice(None),) * dim + (torch.tensor(places),)].numpy(), a[index]
    )


def test_index_tensors_apart_come_first():
    a, x = pair()
    assert x[[0, 1], :, [1, 2]].shape == (2, 4)
    np.testing.assert_array_equal(x[[0, 1], :, [1, 2]].numpy(), a[[0, 1], :, [1, 2]])
    # an integer is a view first, so that the rest stays together: not NumPy's rule
    assert x[0, :, [1, 2]].shape == (4, 2)


def test_masks():
    a, x = pair()
    np.testing.assert_array_equal(x[x > 30].numpy(), a[a > 30])
    x[x > 30] = -1
    a[a > 30] = -1
    np.testing.assert_array_equal(x.numpy(), a)
    assert x[torch.tensor(True)].shape == (1, *SHAPE)
    assert x[False].shape == (0, *SHAPE)
    with pytest.raises(IndexError, match="shape of the mask"):
        x[torch.tensor([True])]


def test_repeated_places_accumulate_when_asked():
    x = torch.zeros(3)
    x.index_put_((torch.tensor([0, 0, 2]),), torch.tensor([1.0, 2.0, 3.0]), accumulate=True)
    assert x.tolist() == [3, 0, 3]
    assert torch.zeros(3).index_add(0, torch.tensor([1, 1]), torch.ones(2)).tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("index", "error"),
    [(5, IndexError), ((0, 0, 0, 0), IndexError), (1.5, IndexError), ("a", TypeError),
     (slice(None, None, -1), ValueError), ([0, 9], IndexError)],
)  # fmt: skip
def test_wrong_indices(index, error):
    _, x = pair()
    with pytest.raises(error):
        x[index].numpy()


def test_stores_check_shapes_and_kinds():
    _, x = pair()
    with pytest.raises(RuntimeError, match="must match the existing size"):
        x[0] = torch.ones(3)
    with pytest.raises(TypeError, match="can't assign a list"):
        x[0] = [1, 2]
    with pytest.raises(RuntimeError, match="dtypes match"):
        x[[0, 1]] = torch.ones(4, 5, dtype=torch.float64)
    x[0] = torch.ones(1, 1, 4, 5)  # leading ones do not count
    assert float(x[0].sum()) == 20


def test_gradients_go_where_the_elements_came_from():
    x = torch.ones(3, 2, requires_grad=True)
    (x[[0, 0, 2]] * 2).sum().backward()
    assert x.grad.tolist() == [[4, 4], [0, 0], [2, 2]]
    y = torch.ones(3, requires_grad=True)
    z = y * 3
    z[0] = 7
    (z * z).sum().backward()
    assert y.grad.tolist() == [0, 18, 18]


def test_gather_and_scatter_are_each_others_transpose():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    i = torch.tensor([[0, 0], [1, 0]])
    assert x.gather(1, i).tolist() == [[1, 1], [4, 3]]
    assert torch.zeros(2, 2).scatter_add(1, i, x).tolist() == [[3, 0], [4, 3]]
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.gather(1, i + 5).numpy()
    with pytest.raises(RuntimeError, match="int32/int64"):
        x.gather(1, x)


def test_where_something_is():
    x = torch.tensor([[0, 3], [4, 0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]]
    assert [i.tolist() for i in torch.where(x > 0)] == [[0, 1], [1, 0]]
    assert x.masked_fill(x == 0, -1).tolist() == [[-1, 3], [4, -1]]
    assert x.masked_select(x > 0).tolist() == [3, 4]


def test_elements_met_twice_get_both_gradients():
    x = torch.arange(4.0, requires_grad=True)
    windows = x.as_strided((3, 2), (1, 1))
    assert windows.tolist() == [[0, 1], [1, 2], [2, 3]]
    windows.sum().backward()
    assert x.grad.tolist() == [1, 2, 2, 1]
    y = torch.arange(4.0, requires_grad=True)
    y.unfold(0, 3, 1).sum().backward()
    assert y.grad.tolist() == [1, 2, 2, 1]
    assert torch.arange(4.0).unfold(0, 3, 1).stride() == (1, 1)


def test_masked_writes_into_an_expanded_tensor():
    v = torch.zeros(2).expand(3, 2)
    v.masked_fill_(v > -1, 0.5)
    assert v.tolist() == [[0.5, 0.5]] * 3
    v[v > 0] = 1.0
    assert v.tolist() == [[1.0, 1.0]] * 3
    with pytest.raises(RuntimeError, match="single memory location"):
        v.add_(1)


def test_what_is_written_into_a_copy_is_in_order():
    """A transposed tensor's copy with something written into it has row-major strides."""
    x = torch.arange(12.0).reshape(3, 4).t()
    at = torch.tensor([[0, 1, 2]])
    one = torch.ones(1, 3)
    for y in (
        x.scatter(0, at, one),
        x.scatter_add(0, at, one),
        x.index_add(0, torch.tensor([2]), one),
        x.index_copy(0, torch.tensor([2]), one),
        x.tril(),
        x.triu(),
    ):
        assert y.shape == x.shape and y.stride() == (3, 1)
    assert x.scatter_add(0, at, one).tolist() == [[1, 4, 8], [1, 6, 9], [2, 6, 11], [3, 7, 11]]
    assert x.tril(-1).tolist() == [[0, 0, 0], [1, 0, 0], [2, 6, 0], [3, 7, 11]]
