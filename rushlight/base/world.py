"""Which of how many processes this one is: what a process group says, for every layer.

`rushlight.distributed` makes and ends the group; samplers and wrappers ask here.
"""

from __future__ import annotations

from typing import Final

NO_GROUP: Final = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class World:
    """The default process group: its backend's name, this process's rank, and its size."""

    current: World | None = None  # None before init_process_group

    def __init__(self, backend: str, rank: int, size: int) -> None:
        self.backend = backend
        self.rank = rank
        self.size = size


def world() -> World:
    """The default process group; `ValueError` in PyTorch's words where there is none."""
    if World.current is None:
        raise ValueError(NO_GROUP)
    return World.current
