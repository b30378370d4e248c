"""The random streams of PyTorch's CPU, and the process-wide generator.

`rushlight.random` is PyTorch's `torch.random`.  The distributions behind the tensor API are the
functions of `rushlight.random.draws`: they take a `Generator` and give NumPy arrays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.random.generator import Generator, default_generator

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "thread_safe_generator",
]


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it; a negative seed counts as 2**64 + seed."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Reseed the default generator from the operating system; the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed last given to the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The default generator's state, 5056 bytes; see `Generator.get_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Bring the default generator to a state of `get_rng_state`."""
    default_generator.set_state(new_state)


def thread_safe_generator() -> Generator | None:
    """A generator of this thread's own inside a loader's worker thread; None elsewhere, as here."""
    return None


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str = "cuda",
) -> Iterator[None]:
    """Inside, draws change nothing outside: the default generator's state is put back at the end.

    `devices` and `device_type` name generators of other devices, of which there are none.
    """
    if not enabled:
        yield
        return
    state = default_generator.state_bytes()
    try:
        yield
    finally:
        default_generator.set_state(state)
