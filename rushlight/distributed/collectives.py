"""What the processes of a group exchange, in a group of one: everybody's values are one's own.

Checks and errors are PyTorch's; a result that goes to another tensor is copied there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rushlight.autograd import no_grad
from rushlight.distributed.groups import chosen
from rushlight.engine import Tensor


class RedOpType:
    """One way to combine the processes' values."""

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"<RedOpType.{self.name}: {self.value}>"

    def __int__(self) -> int:
        return self.value


class ReduceOp:
    """The ways to combine the processes' values: of one process, all but the bitwise are alike."""

    RedOpType = RedOpType
    SUM: Final = RedOpType("SUM", 0)
    AVG: Final = RedOpType("AVG", 1)
    PRODUCT: Final = RedOpType("PRODUCT", 2)
    MIN: Final = RedOpType("MIN", 3)
    MAX: Final = RedOpType("MAX", 4)
    BAND: Final = RedOpType("BAND", 5)
    BOR: Final = RedOpType("BOR", 6)
    BXOR: Final = RedOpType("BXOR", 7)
    PREMUL_SUM: Final = RedOpType("PREMUL_SUM", 8)


class Work:
    """What an asynchronous exchange gives: it is done."""

    def __init__(self, result: list[Tensor]) -> None:
        self._result = result

    def wait(self, timeout: Any = None) -> bool:
        """True at once."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    def is_success(self) -> bool:
        """True."""
        return True

    def exception(self) -> None:
        """None: it went well."""

    def synchronize(self) -> None:
        """Nothing is under way."""

    def result(self) -> list[Tensor]:
        """The tensors that hold the result."""
        return self._result


def _tensor(x: Any, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(x)} instead."
        )


def _tensors(xs: Any, name: str) -> None:
    if not isinstance(xs, list | tuple) or not all(isinstance(x, Tensor) for x in xs):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {type(xs)} instead."
        )


def _root(global_rank: int | None, group_rank: int | None, what: str, default: int | None) -> None:
    if global_rank is not None and group_rank is not None:
        raise ValueError("Can't specify both group_rank and global_rank")
    rank = group_rank if global_rank is None else global_rank
    rank = default if rank is None else rank
    if rank is None:
        raise ValueError("Must specify global_rank or group_rank")
    if rank != 0:
        raise RuntimeError(f"ProcessGroupGloo::{what}: invalid root rank: {rank}")


def _one(xs: Sequence[Tensor], like: Tensor, what: str, side: str) -> Tensor:
    """The only tensor of a list, of the type and sizes that the exchange needs."""
    if len(xs) != 1:
        raise RuntimeError(
            f"ProcessGroupGloo::{what}: invalid {side} tensor list at index 0 (expected length 1, "
            f"got {len(xs)})"
        )
    found = xs[0]
    if found.dtype is not like.dtype:
        raise ValueError(
            f"Invalid usage of tensors with different dtypesFound {found.dtype} and  {like.dtype}"
        )
    if tuple(found.shape) != tuple(like.shape):
        want, got = (", ".join(map(str, x.shape)) for x in (like, found))
        raise RuntimeError(
            f"ProcessGroupGloo::{what}: invalid tensor size at index 0 (expected ({want}), "
            f"got ({got}))"
        )
    return found


def _put(out: Any, value: Any) -> None:
    with no_grad():
        out.copy_(value)


def _done(async_op: bool, *tensors: Tensor) -> Work | None:
    return Work(list(tensors)) if async_op else None


def all_reduce(
    tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Combine the processes' tensors, in place: the tensor stays as it is."""
    _tensor(tensor, "tensor")
    chosen(group)
    _combine(tensor, op)
    return _done(async_op, tensor)


def _combine(tensor: Tensor, op: Any) -> None:
    if not isinstance(op, RedOpType):
        raise TypeError(f"all_reduce(): op must be one of torch.distributed.ReduceOp, not {op!r}")
    if op.name in ("BAND", "BOR", "BXOR") and tensor.dtype.rank > 1:
        raise RuntimeError(f"Cannot use ReduceOp.{op.name} with non-integral dtype")


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Combine the processes' tensors at one of them."""
    _tensor(tensor, "tensor")
    chosen(group)
    _root(dst, group_dst, "reduce", None)
    _combine(tensor, op)
    return _done(async_op, tensor)


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Give everybody the tensor of one process."""
    chosen(group)
    _root(src, group_src, "broadcast", None)
    _tensor(tensor, "tensor")
    return _done(async_op, tensor)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Give everybody all tensors, as a list."""
    _tensors(tensor_list, "tensor_list")
    _tensor(tensor, "tensor")
    chosen(group)
    _put(_one(tensor_list, tensor, "allgather", "output"), tensor)
    return _done(async_op, *tensor_list)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Give everybody all tensors, one after another in a single one."""
    _tensor(output_tensor, "output_tensor")
    _tensor(input_tensor, "input_tensor")
    chosen(group)
    flat = output_tensor
    if tuple(flat.shape) == (1, *input_tensor.shape):
        flat = flat[0]  # stacked instead of joined
    _put(_one([flat], input_tensor, "allgather", "output"), input_tensor)
    return _done(async_op, output_tensor)


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Collect all tensors at one process."""
    _tensor(tensor, "tensor")
    chosen(group)
    _root(dst, group_dst, "gather", 0)
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    _put(_one(gather_list, tensor, "gather", "output"), tensor)
    return _done(async_op, *gather_list)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Give each process one of a process's tensors."""
    _tensor(tensor, "tensor")
    chosen(group)
    _root(src, group_src, "scatter", 0)
    if not scatter_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    _put(tensor, _one(scatter_list, tensor, "scatter", "input"))
    return _done(async_op, tensor)


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Combine lists of tensors, and give each process one of the results."""
    _tensor(output, "output")
    _tensors(input_list, "input_list")
    chosen(group)
    _combine(output, op)
    _put(output, _one(input_list, output, "reduce_scatter", "input"))
    return _done(async_op, output)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Combine tensors, and give each process a part of the result."""
    _tensor(output, "output")
    _tensor(input, "input")
    return reduce_scatter(output, [input], op, group, async_op)


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Each process gives each a tensor."""
    _tensors(output_tensor_list, "output_tensor_list")
    _tensors(input_tensor_list, "input_tensor_list")
    chosen(group)
    given = input_tensor_list[0] if len(input_tensor_list) == 1 else None
    if given is None:
        raise RuntimeError(f"all_to_all: a group of 1 process, {len(input_tensor_list)} tensors")
    _put(_one(output_tensor_list, given, "alltoall", "output"), given)
    return _done(async_op, *output_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Each process gives each a part of its tensor."""
    return all_to_all([output], [input], group, async_op)


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait for the other processes: there are none."""
    chosen(group)
    return _done(async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Wait for the other processes: there are none."""
    chosen(group)


# ----------------------------------------------------------------------------- objects


def _copied(obj: Any) -> Any:
    """An object as it arrives from another process: its pickle's."""
    import pickle

    return pickle.loads(pickle.dumps(obj))


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Give everybody all objects, as copies."""
    chosen(group)
    object_list[0] = _copied(obj)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """Collect all objects at one process, as copies."""
    chosen(group)
    _root(dst, group_dst, "gather", 0)
    if not object_gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    object_gather_list[0] = _copied(obj)


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
    weights_only: bool = False,
) -> None:
    """Give everybody the objects of one process."""
    chosen(group)
    _root(src, group_src, "broadcast", 0)


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """Give each process one of a process's objects."""
    chosen(group)
    _root(src, group_src, "scatter", 0)
    if not isinstance(scatter_object_output_list, list) or len(scatter_object_output_list) < 1:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    if not scatter_object_input_list:
        raise ValueError(
            "source rank must provide non-None scatter_object_input_list of the group's size"
        )
    scatter_object_output_list[0] = _copied(scatter_object_input_list[0])


# --------------------------------------------------------------------- from one to one


def send(
    tensor: Tensor, dst: int | None = None, group: Any = None, tag: int = 0, **more: Any
) -> None:
    """`ValueError`: there is no other process to send to."""
    _alone(tensor, "destination")


def recv(
    tensor: Tensor, src: int | None = None, group: Any = None, tag: int = 0, **more: Any
) -> int:
    """`ValueError`: there is no other process to hear from."""
    _alone(tensor, "source")
    return -1


def isend(
    tensor: Tensor, dst: int | None = None, group: Any = None, tag: int = 0, **more: Any
) -> None:
    """`ValueError`: there is no other process to send to."""
    _alone(tensor, "destination")


def irecv(
    tensor: Tensor, src: int | None = None, group: Any = None, tag: int = 0, **more: Any
) -> None:
    """`ValueError`: there is no other process to hear from."""
    _alone(tensor, "source")


def _alone(tensor: Any, what: str) -> None:
    _tensor(tensor, "tensor")
    chosen(None)
    raise ValueError(
        f"Invalid {what} rank: {what} rank should not be the same as the rank of the current "
        "process, and there is no other in a group of one"
    )
