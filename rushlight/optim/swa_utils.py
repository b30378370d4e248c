"""Averages of weights: ``torch.optim.swa_utils``.

    equal:        a = a + (p - a) / (n + 1)
    exponential:  a = decay * a + (1 - decay) * p

Sources: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018;
Polyak averaging.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from .. import engine
from ..base import dtype as dt
from ..base.device import CPU, device, located
from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from .lr_scheduler.base import LRScheduler, per_group
from .optimizer import Optimizer

Average = Callable[[Any, Any, Any], Any]


def _without_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        before = engine.set_grad_enabled(False)
        try:
            return f(*args)
        finally:
            engine.set_grad_enabled(before)

    return call


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """A function that moves averaged parameters, in place, towards the current ones."""
    _check_decay(decay)

    def ema_update(averaged: Sequence[Any], current: Sequence[Any], num_averaged: Any) -> None:
        for a, p in zip(averaged, current):
            if a.is_floating_point() or a.is_complex():
                a.lerp_(p, 1 - decay)
            else:
                a.copy_(a * decay + p * (1 - decay))

    return _without_grad(ema_update)


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """A function that takes the current parameters into an equal average, in place."""

    def swa_update(averaged: Sequence[Any], current: Sequence[Any], num_averaged: Any) -> None:
        weight = 1 / (float(num_averaged) + 1)
        for a, p in zip(averaged, current):
            if a.is_floating_point() or a.is_complex():
                a.lerp_(p, weight)
            else:
                a.add_((p - a) * weight)

    return _without_grad(swa_update)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A function that gives the exponential average of one parameter."""
    _check_decay(decay)
    return _without_grad(lambda a, p, num_averaged: decay * a + (1 - decay) * p)


def get_swa_avg_fn() -> Average:
    """A function that gives the equal average of one parameter."""
    return _without_grad(lambda a, p, num_averaged: a + (p - a) / (num_averaged + 1))


class AveragedModel(Module):
    """A copy of a model whose parameters are the averages over calls of ``update_parameters``.

    ``avg_fn(averaged, current, count)`` or ``multi_avg_fn(list, list, count)`` say how; the default
    is the equal average.  ``use_buffers``: buffers are averaged as well, else copied.
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module: Any = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", engine.full((), 0, dt.int64, _place(device)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of ``model`` into the average."""
        mine: Iterable[Any] = self.module.parameters()
        theirs: Iterable[Any] = model.parameters()
        if self.use_buffers:
            mine = chain(mine, self.module.buffers())
            theirs = chain(theirs, model.buffers())
        averaged = [a.detach() for a in mine]
        current = [p.detach().to(a.device) for p, a in zip(theirs, averaged)]
        if self.n_averaged == 0:
            for a, p in zip(averaged, current):
                a.copy_(p)
        elif self.multi_avg_fn is not None:
            groups: dict[Any, tuple[list[Any], list[Any]]] = {}
            for a, p in zip(averaged, current):
                group = groups.setdefault((a.device, a.dtype), ([], []))
                group[0].append(a)
                group[1].append(p)
            for (where, _), (first, second) in groups.items():
                self.multi_avg_fn(first, second, self.n_averaged.to(where))
        else:
            average = get_swa_avg_fn() if self.avg_fn is None else self.avg_fn
            for a, p in zip(averaged, current):
                a.copy_(average(a, p, self.n_averaged.to(a.device)))
        if not self.use_buffers:
            buffers: Any = zip(self.module.buffers(), model.buffers(), strict=True)
            for kept, new in buffers:
                kept.detach().copy_(new.detach().to(kept.device))
        self.n_averaged += 1


def _place(where: Any) -> device:
    return CPU if where is None else located(device(where))


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Work out the running statistics of all batch normalisations anew, in one pass over
    ``loader``, whose batches are tensors or begin with one.
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    before = engine.set_grad_enabled(False)
    try:
        for batch in loader:
            x: Any = batch[0] if isinstance(batch, list | tuple) else batch
            model(x if device is None else x.to(device))
    finally:
        engine.set_grad_enabled(before)
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """Brings the rate of each group to ``swa_lr`` within ``anneal_epochs``, then keeps it."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """How far the rate has come, from 0 to 1."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    @staticmethod
    def _start(lr: Any, swa_lr: Any, alpha: float) -> Any:
        return swa_lr if alpha == 1 else (lr - alpha * swa_lr) / (1 - alpha)

    def get_lr(self) -> list[Any]:
        """The rates of all groups at this epoch."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=2,
            )
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        epochs = max(1, self.anneal_epochs)
        before = self.anneal_func(max(0, min(1, (step - 1) / epochs)))
        alpha = self.anneal_func(max(0, min(1, step / epochs)))
        out = []
        for group in self.optimizer.param_groups:
            lr = self._start(group["lr"], group["swa_lr"], before)
            out.append(group["swa_lr"] * alpha + lr * (1 - alpha))
        return out


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]
