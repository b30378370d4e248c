"""What all optimisers share: parameter groups, state, saving, hooks, and the step as one record.

An optimiser is a file with its formula: defaults, the names of its state tensors, the numbers of a
step (learning rate, bias corrections: run-time inputs) and a ``rule`` that says in graph rows what
a parameter and its state become.  The base class collects (parameter, gradient, state ...) and
hands all of a group to ``engine.update`` at once.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from itertools import chain
from typing import Any, ClassVar

from .. import engine
from ..base import dtype as dt
from ..base.device import CPU
from ..base.shape import contiguous_strides
from ..engine import Tensor
from ..engine.grads import forget
from ..engine.sums import MET, meets_scattered
from ..nn.conversion import zero_grad
from ..nn.handles import Hook, RemovableHandle
from ..nn.typename import typename
from .capturing import need_device
from .groups import Column, Group
from .scattered import refuse_sparse, step_sparse

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Closure = Callable[[], Any]


class _Required:
    """Stands for a hyper-parameter without a default."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_PRE: OrderedDict[int, Hook] = OrderedDict()
_POST: OrderedDict[int, Hook] = OrderedDict()
_LIVE: weakref.WeakSet[Optimizer] = weakref.WeakSet()


def _register_global(hooks: OrderedDict[int, Hook], hook: Hook) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    for optimizer in list(_LIVE):
        optimizer._wrap_step()
    return handle


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """``hook(optimizer, args, kwargs)`` before every step of every optimiser."""
    return _register_global(_PRE, hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """``hook(optimizer, args, kwargs)`` after every step of every optimiser."""
    return _register_global(_POST, hook)


class Optimizer:
    """Base of all optimisers, PyTorch's ``torch.optim.Optimizer``."""

    # What a rule's optimiser states; subclasses that override `step` need none of it.
    _state_names: ClassVar[tuple[str, ...]] = ()
    _on_device: ClassVar[str] = "params and state_steps"  # what `capturable` asks for
    _counts_steps: ClassVar[bool] = False  # state["step"]
    _enough_steps: ClassVar[int | None] = None  # from which count on its numbers stay the same
    _phases: ClassVar[bool] = False  # do the rows depend on the step
    _group_defaults: ClassVar[Mapping[str, Any]] = {}  # settings that old pickles lack

    _state: defaultdict[Any, Any]
    _groups: list[Group]
    _stale: bool  # the step counts of the state are behind
    _optimizer_step_pre_hooks: OrderedDict[int, Hook]
    _optimizer_step_post_hooks: OrderedDict[int, Hook]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._hook_dicts()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be "
                f"an iterable of Tensors or dicts, but got {typename(params)}"
            )
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _hook_dicts(self) -> None:
        d = self.__dict__
        for kind in ("step_pre", "step_post", "state_dict_pre", "state_dict_post",
                     "load_state_dict_pre", "load_state_dict_post"):  # fmt: skip
            d.setdefault(f"_optimizer_{kind}_hooks", OrderedDict())
        d.setdefault("_state", defaultdict(dict))
        d.setdefault("_groups", [])
        d.setdefault("_stale", False)
        _LIVE.add(self)
        if _PRE or _POST or d["_optimizer_step_pre_hooks"] or d["_optimizer_step_post_hooks"]:
            self._wrap_step()

    # ------------------------------------------------------------ state
    @property
    def state(self) -> defaultdict[Any, Any]:
        """Parameter -> its state, by name.

        Step counts are kept as numbers between looks; whoever looks gets PyTorch's tensors, and
        whatever is changed here counts from the next step on.
        """
        if self._stale:
            self._stale = False
            for kept in self._groups:
                for i, (p, _) in enumerate(kept.rows):
                    steps = kept.count if kept.steps is None else kept.steps[i]
                    self._state[p]["step"].fill_(steps)
        self._groups = []
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._stale = False
        self._groups = []
        self._state = value

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for key, value in state.items():
            setattr(self, key, value)
        self._hook_dicts()
        self.defaults.setdefault("differentiable", False)
        for group in self.param_groups:
            for name, value in self._group_defaults.items():
                group.setdefault(name, value)
        for own in self._state.values():
            if isinstance(own, dict) and "step" in own and not isinstance(own["step"], Tensor):
                own["step"] = number_tensor(float(own["step"]))

    def __repr__(self) -> str:
        out = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            out += f"\nParameter Group {i}\n"
            out += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return out + ")"

    # ------------------------------------------------------------ groups
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with settings of its own.

        Raises ``TypeError`` for what is not a tensor, ``ValueError`` for tensors that are not
        leaves or are already in a group.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, Tensor):
            given = [given]
        elif isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list "
                "instead."
            )
        else:
            given = list(given)
        names = [p[0] for p in given if isinstance(p, tuple)]
        params = [p[1] if isinstance(p, tuple) else p for p in given]
        param_group["params"] = params
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are "
                    "missing"
                )
            param_group["param_names"] = names
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {typename(p)}"
                )
            if not self.defaults.get("differentiable", None) and not (
                engine.is_leaf(p) or getattr(p, "retains_grad", False)
            ):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        own = {id(p) for p in params}
        if len(own) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                how = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {how} to the optimizer"
                )
        if any(id(p) in own for group in self.param_groups for p in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero in place."""
        for group in self.param_groups:
            if set_to_none:
                forget(group["params"])
            else:
                for p in group["params"]:
                    zero_grad(p, False)

    # ------------------------------------------------------------ stepping
    def step(self, closure: Closure | None = None) -> Any:
        """Change the parameters along their gradients; ``closure`` computes the loss again.

        Returns what the closure returned.
        """
        loss = None if closure is None else _with_grad(closure)
        self._opt_called = True
        if MET and meets_scattered(self.param_groups):
            step_sparse(self, Optimizer.step)
            return loss
        groups = self._groups
        if len(groups) != len(self.param_groups):
            groups = self._collect()
        for i, group in enumerate(self.param_groups):
            kept = groups[i]
            if kept.again(group):
                continue
            if not kept.current(group) or not (
                kept.settled(group) or kept.names == self._names(group)
            ):
                groups = self._collect()
            self._step_group(groups[i], group)
        return loss

    # A step is noticed by the schedulers without a wrapper around it.
    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]

    def _update_sparse(self, group: dict[str, Any], p: Tensor, g: Any) -> None:
        """Change one parameter along a sparse gradient."""
        refuse_sparse(self)

    def _step_group(self, kept: Group, group: dict[str, Any]) -> None:
        rows = kept.rows
        columns = kept.columns()
        if not columns:
            return
        if group.get("capturable") and not group.get("fused"):
            need_device(group, self._on_device)
        self._stale = self._counts_steps
        if kept.steps is None and (len(columns) == len(rows) or not kept.names):
            same = kept.settled(group)
            final = kept.count == self._enough_steps
            if not final:
                kept.count += 1
            if same and not self._phases:
                static = kept.static
            else:
                static = self._static_at(group, kept.count)
            numbers = self._numbers(group, kept.count)
            if final or not same:
                kept.settle(group, numbers if final else None, static)
            engine.update(kept.rule, columns, numbers, static)
            return
        # Some parameters have taken more steps than others: one update for each count.
        steps = kept.steps or [kept.count] * len(rows)
        by_count: dict[int, list[Column]] = {}
        for i, (p, state) in enumerate(rows):
            g = p.grad
            if g is not None:
                steps[i] = self._next(steps[i])
                by_count.setdefault(steps[i], []).append((p, g, *state))
        kept.count = steps[0]
        kept.steps = None if steps.count(steps[0]) == len(steps) else steps
        for count, part in by_count.items():
            static = self._static_at(group, count)
            engine.update(kept.rule, part, self._numbers(group, count), static)

    def _next(self, count: int) -> int:
        return count if count == self._enough_steps else count + 1

    def _collect(self) -> list[Group]:
        """Work out what a step needs; parameters that have a gradient get their state."""
        found = []
        state = self.state
        for group in self.param_groups:
            names = self._names(group)
            kept = Group(group, names, self._rule)
            steps = []
            for p in kept.params:
                if not names:
                    kept.rows.append((p, ()))
                    continue
                own = state.get(p, {})
                mine = self._names_of(p, group)
                fresh = any(own.get(name) is None for name in mine)
                if fresh:
                    if p.grad is None:
                        kept.bare.append(p)
                        continue
                    own = state[p]
                    if self._counts_steps:
                        own.setdefault("step", number_tensor(0.0))
                    for name in mine:
                        if own.get(name) is None:
                            own[name] = self._new_state(p, name, group)
                kept.rows.append((p, tuple([own[name] for name in mine])))
                steps.append(int(own["step"].item()) if self._counts_steps else 0 if fresh else 1)
            if steps:
                kept.count = steps[0]
                kept.steps = None if steps.count(steps[0]) == len(steps) else steps
            found.append(kept)
        self._groups = found
        return found

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The state tensors a group's settings ask for."""
        return self._state_names

    def _names_of(self, p: Tensor, group: dict[str, Any]) -> tuple[str, ...]:
        """The state tensors of one parameter."""
        return self._names(group)

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Tensor:
        """A state tensor before the first step."""
        return full_like(p, 0.0)

    def _static(self, group: dict[str, Any]) -> Any:
        """The settings that decide which rows the rule writes."""
        return None

    def _static_at(self, group: dict[str, Any], step: int) -> Any:
        """The same, where the rows depend on the step as well."""
        return self._static(group)

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        """The numbers of step ``step`` (counted from 1)."""
        raise NotImplementedError(f"{type(self).__name__} defines neither step() nor a rule")

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        """The new values of (parameter, gradient, state ...); None where one stays."""
        raise NotImplementedError

    # ------------------------------------------------------------ hooks
    def _wrap_step(self) -> None:
        """Put the hooks around this optimiser's ``step``."""
        inner = self.step
        if getattr(inner, "_with_hooks", False):
            return
        owner = weakref.ref(self)
        function = getattr(inner, "__func__", inner)
        bound = function is not inner

        @functools.wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            self = owner()
            assert self is not None
            call = function.__get__(self) if bound else function
            for hook in (*_PRE.values(), *self._optimizer_step_pre_hooks.values()):
                got = hook(self, args, kwargs)
                if got is None:
                    continue
                if not (isinstance(got, tuple) and len(got) == 2):
                    raise RuntimeError(
                        f"{hook} must return None or a tuple of (new_args, new_kwargs), but got "
                        f"{got}."
                    )
                args, kwargs = got
            out = call(*args, **kwargs)
            for hook in (*self._optimizer_step_post_hooks.values(), *_POST.values()):
                hook(self, args, kwargs)
            return out

        step._with_hooks = True  # type: ignore[attr-defined]
        self.__dict__["step"] = step

    def _add_hook(self, kind: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        hooks = self.__dict__[f"_optimizer_{kind}_hooks"]
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """``hook(optimizer, args, kwargs)`` before each step; may return other arguments."""
        self._wrap_step()
        return self._add_hook("step_pre", hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """``hook(optimizer, args, kwargs)`` after each step."""
        self._wrap_step()
        return self._add_hook("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """``hook(optimizer)`` before ``state_dict``."""
        return self._add_hook("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """``hook(optimizer, state_dict)`` after ``state_dict``; may return another."""
        return self._add_hook("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """``hook(optimizer, state_dict)`` before ``load_state_dict``; may return another."""
        return self._add_hook("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """``hook(optimizer)`` after ``load_state_dict``."""
        return self._add_hook("load_state_dict_post", hook, prepend)

    # ------------------------------------------------------------ saving
    def state_dict(self) -> dict[str, Any]:
        """State and settings, parameters by number, in PyTorch's form."""
        for hook in self.__dict__["_optimizer_state_dict_pre_hooks"].values():
            hook(self)
        number: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for i, p in enumerate(group["params"], start):
                number.setdefault(id(p), i)
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [number[id(p)] for p in group["params"]]
            start += len(packed["params"])
            groups.append(packed)
        state = {(number[id(k)] if isinstance(k, Tensor) else k): v for k, v in self.state.items()}
        out: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self.__dict__["_optimizer_state_dict_post_hooks"].values():
            got = hook(self, out)
            out = out if got is None else got
        return out

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and settings from ``state_dict()`` of an optimiser with groups of the
        same sizes.
        """
        given: Any = dict(state_dict)
        for hook in self.__dict__["_optimizer_load_state_dict_pre_hooks"].values():
            got = hook(self, given)
            given = given if got is None else got
        groups = self.param_groups
        saved = deepcopy(given["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(g["params"]) != len(s["params"]) for g, s in zip(groups, saved)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        by_number = dict(
            zip(
                chain.from_iterable(s["params"] for s in saved),
                chain.from_iterable(g["params"] for g in groups),
            )
        )
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in given["state"].items():
            if key in by_number:
                p = by_number[key]
                state[p] = _fitted(p, value)
            else:
                state[key] = value
        for group, new in zip(groups, saved):
            new["params"] = group["params"]
            if "param_names" in group and "param_names" not in new:
                new["param_names"] = group["param_names"]
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self.__dict__["_optimizer_load_state_dict_post_hooks"].values():
            hook(self)


def _fitted(p: Tensor, value: Any, key: Any = None) -> Any:
    """State of ``p`` in its type and place, copied: tensors but the step count."""
    if isinstance(value, Tensor):
        other: Any = value
        if key == "step":
            return other.clone()
        target: Any = p
        if target.is_floating_point():
            return other.to(dtype=p.dtype, device=p.device)
        return other.to(device=p.device)
    if isinstance(value, dict):
        return {k: _fitted(p, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return type(value)(_fitted(p, v) for v in value)  # type: ignore[call-arg]
    return value


def _with_grad(closure: Closure) -> Any:
    before = engine.set_grad_enabled(True)
    try:
        return closure()
    finally:
        engine.set_grad_enabled(before)


def number_tensor(value: float) -> Tensor:
    """A step count as PyTorch keeps it: a float tensor on the CPU."""
    kind = dt.float64 if dt.Defaults.float is dt.float64 else dt.float32
    return engine.full((), value, kind, CPU)


def full_like(p: Tensor, value: float) -> Tensor:
    """A tensor of one number in the shape, type, place and layout of ``p``, without its gaps."""
    shape = tuple(p.shape)
    spec = p.rec.spec.laid_alike()
    out = engine.full(shape, value, p.dtype, p.device)
    if spec != contiguous_strides(shape) and len(shape) > 1:
        like: Any = p
        return like.new_full(shape, value).as_strided(shape, spec)  # type: ignore[no-any-return]
    return out


# ---------------------------------------------------------------- checks of settings
def check_at_least_zero(**settings: Any) -> None:
    """``ValueError`` in PyTorch's words for a negative setting, or a learning rate of several
    elements.
    """
    for name, value in settings.items():
        if name == "learning_rate" and isinstance(value, Tensor) and value.shape.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not value >= 0.0:
            words = {"epsilon": "epsilon value", "learning_rate": "learning rate"}.get(
                name, f"{name} value"
            )
            raise ValueError(f"Invalid {words}: {value}")


def check_betas(betas: tuple[Any, Any]) -> None:
    """``ValueError`` in PyTorch's words for a running mean that forgets nothing."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_lr_tensor(foreach: Any, capturable: Any, **settings: Any) -> None:
    """``ValueError`` for settings that PyTorch does not take as tensors with ``foreach``."""
    for name, value in settings.items():
        if isinstance(value, Tensor) and foreach and not capturable:
            raise ValueError(
                f"{name} as a Tensor is not supported for capturable=False and foreach=True"
            )


def check_fused(fused: Any, foreach: Any, differentiable: Any) -> None:
    """``RuntimeError`` for settings that exclude each other.

    ``foreach``, ``fused`` and ``capturable`` are accepted and change nothing: every step is one
    record.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise RuntimeError(
            "differentiable=True: a step that is itself differentiated is not supported; "
            "write the update with tensor operations instead"
        )


def as_number(value: Any) -> float:
    """A setting that may be a tensor of one element, as a number."""
    if value.__class__ is float:
        return value
    return float(value.item() if isinstance(value, Tensor) else value)  # type: ignore[arg-type]
