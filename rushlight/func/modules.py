"""Modules as functions of their parameters."""

from __future__ import annotations

from typing import Any

from rushlight.nn.normalization import _BatchNorm
from rushlight.nn.utils.stateless import functional_call
from rushlight.tensor.convert import detach, requires_grad_
from rushlight.tensor.join import stack

__all__ = ["functional_call", "replace_all_batch_norm_modules_", "stack_module_state"]


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """``root``, in which batch norms no longer keep running statistics: what they would write has
    no place in a function of a row."""
    for module in root.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of modules of one kind, each stacked along a new first
    dimension."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    kinds = {type(m) for m in models}
    if len(kinds) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(each: list[dict[str, Any]], leaf: bool) -> dict[str, Any]:
        made = {}
        for name, first in each[0].items():
            whole = stack([detach(d[name]) for d in each])
            made[name] = requires_grad_(whole) if leaf and first.requires_grad else whole
        return made

    return (
        stacked([dict(m.named_parameters()) for m in models], True),
        stacked([dict(m.named_buffers()) for m in models], False),
    )
