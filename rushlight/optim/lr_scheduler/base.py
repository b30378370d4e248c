"""What all schedules share: base rates, counting, writing into the optimiser, saving.

A schedule gives ``get_lr``: the rates of all groups at ``last_epoch``, from the rates of now (so
that schedules can be chained), and where there is one ``_get_closed_form_lr``, the same from the
base rates.
"""

from __future__ import annotations

import types
import warnings
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from ...engine import Tensor
from ..optimizer import Optimizer

EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being "
    "deprecated where possible. Please use `scheduler.step()` to step the "
    "scheduler. During the deprecation, if epoch is different from None, the "
    "closed form is used instead of the new chainable form, where available. "
    "Please open an issue if you are unable to replicate your use case: "
    "https://github.com/pytorch/pytorch/issues/new/choose."
)
_ORDER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. "
    "In PyTorch 1.1.0 and later, you should call them in the opposite order: "
    "`optimizer.step()` before `lr_scheduler.step()`.  Failure to do this "
    "will result in PyTorch skipping the first value of the learning rate schedule. "
    "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)
_REPLACED = (
    "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
    "initialization. Please, make sure to call `optimizer.step()` before "
    "`lr_scheduler.step()`. See more details at "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group, given as one for all or as a list; ``ValueError`` for a wrong
    length.
    """
    groups = optimizer.param_groups
    if isinstance(value, (list, tuple)):
        if len(value) != len(groups):
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. "
                f"{name} has {len(value)} values, param_groups has {len(groups)}."
            )
    else:
        value = [value] * len(groups)
    return [copied(v) for v in value]


def copied(value: Any) -> Any:
    """A rate that nobody else changes: tensors are cloned."""
    return value.clone() if isinstance(value, Tensor) else value  # type: ignore[attr-defined]


def current(optimizer: Optimizer, key: str = "lr") -> list[Any]:
    """One setting of all groups."""
    return [
        value if type(value := group[key]) is float else copied(value)
        for group in optimizer.param_groups
    ]


def put(group: dict[str, Any], key: str, value: Any) -> None:
    """Write a setting; one that is a tensor stays that tensor."""
    if type(group[key]) is not float and isinstance(group[key], Tensor):
        group[key].fill_(value.item() if isinstance(value, Tensor) else value)
    else:
        group[key] = value


def need_optimizer(optimizer: Any) -> None:
    """``TypeError`` for what is not an optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


class LRScheduler:
    """Base of the schedules, PyTorch's ``LRScheduler``."""

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False
    optimizer: Optimizer
    last_epoch: int
    _last_lr: list[Any]
    _step_count: int

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        need_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler "
                    "with last_epoch >= 0.\n"
                    "This typically happens when:\n"
                    "1. You're trying to resume training from a checkpoint but haven't properly "
                    "loaded "
                    "the optimizer state\n"
                    "2. You're using last_epoch >= 0 for a fresh training run (not recommended)"
                )
        self.base_lrs: list[Any] = current(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _watch_step(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of epoch 0."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a ``state_dict()``."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates last set, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates at ``last_epoch``; for use within ``step``."""
        raise NotImplementedError

    def _inside(self) -> None:
        """Warn a user who calls ``get_lr`` instead of ``get_last_lr``."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def step(self, epoch: Any = None) -> None:
        """Go on by one epoch (or to ``epoch``, which is deprecated)."""
        if self._step_count == 1:
            if not getattr(self.optimizer.step, "_wrapped_by_lr_sched", False):
                warnings.warn(_REPLACED, UserWarning, stacklevel=2)
            elif not getattr(self.optimizer, "_opt_called", False):
                warnings.warn(_ORDER, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: Any = None) -> None:
        self._get_lr_called_within_step = True
        try:
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            closed: Callable[[], list[Any]] | None = getattr(self, "_get_closed_form_lr", None)
            values = self.get_lr() if epoch is None or closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        self._set(values)

    def _set(self, values: list[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            put(group, "lr", lr)
        self._last_lr = current(self.optimizer)

    def _scaled(self, factor: float) -> list[Any]:
        """The rates of now times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class _LRScheduler(LRScheduler):
    """The old name."""


def _watch_step(optimizer: Optimizer) -> None:
    """Have ``optimizer.step`` say that it was called, for the warning about the order of calls."""
    inner = optimizer.step
    if getattr(inner, "_wrapped_by_lr_sched", False):
        return
    owner = weakref.ref(optimizer)
    function: Any = getattr(inner, "__func__", inner)
    bound = function is not inner

    @wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        self: Any = owner()
        self._opt_called = True
        return (function.__get__(self) if bound else function)(*args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.__dict__["step"] = step


def save_functions(functions: list[Any]) -> list[Any]:
    """Callable objects as their attributes; plain functions cannot be saved: None."""
    return [None if isinstance(f, types.FunctionType) else f.__dict__.copy() for f in functions]


def load_functions(functions: list[Any], saved: list[Any]) -> None:
    """Give callable objects their attributes back."""
    for f, attributes in zip(functions, saved):
        if attributes is not None:
            f.__dict__.update(attributes)
