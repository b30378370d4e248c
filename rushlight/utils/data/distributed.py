"""`DistributedSampler`: each of several processes takes its share of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rushlight.base.world import world
from rushlight.random import Generator, draws
from rushlight.utils.data.sampler import Sampler


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on, of a permutation that all processes share.

    The permutation is that of `seed + epoch`; `set_epoch` gives each epoch its own.  Indices are
    repeated, or with `drop_last` left out, until all shares are of one length.  Without
    `num_replicas` and `rank` they are the process group's.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = world().size
        if rank is None:
            rank = world().rank
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        size = len(dataset)
        self.num_samples = size // num_replicas if drop_last else math.ceil(size / num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        if self.shuffle:
            gen = Generator().manual_seed(self.seed + self.epoch)
            indices: list[int] = draws.randperm(gen, size).tolist()
        else:
            indices = list(range(size))
        if not self.drop_last and indices:
            indices *= math.ceil(self.total_size / size)
        indices = indices[: self.total_size]
        return iter(indices[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration have the order of this epoch."""
        self.epoch = epoch


__all__ = ["DistributedSampler"]
