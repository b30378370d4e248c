"""Places that may not count from the end: nothing is read or written at the wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight.base.settings import override

F = torch.nn.functional
X = torch.arange(12.0).reshape(3, 4)
BELOW = torch.tensor([-1, 0])

REFUSED = "-1 is out of bounds|index out of range in self|Index 0 of input takes value -1"

CALLS: dict[str, Callable[[], Any]] = {
    "embedding": lambda: F.embedding(BELOW, X),
    "Embedding, sparse": lambda: torch.nn.Embedding(3, 4, sparse=True)(BELOW),
    "embedding_bag": lambda: F.embedding_bag(BELOW[None], X),
    "index_select": lambda: X.index_select(0, BELOW),
    "index_add": lambda: X.index_add(0, BELOW, X[:2]),
    "index_copy": lambda: X.index_copy(0, BELOW, X[:2]),
    "columns": lambda: X.index_select(1, BELOW),
}


@pytest.mark.parametrize("fuse_after", [1, 1 << 40])
@pytest.mark.parametrize("name", CALLS)
def test_places_below_zero_are_refused(name: str, fuse_after: int) -> None:
    with override(fuse_after=fuse_after):
        for _ in range(3):
            with pytest.raises((IndexError, RuntimeError), match=REFUSED):
                CALLS[name]().tolist()


@pytest.mark.parametrize("fuse_after", [1, 1 << 40])
def test_a_gradient_is_not_added_to_another_row(fuse_after: int) -> None:
    with override(fuse_after=fuse_after):
        for _ in range(3):
            table = torch.nn.Embedding(3, 4)
            with pytest.raises(IndexError, match=REFUSED):
                table(BELOW).sum().backward()
                table.weight.grad.tolist()
            w = X.clone().requires_grad_()
            with pytest.raises(IndexError, match=REFUSED):
                w.index_select(0, BELOW).sum().backward()
                w.grad.tolist()


def test_others_count_from_the_end() -> None:
    assert X[BELOW].tolist() == X[[2, 0]].tolist() == torch.stack([X[2], X[0]]).tolist()
    assert X.take(BELOW).tolist() == [11.0, 0.0]
    assert X.index_fill(0, BELOW, 0.0).tolist() == [[0.0] * 4, X[1].tolist(), [0.0] * 4]
    assert X.clone().index_put_((BELOW,), torch.tensor(0.0)).sum().item() == X[1].sum().item()
