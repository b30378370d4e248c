"""The process group of a program that runs as one process: making it, asking it, ending it.

Its size is 1: Rushlight trains in one process, with threads.  A program written for several
(`init_process_group`, ranks, `DistributedDataParallel`) runs as the one process of a group of one;
a larger `world_size` is an error at the line that asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from rushlight.base.device import Chosen
from rushlight.base.world import NO_GROUP, World, world

default_pg_timeout: Final = timedelta(seconds=1800)
_LACKING: Final = {
    "nccl": "Distributed package doesn't have NCCL built in",
    "mpi": "Distributed package doesn't have MPI built in. MPI is only included if you build "
    "PyTorch from source on a host that has MPI installed.",
    "ucc": "Distributed package doesn't have UCC built in",
    "xccl": "Distributed package doesn't have XCCL built in",
}


class Backend(str):
    """The name of a backend, in small letters.

    There is one, called `gloo`; with `--cuda=cpu` the name `nccl` stands for it as well.
    """

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    XCCL = "xccl"
    UCC = "ucc"
    MPI = "mpi"
    FAKE = "fake"
    backend_list: Final = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI, FAKE]
    default_device_backend_map: Final = {"cpu": GLOO, "cuda": NCCL, "xpu": XCCL, "mps": GLOO}

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, not {name!r}")
        return super().__new__(cls, name.lower())


class ProcessGroup:
    """Processes that speak with one another: here, this one alone.

    Args:
        ranks: the members' ranks in the default group.
        name: what the group is called.
    """

    def __init__(self, ranks: Sequence[int], backend: str, name: str) -> None:
        self.ranks = list(ranks)
        self.backend = backend
        self.group_name = name
        self.bound_device_id = None

    def rank(self) -> int:
        """This process's rank among the members."""
        return self.ranks.index(world().rank)

    def size(self) -> int:
        """How many members there are."""
        return len(self.ranks)

    def name(self) -> str:
        """The backend's name."""
        return self.backend


class _Meta(type):
    """Gives `group.WORLD`, which comes and goes with the default group."""

    _whole: ProcessGroup | None = None

    @property
    def WORLD(cls) -> ProcessGroup | None:
        return _Meta._whole


class group(metaclass=_Meta):
    """`group.WORLD`: the default group; None before `init_process_group`."""


class GroupMember(metaclass=_Meta):
    """`GroupMember.WORLD`, and what `new_group` gives a process that is not in the group."""

    NON_GROUP_MEMBER = -100


def default_group() -> ProcessGroup:
    """The default group; `ValueError` where there is none."""
    if _Meta._whole is None:
        raise ValueError(NO_GROUP)
    return _Meta._whole


def chosen(one: Any) -> ProcessGroup | None:
    """The group that an argument means; None for one without this process."""
    whole = default_group()
    if one is None or one is whole:
        return whole
    return None if one == GroupMember.NON_GROUP_MEMBER else one


# ------------------------------------------------------------------- beginning and end


def _variable(name: str) -> str:
    found = os.environ.get(name)
    if found is None:
        raise ValueError(
            "Error initializing torch.distributed using env:// rendezvous: environment variable "
            f"{name} expected, but not set"
        )
    return found


def _from_environment(size: int, rank: int) -> tuple[int, int]:
    if rank < 0:
        rank = int(_variable("RANK"))
    if size < 0:
        size = int(_variable("WORLD_SIZE"))
    _variable("MASTER_ADDR")
    _variable("MASTER_PORT")
    return size, rank


def _backend(name: str | None) -> str:
    if name is None:
        return Backend.GLOO if not Chosen.cuda_is_cpu else Backend.NCCL
    kinds = [part.rpartition(":")[2].lower() for part in str(name).split(",")]
    for kind in kinds:
        if kind in _LACKING and not (kind == Backend.NCCL and Chosen.cuda_is_cpu):
            if len(kinds) > 1:
                continue  # the backend of a device that is not there
            raise RuntimeError(f'{_LACKING[kind]}; init_process_group(backend="gloo") works here')
        if kind not in Backend.backend_list:
            raise AssertionError(f"Unknown backend type {kind}")
    return str(name).lower()


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make the default group, whose only process this is.

    Args:
        backend: `"gloo"`.
        init_method: `"env://"` (the default: `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`
            are read from the environment), or `tcp://` and `file://` addresses, which a single
            process has no need of.
        world_size: 1, here or in the environment.
        rank: 0.

    Raises:
        NotImplementedError: for more than one process.
        RuntimeError: for backends that are not there (NCCL, MPI).
        ValueError: without the variables, or when there is a group already.

    Example:
        >>> import rushlight.distributed as dist
        >>> dist.init_process_group("gloo", world_size=1, rank=0)
        >>> dist.get_rank(), dist.get_world_size()
        (0, 1)
        >>> dist.destroy_process_group()
    """
    if World.current is not None:
        raise ValueError("trying to initialize the default process group twice!")
    if store is not None and init_method is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    kind = _backend(backend)
    method = init_method or "env://"
    scheme = method.partition("://")[0]
    if store is not None:
        if world_size < 1:
            raise AssertionError("world_size must be positive if using store")
        if rank < 0:
            raise AssertionError("rank must be non-negative if using store")
    elif scheme == "env":
        world_size, rank = _from_environment(world_size, rank)
    elif scheme not in ("tcp", "file"):
        raise RuntimeError(f"No rendezvous handler for {scheme}://")
    elif rank < 0 or world_size < 0:
        what = "rank" if rank < 0 else "world size"
        raise ValueError(f"Error initializing torch.distributed using {scheme}:// rendezvous: "
                         f"{what} parameter missing")  # fmt: skip
    if world_size != 1:
        raise NotImplementedError(
            f"torch.distributed with world_size={world_size} is not in Rushlight: it trains in one "
            "process, with threads; start the program once, with world_size=1 and rank=0"
        )
    if rank != 0:
        raise ValueError(f"rank {rank} of a group of one process: its only rank is 0")
    World.current = World(kind, rank, world_size)
    _Meta._whole = ProcessGroup([0], kind, group_name or "0")


def destroy_process_group(group: Any = None) -> None:
    """End a group; the default group without an argument."""
    if World.current is None:
        raise AssertionError("Process group cannot be None")
    if group is None or group is _Meta._whole:
        World.current = None
        _Meta._whole = None


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
) -> Any:
    """A group of some of the processes: of this one."""
    whole = default_group()
    members = list(ranks) if ranks is not None else list(whole.ranks)
    if len(members) > whole.size():
        raise ValueError(
            "the new group's world size should be less or equal to the world size set by "
            "init_process_group"
        )
    for rank in members:
        if rank < 0 or rank >= whole.size():
            raise ValueError(
                f"Rank {rank} is out of range. Valid ranks are 0 to {whole.size() - 1} "
                f"(world_size={whole.size()})"
            )
    if world().rank not in members:
        return GroupMember.NON_GROUP_MEMBER
    return ProcessGroup(members, _backend(backend) if backend else whole.backend, group_desc or "1")


# ------------------------------------------------------------------------- questions


def is_available() -> bool:
    """True: a group of one process can be made."""
    return True


def is_initialized() -> bool:
    """Whether there is a default group."""
    return World.current is not None


def is_backend_available(backend: str) -> bool:
    """Whether a backend is there: gloo, under whose name the one process runs."""
    return backend.lower() == Backend.GLOO


def is_gloo_available() -> bool:
    """True."""
    return True


def is_mpi_available() -> bool:
    """False."""
    return False


def is_nccl_available() -> bool:
    """False, except with `--cuda=cpu`."""
    return Chosen.cuda_is_cpu


def is_ucc_available() -> bool:
    """False."""
    return False


def is_xccl_available() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher has started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def get_rank(group: Any = None) -> int:
    """This process's rank in a group; -1 outside of it."""
    found = chosen(group)
    return -1 if found is None else found.rank()


def get_world_size(group: Any = None) -> int:
    """How many processes a group has; -1 for one without this process."""
    found = chosen(group)
    return -1 if found is None else found.size()


def get_backend(group: Any = None) -> str:
    """The name of a group's backend."""
    found = chosen(group)
    if found is None:
        raise ValueError("Invalid process group specified")
    return found.backend


def get_backend_config(group: Any = None) -> str:
    """Devices and their backends, as text."""
    kind = get_backend(group)
    return kind if ":" in kind else f"cpu:{kind},cuda:{kind}"


def get_default_backend_for_device(device: Any) -> str:
    """The backend for a device's tensors."""
    kind = str(device).partition(":")[0]
    if kind not in Backend.default_device_backend_map:
        raise ValueError(f"Default backend not registered for device : {device}")
    return Backend.default_device_backend_map[kind]


def get_process_group_ranks(group: Any = None) -> list[int]:
    """The members' ranks in the default group."""
    found = chosen(group)
    return [] if found is None else list(found.ranks)


def get_global_rank(group: Any, group_rank: int) -> int:
    """The rank in the default group of a group's member."""
    ranks = get_process_group_ranks(group)
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return ranks[group_rank]


def get_group_rank(group: Any, global_rank: int) -> int:
    """The rank in a group of a process of the default group."""
    ranks = get_process_group_ranks(group)
    if global_rank not in ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return ranks.index(global_rank)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """`LOCAL_RANK` of the environment, or the rank given."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context and "
        "want the code to run locally instead."
    )
