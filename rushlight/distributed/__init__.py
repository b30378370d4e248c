"""`torch.distributed` where it is not available: what programs ask, and errors for the rest.

`is_available()` is False, as in a PyTorch built without it; names can be imported all the same.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from rushlight.base.lacking import names_of

__all__ = [
    "destroy_process_group",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_backend_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "is_ucc_available",
    "is_xccl_available",
]

_NAMES: Final = frozenset(
    [
        *("Backend", "DeviceMesh", "FileStore", "HashStore", "P2POp", "PrefixStore", "Work"),
        *("ProcessGroup", "ReduceOp", "Store", "TCPStore", "all_gather", "all_gather_object"),
        *("all_gather_into_tensor", "all_reduce", "all_to_all", "all_to_all_single", "barrier"),
        *("batch_isend_irecv", "broadcast", "broadcast_object_list", "gather", "gather_object"),
        *("get_backend", "get_process_group_ranks", "group", "init_device_mesh", "irecv"),
        *("isend", "monitored_barrier", "new_group", "recv", "reduce", "reduce_op", "rpc"),
        *("reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send"),
    ]
)
_INSTEAD: Final = "run the program in one process; is_available() is False"

__getattr__ = names_of("torch.distributed", _NAMES, _INSTEAD)


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_backend_available(backend: str) -> bool:
    """False."""
    return False


def is_gloo_available() -> bool:
    """False."""
    return False


def is_mpi_available() -> bool:
    """False."""
    return False


def is_nccl_available() -> bool:
    """False."""
    return False


def is_ucc_available() -> bool:
    """False."""
    return False


def is_xccl_available() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """`NotImplementedError`."""
    raise NotImplementedError(
        f"torch.distributed.init_process_group is not in Rushlight: {_INSTEAD}"
    )


setattr(init_process_group, "lacking", True)  # for `rushlight check`


def destroy_process_group(group: Any = None) -> None:
    """PyTorch's error where there is no process group."""
    _no_group()


def get_rank(group: Any = None) -> int:
    """PyTorch's error where there is no process group."""
    return _no_group()


def get_world_size(group: Any = None) -> int:
    """PyTorch's error where there is no process group."""
    return _no_group()


def _no_group() -> NoReturn:
    raise ValueError(
        "Default process group has not been initialized, please make sure to call "
        "init_process_group."
    )
