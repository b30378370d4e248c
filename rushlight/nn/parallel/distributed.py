"""DistributedDataParallel in a group of one process: gradients are the process's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rushlight.base.device import Chosen
from rushlight.base.world import world
from rushlight.nn.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """A module around another, which every process of a group trains a copy of.

    The group has this process alone (`torch.distributed.init_process_group`), so there is nothing
    to average and ``DistributedDataParallel(model)(x)`` is ``model(x)``.  The wrapped module is
    `module`: the keys of the state begin with ``module.``.

    Raises:
        ValueError: without a process group; for `device_ids` of a module on the CPU.
        RuntimeError: for a module none of whose parameters needs a gradient.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **more: Any,
    ) -> None:
        super().__init__()
        world()
        wanted = [p for p in module.parameters() if p.requires_grad]
        if not wanted:
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        if device_ids is not None and len(device_ids) > 1:
            raise ValueError(
                "device_ids can only be None or contain a single element, but got "
                f"{list(device_ids)}."
            )
        here = {p.device for p in module.parameters()}
        if (device_ids or output_device is not None) and not Chosen.cuda_is_cpu:
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with "
                "single-device/multiple-device GPU modules or CPU modules, but got device_ids "
                f"{device_ids}, output_device {output_device}, and module parameters {here}."
            )
        self.dim = dim
        self.module = module
        self.device = next(iter(here))
        self.device_type = self.device.type
        self.device_ids = list(device_ids) if device_ids else None
        self.output_device = output_device
        self.process_group = process_group
        self.is_multi_device_module = False
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True
        self.parameters_to_ignore: set[str] = set()

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.module(*inputs, **kwargs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients gather without being averaged: of one process, no difference."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextlib.contextmanager
    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Iterator[None]:
        """For processes with uneven inputs: nobody has to be waited for."""
        yield

    def register_comm_hook(self, state: object, hook: Callable[..., Any]) -> None:
        """Nothing is sent, so the hook has nothing to do."""
