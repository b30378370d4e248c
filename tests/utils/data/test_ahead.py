"""Batches of a `TensorDataset` are gathered ahead: nothing of that may be seen."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader, Subset, TensorDataset


def loaders(*tensors, size=4):
    data = TensorDataset(*tensors)
    yield DataLoader(data, size)
    yield DataLoader(data, size, shuffle=True)
    yield DataLoader(data, size, shuffle=True, drop_last=True)


@pytest.mark.parametrize("width", [1, 3000])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_rows_are_those_of_the_indices(width, seed):
    x = torch.arange(23 * width).reshape(23, width)
    y = torch.arange(23)
    for loader in loaders(x, y):
        torch.manual_seed(seed)
        batches = list(loader)
        torch.manual_seed(seed)
        loader.collate_fn = lambda rows: rows  # the long way
        plain = list(loader)
        assert len(batches) == len(plain)
        for (a, b), rows in zip(batches, plain):
            assert torch.equal(a, torch.stack([r[0] for r in rows]))
            assert torch.equal(b, torch.stack([r[1] for r in rows]))


def test_a_write_between_batches_is_seen():
    x = torch.zeros(20, 2)
    for loader in loaders(x):
        for i, (batch,) in enumerate(loader):
            assert batch.tolist() == [[float(i), float(i)]] * 4
            x.add_(1)
        x.zero_()


def test_memory_shared_with_numpy_is_read_batch_by_batch():
    array = np.zeros((20, 2), np.float32)
    for loader in loaders(torch.from_numpy(array)):
        array[:] = 0
        for i, (batch,) in enumerate(loader):
            assert batch.tolist() == [[float(i), float(i)]] * 4
            array += 1
    x = torch.zeros(20, 2)
    for loader in loaders(x):
        x.zero_()
        steps = iter(loader)
        next(steps)
        x.numpy()[:] = 5
        assert next(steps)[0].tolist() == [[5.0, 5.0]] * 4


def test_new_data_and_new_shape_are_seen():
    x = torch.zeros(20, 2)
    steps = iter(DataLoader(TensorDataset(x), 4))
    next(steps)
    x.data = torch.ones(20, 2)
    assert next(steps)[0].tolist() == [[1.0, 1.0]] * 4


def test_batches_are_their_own():
    x = torch.arange(12.0).reshape(12, 1)
    batches = [b for (b,) in DataLoader(TensorDataset(x), 4)]
    batches[0].mul_(0)
    batches[1].numpy()[:] = -1
    assert x.flatten().tolist() == list(range(12))
    assert batches[0].flatten().tolist() == [0.0] * 4
    assert batches[1].flatten().tolist() == [-1.0] * 4
    assert batches[2].flatten().tolist() == [8.0, 9.0, 10.0, 11.0]
    assert batches[2].is_contiguous() and batches[2].is_leaf and not batches[2]._is_view()


def test_a_batch_can_be_trained_on():
    x = torch.arange(40.0).reshape(20, 2)
    total = torch.zeros(2)
    for (batch,) in DataLoader(TensorDataset(x), 4, shuffle=True):
        batch.requires_grad_()
        (batch**2).sum().backward()
        assert torch.equal(batch.grad, 2 * batch.detach())
        total += batch.detach().sum(0)
    assert torch.equal(total, x.sum(0))


def test_a_gradient_of_the_data_flows():
    x = torch.ones(8, 2, requires_grad=True)
    for (batch,) in DataLoader(TensorDataset(x), 4):
        batch.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0]] * 8


def test_subsets():
    x = torch.arange(10)
    part = Subset(TensorDataset(x), [9, 7, 5, 3, 1])
    assert [b.tolist() for (b,) in DataLoader(part, 2)] == [[9, 7], [5, 3], [1]]
