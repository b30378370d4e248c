"""`torch.amp`: mixed precision on the CPU by PyTorch's lists, and loss scaling.

Inside `autocast("cpu")` products and convolutions are bfloat16 (or float16), losses and
decompositions float32; `graph/autocast.py` has the lists.  For CUDA, which is not there, autocast
and scalers switch themselves off with a warning, as PyTorch's do.
"""

from __future__ import annotations

import functools
import math
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.graph.autocast import Policy
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import reduce as rd
from rushlight.graph.ops.parts import isfinite

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "GradScaler",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_enabled",
]

_POLICIES: Final[dict[dtype, Policy]] = {}
_DTYPES: Final[dict[str, dtype]] = {"cpu": dt.bfloat16, "cuda": dt.float16}


class _State(threading.local):
    policy: Any = None
    nesting: int = 0


_state = _State()


def _policy(kind: dtype) -> Policy:
    found = _POLICIES.get(kind)
    if found is None:
        found = _POLICIES[kind] = Policy(kind)
    return found


def _use(policy: Policy | None) -> None:
    _state.policy = policy
    engine.set_autocast(policy)


# ---------------------------------------------------------------- what is set
def is_autocast_available(device_type: str) -> bool:
    """True for the CPU."""
    return device_type == "cpu"


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether operations are recorded under autocast; without a device: for CUDA, never."""
    return device_type == "cpu" and _state.policy is not None


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`."""
    return is_autocast_enabled("cpu")


def get_autocast_dtype(device_type: str) -> dtype:
    """The low precision that autocast would use."""
    if device_type == "cpu" and _state.policy is not None:
        return _state.policy.kind  # type: ignore[no-any-return]
    return _DTYPES.get(device_type, dt.float16)


def get_autocast_cpu_dtype() -> dtype:
    """`get_autocast_dtype("cpu")`."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> dtype:
    """`get_autocast_dtype("cuda")`."""
    return get_autocast_dtype("cuda")


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """The low precision of regions that name none."""
    _DTYPES[device_type] = dtype


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Switch autocast on or off outside of a `with` block."""
    if device_type == "cpu":
        _use(_policy(_DTYPES["cpu"]) if enabled else None)


def set_autocast_cpu_dtype(dtype: dtype) -> None:
    """`set_autocast_dtype("cpu", dtype)`."""
    set_autocast_dtype("cpu", dtype)


def set_autocast_gpu_dtype(dtype: dtype) -> None:
    """`set_autocast_dtype("cuda", dtype)`."""
    set_autocast_dtype("cuda", dtype)


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """`set_autocast_enabled("cpu", enabled)`."""
    set_autocast_enabled("cpu", enabled)


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Nothing: there is no cache."""


def autocast_increment_nesting() -> int:
    """One more region, for programs that write `autocast` themselves; how many there are."""
    _state.nesting += 1
    return _state.nesting


def autocast_decrement_nesting() -> int:
    """One region less; how many there are."""
    _state.nesting -= 1
    return _state.nesting


def is_autocast_cache_enabled() -> bool:
    """False: converted weights are not kept, they are part of what is recognised."""
    return False


def clear_autocast_cache() -> None:
    """Nothing: there is no cache."""


class autocast:
    """A context or decorator in which operations choose their types by PyTorch's lists.

    >>> import rushlight as torch
    >>> with torch.autocast("cpu"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self.fast_dtype = _DTYPES.get(device_type, dt.float16) if dtype is None else dtype
        if enabled and device_type == "cpu" and self.fast_dtype not in (dt.bfloat16, dt.float16):
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtype of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        elif enabled and device_type != "cpu":
            warnings.warn(
                f"User provided device_type of '{device_type}', but {device_type.upper()} is not "
                "available. Disabling autocast (the results are those of full precision)",
                stacklevel=2,
            )
            enabled = False
        self.enabled = enabled
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        self._before.append(_state.policy)
        if self.device == "cpu":
            _use(_policy(self.fast_dtype) if self.enabled else None)
        return self

    def __exit__(self, *exception: object) -> None:
        _use(self._before.pop())

    def __call__(self, func: F) -> F:
        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return inside  # type: ignore[return-value]


# ---------------------------------------------------------------- custom functions
def _cast(value: Any, kind: dtype) -> Any:
    if isinstance(value, Tensor):
        plain = value.dtype.kind == "f" and value.dtype is not dt.float64
        return (
            engine.apply(ew.cast, value, arg=kind) if plain and value.dtype is not kind else value
        )
    if isinstance(value, dict):
        return {k: _cast(v, kind) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cast(v, kind) for v in value)
    return value


def custom_fwd(
    fwd: Any = None, *, device_type: str = "cpu", cast_inputs: dtype | None = None
) -> Any:
    """For `forward` of a custom function: with `cast_inputs`, inputs of that type and no autocast
    inside."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        args[0]._fwd_used_autocast = is_autocast_enabled(device_type)
        if cast_inputs is None or not args[0]._fwd_used_autocast:
            return fwd(*args, **kwargs)
        args[0]._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return forward


def custom_bwd(bwd: Any = None, *, device_type: str = "cpu") -> Any:
    """For `backward` of a custom function: under autocast where `forward` was."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(*args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=args[0]._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return backward


# ---------------------------------------------------------------- loss scaling
READY, UNSCALED, STEPPED = 0, 1, 2


class GradScaler:
    """Multiplies losses, so that small gradients survive in float16, and divides the gradients.

    A step whose gradients are not finite is left out, and the scale is halved; after
    `growth_interval` good steps it is doubled.  For CUDA, which is not there, it is switched off.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda":
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._states: dict[int, dict[str, Any]] = self._fresh()

    @staticmethod
    def _fresh() -> dict[int, dict[str, Any]]:
        return defaultdict(lambda: {"stage": READY, "bad": None})

    def scale(self, outputs: Any) -> Any:
        """`outputs` (a tensor, or sequences of tensors) times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            # as with a float32 tensor without dimensions: float16 stays
            return engine.apply(ew.mul, outputs, self._scale)
        if isinstance(outputs, list | tuple):
            return type(outputs)(self.scale(x) for x in outputs)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _divide(self, optimizer: Any, allow_half: bool) -> bool:
        """Divide the gradients in place; whether one of them is not finite."""
        inverse = 1.0 / self._scale
        bad: list[Tensor] = []
        before = engine.set_grad_enabled(False)
        try:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    g = p.grad
                    if g is None:
                        continue
                    if not allow_half and g.dtype is dt.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    dims = (tuple(range(len(g.shape))), False)
                    wrong = engine.apply(ew.logical_not, engine.apply(isfinite, g))
                    bad.append(engine.apply(rd.any_, wrong, arg=dims))
                    engine.inplace(ew.mul, g, inverse)
            if not bad:
                raise AssertionError("No inf checks were recorded for this optimizer.")
            found = bad[0]
            for b in bad[1:]:
                found = engine.apply(ew.logical_or, found, b)
            return bool(engine.item(found))
        finally:
            engine.set_grad_enabled(before)

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimiser's parameters by the scale, once before `step`."""
        if not self._enabled:
            return
        state = self._states[id(optimizer)]
        if state["stage"] == UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] == STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        state["bad"] = self._divide(optimizer, False)
        state["stage"] = UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, unless gradients are not finite; unscales them where need be."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        state = self._states[id(optimizer)]
        if state["stage"] == STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] == READY:
            self.unscale_(optimizer)
        result = None if state["bad"] else optimizer.step(*args, **kwargs)
        state["stage"] = STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Adapt the scale to what the steps since the last `update` met, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            value = engine.item(new_scale) if isinstance(new_scale, Tensor) else new_scale
            self._scale = float(value)  # type: ignore[arg-type]
        else:
            met = [s["bad"] for s in self._states.values() if s["bad"] is not None]
            if not met:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(met):
                self._scale *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    grown = self._scale * self._growth_factor
                    self._scale = grown if math.isfinite(grown) else self._scale
                    self._growth_tracker = 0
        self._states = self._fresh()

    # ------------------------------------------------------------ settings
    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale; 1.0 when switched off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """By what the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set by what the scale grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """By what the scale is multiplied after a bad step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set by what the scale is multiplied after a bad step."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many good steps the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and count; empty when switched off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another scaler was; `RuntimeError` for the state of one switched off."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved "
                "from a disabled instance of GradScaler."
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
