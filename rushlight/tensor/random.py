"""Random tensors: PyTorch's CPU streams, drawn in program order into new or existing tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.dtype import dtype
from rushlight.base.lazy import later
from rushlight.base.shape import Ints, numel
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement
from rushlight.random import default_generator
from rushlight.random.generator import wrap_states_with
from rushlight.tensor.creation import like_strides, owned
from rushlight.tensor.install import (
    element_type,
    function,
    give,
    integer,
    method,
    need_tensor,
    number,
    place,
    sizes,
    strides,
)
from rushlight.tensor.kinds import preserve_format

look: Callable[..., Tensor] = engine.view
draws: Any = later("rushlight.random.draws")  # loaded by the first draw


def generator_of(generator: Any, where: Any = CPU) -> Any:
    """The generator an argument names; it has to be of the device's type."""
    if generator is None:
        return default_generator
    if generator.device.type != where.type:
        raise RuntimeError(
            f"Expected a '{where.type}' device type for generator but found "
            f"'{generator.device.type}'"
        )
    return generator


# ---------------------------------------------------------------- new tensors
Draw = Callable[[Any, Ints, dtype], Any]  # generator, shape, type -> array


def _paired(kind: dtype, draw: Callable[[Any], Any]) -> Any:
    """Complex numbers of real ones drawn in pairs: `draw` gives them for the type of the parts."""
    return draw(np.dtype(kind.to_real().numpy)).view(kind.numpy)[..., 0]


ROOT_HALF = math.sqrt(0.5)  # the deviation of each part, for a variance of 1 together


def _rand(gen: Any, shape: Ints, kind: dtype) -> Any:
    if kind.kind == "c":
        return _paired(kind, lambda part: draws.uniform(gen, (*shape, 2), dtype=part))
    return draws.uniform(gen, shape, dtype=kind.numpy)


def _randn(gen: Any, shape: Ints, kind: dtype) -> Any:
    if kind.kind == "c":
        return _paired(kind, lambda part: draws.normal(gen, (*shape, 2), 0.0, ROOT_HALF, part))
    return draws.normal(gen, shape, dtype=kind.numpy)


def _new(name: str, draw: Draw) -> Any:
    def make(
        *size: Any,
        generator: Any = None,
        out: Tensor | None = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        names: Any = None,
        **more: Any,
    ) -> Tensor:
        if more:
            size = (more.pop("size"),) if not size and "size" in more else size
            if more:
                raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
        kind = dt.Defaults.float if dtype is None else element_type(dtype, name)
        shape = _checked(sizes(size, name))
        where = place(device)
        a = draw(generator_of(generator, where), shape, kind)
        return give(owned(a, kind, where, requires_grad), out, name)

    make.__doc__ = f"`{name}(*size)`: random numbers of a floating type."
    return function(name)(make)


def _checked(shape: Ints) -> Ints:
    for d in shape:
        if d < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {d}: {list(shape)}"
            )
    return shape


rand = _new("rand", _rand)
randn = _new("randn", _randn)


def _like(name: str, fill: Callable[[Any, Any], Any]) -> Any:
    def make(
        input: Tensor,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        generator: Any = None,
        memory_format: Any = preserve_format,
    ) -> Tensor:
        need_tensor(input, name)
        kind = input.dtype if dtype is None else element_type(dtype, name)
        where = input.device if device is None else place(device)
        steps = like_strides(input, memory_format)
        a = laid_array(tuple(input.shape), steps, kind)
        made = owned(fill(generator_of(generator, where), a), kind, where)
        if steps != strides(made):
            made = engine.apply(movement.relayout, made, arg=steps)
        return engine.require_grad(made, True) if requires_grad else made

    make.__doc__ = f"`{name}`: random numbers in the shape, dtype and layout of a tensor."
    return function(name)(make)


def laid_array(shape: Ints, steps: Ints, kind: dtype) -> Any:
    """An empty array whose dimensions lie in memory as dense strides say."""
    order = sorted(range(len(shape)), key=lambda d: (-steps[d], -shape[d]))
    flat = np.empty(tuple(shape[d] for d in order), kind.numpy)
    return flat.transpose([order.index(d) for d in range(len(shape))]) if shape else flat


def _fill_uniform(gen: Any, a: Any, low: float = 0.0, high: float = 1.0) -> Any:
    if a.dtype.kind == "c":
        part = np.dtype(a.real.dtype)
        return draws.fill(a, lambda n: draws.uniform(gen, 2 * n, low, high, part).view(a.dtype))
    return draws.uniform_into(gen, a, low, high)


def _fill_normal(gen: Any, a: Any, mean: Any = 0.0, std: float = 1.0) -> Any:
    if a.dtype.kind != "c":
        return draws.normal_into(gen, a, mean, std)
    part = np.dtype(a.real.dtype)

    def pairs(n: int) -> Any:
        return draws.normal(gen, 2 * n, 0.0, std * ROOT_HALF, part).view(a.dtype) + mean

    return draws.fill(a, pairs)


rand_like = _like("rand_like", _fill_uniform)
randn_like = _like("randn_like", _fill_normal)


def _bounds(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[int, int, list[Any]]:
    """`low, high` of `(high, ...)` or `(low, high, ...)`; what follows them."""
    rest = list(args)
    has_low = (
        len(rest) > 1 and not isinstance(rest[1], tuple | list) and hasattr(rest[1], "__index__")
    )
    low = rest.pop(0) if has_low else kwargs.pop("low", 0)
    high = (
        rest.pop(0) if rest and not isinstance(rest[0], tuple | list) else kwargs.pop("high", None)
    )
    if high is None:
        raise TypeError(f"{name}() missing 1 required positional argument: 'high'")
    return integer(low, name, "low", 1), integer(high, name, "high", 2), rest


@function()
def randint(*args: Any, **kwargs: Any) -> Tensor:
    """`randint(low=0, high, size, *, dtype=int64)`: integers in `[low, high)`."""
    options = {k: kwargs.pop(k, None) for k in ("generator", "out", "dtype", "layout", "device",
                                               "requires_grad", "pin_memory")}  # fmt: skip
    if (
        len(args) == 2
        and isinstance(args[0], int)
        and isinstance(args[1], int)
        and "size" not in kwargs
    ):
        raise TypeError("randint(): argument 'size' (position 2) must be tuple of ints, not int")
    low, high, rest = _bounds(args, kwargs, "randint")
    size = rest.pop(0) if rest else kwargs.pop("size", None)
    if size is None or rest or kwargs:
        raise TypeError("randint() takes (low=0, high, size, *, dtype, device, generator)")
    kind = dt.int64 if options["dtype"] is None else element_type(options["dtype"], "randint")
    shape = _checked(sizes((size,), "randint", "size", 3))
    where = place(options["device"])
    a = draws.randint(generator_of(options["generator"], where), low, high, shape, kind.numpy)
    made = owned(a, kind, where, bool(options["requires_grad"]))
    return give(made, options["out"], "randint")


@function()
def randint_like(input: Tensor, *args: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
    """`randint` in the shape and dtype of a tensor."""
    low, high, _ = _bounds(args, kwargs, "randint_like")
    kind = input.dtype if dtype is None else element_type(dtype, "randint_like")
    a = draws.randint(default_generator, low, high, tuple(input.shape), kind.numpy)
    return owned(a, kind, input.device)


@function()
def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The integers below `n` in random order."""
    count = integer(n, "randperm", "n", 1)
    kind = dt.int64 if dtype is None else element_type(dtype, "randperm")
    _checked((count,))
    a = draws.randperm(generator_of(generator), count, kind.numpy)
    return give(owned(a, kind, place(device), requires_grad), out, "randperm")


# ---------------------------------------------------------------- distributions
@function()
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers: of a size, or with a mean or deviation for each element."""
    gen = generator_of(generator)
    tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
    if not tensors:
        if size is None:
            raise TypeError(
                "normal(): numbers for mean and std need a size: normal(mean, std, size)"
            )
        kind = dt.Defaults.float if dtype is None else element_type(dtype, "normal")
        shape = _checked(sizes((size,), "normal", "size", 3))
        a = draws.normal(gen, shape, float(mean), float(std), kind.numpy)
        return give(owned(a, kind, place(device), requires_grad), out, "normal")
    kind = dt.result_type([(t.dtype, 0) for t in tensors])
    m, s = (engine.read(v) if isinstance(v, Tensor) else float(v) for v in (mean, std))
    a = draws.normal_tensors(gen, m, s, kind.numpy)
    made = owned(np.asarray(a, kind.numpy), kind, tensors[0].device)
    return give(_after(made, *tensors), out, "normal")


def _after(made: Tensor, *sources: Tensor) -> Tensor:
    """What was drawn, with the history (and no gradient) that drawing from `sources` has."""
    for x in sources:
        if x.requires_grad and engine.is_grad_enabled():
            wide = look(movement.expand, x, tuple(made.shape))
            made = engine.apply(ew.where, engine.full((), True, dt.bool_), made, wide)
    return made


@function()
def bernoulli(
    input: Tensor,
    p: Any = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """0 or 1 with the probabilities that the tensor holds (or with one `p`, in its shape)."""
    need_tensor(input, "bernoulli")
    gen = generator_of(generator)
    if p is not None:
        a = draws.bernoulli_number(gen, tuple(input.shape), float(p), input.dtype.numpy)
    else:
        if input.dtype.rank < 2:
            raise NotImplementedError(
                f"\"bernoulli_tensor_cpu_p_\" not implemented for '{input.dtype.typename}'"
            )
        a = draws.bernoulli(gen, engine.read(input))
    return give(_after(owned(a, input.dtype, input.device), input), out, "bernoulli")


setattr(Tensor, "bernoulli", bernoulli)


@function()
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices of categories drawn by their weights, a row for each row of weights."""
    need_tensor(input, "multinomial")
    w = engine.read(input)
    if w.size and not (np.isfinite(w).all() and (w >= 0).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if out is not None and out.dtype is not dt.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.typename}")
    count = integer(num_samples, "multinomial", "num_samples")
    a = draws.multinomial(generator_of(generator), w, count, bool(replacement))
    return give(
        owned(np.ascontiguousarray(a, np.int64), dt.int64, input.device), out, "multinomial"
    )


setattr(Tensor, "multinomial", multinomial)


@function()
def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson numbers with the rates that the tensor holds."""
    a = draws.poisson(generator_of(generator), engine.read(input))
    return owned(np.asarray(a, input.dtype.numpy), input.dtype, input.device)


# ---------------------------------------------------------------- into existing tensors
_MUCH = 1 << 16  # elements from which numbers are drawn where the tensor lies


def _into(name: str, draw: Callable[..., Any], numbers: bool = False) -> None:
    """A method that fills the tensor in the order of its memory: `draw(gen, array, ...)`.

    `numbers`: what is drawn depends on numbers only, so that the tensor's own memory may be drawn
    into.
    """

    def fill(self: Tensor, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        engine.check_inplace(self)
        gen = generator_of(generator, self.device)
        shape = tuple(self.shape)
        given = (*args, *kwargs.values())
        if numbers and numel(shape) >= _MUCH and not any(isinstance(v, Tensor) for v in given):
            draw(gen, np.empty(0, self.dtype.numpy), *args, **kwargs)  # may refuse the arguments
            memory = engine.overwritten(self)
            if memory is not None:
                draw(gen, memory, *args, **kwargs)
                return self
        a = laid_array(shape, strides(self), self.dtype)
        filled = draw(gen, a, *args, **kwargs)
        return engine.assign(self, owned(np.asarray(filled), self.dtype, self.device))

    fill.__doc__ = f"`{name}`: overwrite the tensor with random numbers."
    method(name)(fill)


def _filled(draw: Callable[[int], Any], a: Any) -> Any:
    return draws.fill(a, draw)


def _random(gen: Any, a: Any, *bounds: Any, **named: Any) -> Any:
    given = dict(zip(("to",) if len(bounds) == 1 else ("from", "to"), bounds)) | named
    low, high = given.get("from"), given.get("to")
    if high is None:
        return _filled(lambda n: draws.random(gen, n, a.dtype, low), a)
    return _filled(
        lambda n: draws.randint(gen, 0 if low is None else int(low), int(high), n, a.dtype), a
    )


def _bernoulli(gen: Any, a: Any, p: Any = 0.5) -> Any:
    if isinstance(p, Tensor):
        p = engine.view(movement.expand, p, a.shape)
        order = sorted(range(a.ndim), key=lambda d: -a.strides[d])  # of the memory written to
        wide = engine.read(p).transpose(order)
        a.transpose(order)[...] = draws.bernoulli(gen, wide, a.dtype)
        return a
    return draws.bernoulli_into(gen, a, float(p))


def _uniform(gen: Any, a: Any, *bounds: Any, **named: Any) -> Any:
    # PyTorch's argument is called `from`, a word of Python's
    given = dict(zip(("from", "to"), bounds)) | named
    low, high = given.get("from", 0.0), given.get("to", 1.0)
    return _fill_uniform(gen, a, number(low, "uniform_", "from"), number(high, "uniform_", "to"))


def _numbers(name: str, **given: Any) -> list[Any]:
    return [number(v, name, argument) for argument, v in given.items()]


_into("uniform_", _uniform, True)
_into(
    "normal_",
    lambda gen, a, mean=0.0, std=1.0: _fill_normal(
        gen, a, number(mean, "normal_", "mean"), number(std, "normal_", "std")
    ),
    True,
)
_into("random_", _random)
_into("bernoulli_", _bernoulli)
_into(
    "exponential_",
    lambda gen, a, lambd=1.0: _filled(
        lambda n: draws.exponential(gen, n, number(lambd, "exponential_", "lambd"), a.dtype), a
    ),
)
_into(
    "geometric_",
    lambda gen, a, p: _filled(
        lambda n: draws.geometric(gen, n, number(p, "geometric_", "p"), a.dtype), a
    ),
)
_into(
    "cauchy_",
    lambda gen, a, median=0.0, sigma=1.0: _filled(
        lambda n: draws.cauchy(gen, n, *_numbers("cauchy_", median=median, sigma=sigma), a.dtype), a
    ),
)
_into(
    "log_normal_",
    lambda gen, a, mean=1.0, std=2.0: _filled(
        lambda n: draws.log_normal(gen, n, *_numbers("log_normal_", mean=mean, std=std), a.dtype), a
    ),
)


def state_tensor(state: Any) -> Tensor:
    """A generator's state as `get_rng_state` hands it out: a uint8 tensor."""
    return owned(np.array(state), dt.uint8, place("cpu"))


wrap_states_with(state_tensor)
