"""`torch.library`: operators that a program adds, called as functions and as `torch.ops.ns.name`.

    @torch.library.custom_op("mylib::cube", mutates_args=())
    def cube(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(x.numpy() ** 3)

The function is called with tensors that need no gradient, whenever the operator is; what it gives
goes on from there.  `register_autograd` gives it a gradient.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rushlight import engine
from rushlight.autograd import Function
from rushlight.engine import Tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.utils import _pytree

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "fallthrough_kernel", "get_ctx", "impl",
    "impl_abstract", "infer_schema", "opcheck", "register_autograd", "register_fake",
    "register_kernel", "register_torch_dispatch", "register_vmap",
]  # fmt: skip


class _Run(Function):
    """One call of an operator, with its gradient."""

    @staticmethod
    def forward(ctx: Any, op: CustomOpDef, spec: Any, *leaves: Any) -> Any:
        args, kwargs = _pytree.tree_unflatten(leaves, spec)
        out = op._kernel(*args, **kwargs)
        ctx.op, ctx.count = op, len(leaves)
        if op._setup is not None:
            names = op._keyword_only
            given = (
                {"keyword_only_inputs": {k: kwargs[k] for k in names if k in kwargs}}
                if names
                else {}
            )
            op._setup(ctx, inputs=op._bound(args, kwargs), output=out, **given)
        ctx.inputs = op._bound(args, kwargs)
        return tuple(out) if isinstance(out, list) else out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        op = ctx.op
        if op._backward is None:
            raise RuntimeError(
                f"Trying to backward through {op._namespace}.{op._name}.default but no autograd "
                "formula was registered. If autograd is expected, register one with "
                "torch.library.register_autograd."
            )
        got = op._backward(ctx, *grads)
        got = got if isinstance(got, tuple) else (got,)
        if len(got) != len(ctx.inputs):
            raise RuntimeError(
                f"{op._qualname}: backward gave {len(got)} gradients for {len(ctx.inputs)} inputs"
            )
        flat: list[Any] = []
        for value, grad in zip(ctx.inputs, got, strict=True):
            leaves = _pytree.tree_leaves(value)
            flat += grad if isinstance(value, list | tuple) and grad is not None else (
                [grad] if len(leaves) == 1 else [None] * len(leaves)
            )  # fmt: skip
        flat += [None] * (ctx.count - len(flat))
        return None, None, *flat


class CustomOpDef:
    """What `custom_op` gives: called like the function."""

    def __init__(self, namespace: str, name: str, fn: Callable[..., Any], mutates: Any) -> None:
        self._namespace, self._name = namespace, name
        self._qualname = f"{namespace}::{name}"
        self._kernel = fn
        self._mutates = mutates
        self._setup: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        self._fake: Callable[..., Any] | None = None
        functools.update_wrapper(self, fn)
        self._signature = inspect.signature(fn)
        kinds = self._signature.parameters.values()
        self._keyword_only = [p.name for p in kinds if p.kind is inspect.Parameter.KEYWORD_ONLY]
        _OPERATORS.setdefault(namespace, {})[name] = self

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def _bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All inputs that are not keyword-only, defaults filled in."""
        given = self._signature.bind(*args, **kwargs)
        given.apply_defaults()
        return tuple(v for k, v in given.arguments.items() if k not in self._keyword_only)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the operator."""
        leaves, spec = _pytree.tree_flatten((list(args), kwargs))
        needs = engine.is_grad_enabled() and any(
            isinstance(v, Tensor) and v.requires_grad for v in leaves
        )
        if needs and not self._mutates:
            return _Run.apply(self, spec, *leaves)
        before = engine.set_grad_enabled(False)
        try:
            return self._kernel(*args, **kwargs)
        finally:
            engine.set_grad_enabled(before)

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """`backward(ctx, *grads)` gives a gradient, or None, for every input;
        `setup_context(ctx, inputs, output)` saves what it needs."""
        self._backward, self._setup = backward, setup_context

    def register_kernel(
        self, device_types: str | Sequence[str] | None, fn: Callable[..., Any] | None = None, /
    ) -> Callable[..., Any]:
        """The function for some devices: that for `cpu` is the one called."""

        def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
            kinds = [device_types] if isinstance(device_types, str) else device_types
            if kinds is None or "cpu" in kinds:
                self._kernel = kernel
            return kernel

        return register if fn is None else register(fn)

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Remembered: shapes are those of what the operator gives."""
        self._fake = fn
        return fn

    def register_vmap(self, func: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Remembered nowhere: `vmap` runs the operator as any other."""
        return (lambda f: f) if func is None else func

    def register_torch_dispatch(self, cls: Any, fn: Any = None, /) -> Callable[..., Any]:
        """Nothing: there are no dispatch modes."""
        return (lambda f: f) if fn is None else fn


_OPERATORS: dict[str, dict[str, Any]] = {}


def _parts(qualname: str) -> tuple[str, str]:
    namespace, mark, name = qualname.partition("::")
    if not mark or not namespace or not name:
        raise ValueError(f"Expected `name` to be of the form `namespace::name`, got {qualname!r}")
    return namespace, name.partition(".")[0]


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Iterable[str] = (),
    device_types: str | Sequence[str] | None = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Make a function an operator called `namespace::name`; a decorator without `fn`.

    Args:
        mutates_args: the arguments that it writes into; such an operator has no gradient.
    """
    namespace, short = _parts(name)

    def make(function: Callable[..., Any]) -> CustomOpDef:
        if schema is None:
            infer_schema(function, mutates_args=mutates_args)
        return CustomOpDef(namespace, short, function, mutates_args)

    return make if fn is None else make(fn)


def infer_schema(
    prototype_function: Callable[..., Any],
    /,
    *,
    mutates_args: str | Iterable[str] = (),
    op_name: str | None = None,
) -> str:
    """The signature in PyTorch's notation; `ValueError` where a type is not said."""
    found = inspect.signature(prototype_function)
    parts = []
    star = False
    for p in found.parameters.values():
        if p.annotation is inspect.Parameter.empty:
            raise ValueError(
                f"infer_schema(func): Parameter {p.name} must have a type annotation. "
                f"Got func with signature {found})"
            )
        if p.kind is p.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        default = "" if p.default is p.empty else f"={p.default}"
        written = mutates_args == "unknown" or p.name in mutates_args
        parts.append(f"{_typed(p.annotation, written)} {p.name}{default}")
    result = found.return_annotation
    empty = result in (inspect.Signature.empty, None, "None")
    gives = "()" if empty else _typed(result, False)
    return f"{op_name or ''}({', '.join(parts)}) -> {gives}"


def _typed(annotation: Any, written: bool) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    short = text.rpartition(".")[2] if "[" not in text and "|" not in text else text
    known = {"int": "SymInt", "Tensor": "Tensor(a!)" if written else "Tensor", "bool": "bool"}
    return known.get(short, short)


def _known(op: Any) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    if isinstance(op, _Packet):
        op = op._name
    namespace, name = _parts(op)
    found = _OPERATORS.get(namespace, {}).get(name)
    if found is None:
        raise RuntimeError(f"operator {op} does not exist")
    return found  # type: ignore[no-any-return]


def register_autograd(
    op: Any,
    backward: Callable[..., Any],
    /,
    *,
    setup_context: Callable[..., Any] | None = None,
    lib: Any = None,
) -> None:
    """`CustomOpDef.register_autograd` of an operator by its name."""
    _known(op).register_autograd(backward, setup_context=setup_context)


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, **more: Any) -> Any:
    """`CustomOpDef.register_fake` of an operator by its name; a decorator without `func`."""
    found = _known(op)
    return found.register_fake if func is None else found.register_fake(func)


def impl_abstract(qualname: str, func: Any = None, *, lib: Any = None) -> Any:
    """The old name of `register_fake`."""
    return register_fake(qualname, func)


def register_kernel(
    op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None
) -> Callable[..., Any]:
    """`CustomOpDef.register_kernel` of an operator by its name."""
    return _known(op).register_kernel(device_types, func)


def register_vmap(op: Any, func: Any = None, /, *, lib: Any = None) -> Callable[..., Any]:
    """`CustomOpDef.register_vmap` of an operator by its name."""
    return _known(op).register_vmap(func)


def register_torch_dispatch(
    op: Any, torch_dispatch_class: Any, func: Any = None, /, *, lib: Any = None
) -> Callable[..., Any]:
    """`CustomOpDef.register_torch_dispatch` of an operator by its name."""
    return _known(op).register_torch_dispatch(torch_dispatch_class, func)


def fallthrough_kernel(*args: Any) -> None:
    """A mark for `Library.impl`."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def get_ctx() -> Any:
    """`RuntimeError`: shapes come from running operators, never from fake tensors."""
    raise RuntimeError("torch.library.get_ctx(): there are no fake tensors here")


def _lacks(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("the operator is defined and has no kernel for the CPU yet")


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Enter an operator by its signature, such as `(Tensor x) -> Tensor`; `impl` gives it code."""
    namespace, name = _parts(qualname)
    CustomOpDef(namespace, name, _lacks, "(a" in schema.partition("->")[0])


def impl(
    qualname: str, types: str | Sequence[str], func: Any = None, *, lib: Any = None
) -> Callable[..., Any]:
    """The code of an operator that `define` entered, for some devices."""

    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        kinds = [types] if isinstance(types, str) else types
        if {k.lower() for k in kinds} & {"cpu", "default", "compositeexplicitautograd"}:
            found = _known(qualname)
            mutates = found._mutates
            _OPERATORS[found._namespace].pop(found._name)
            CustomOpDef(found._namespace, found._name, f, mutates)
        return f

    return register if func is None else register(func)


class Library:
    """A namespace that operators are entered in: `define`, then `impl`."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Enter `name(Tensor x) -> Tensor`; the name."""
        name, _, rest = schema.partition("(")
        define(f"{self.ns}::{name.strip()}", f"({rest}")
        return name.strip()

    def impl(
        self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", **more: Any
    ) -> None:
        """The code of an operator for one key: that for the CPU, or for all, is what is called."""
        key = (dispatch_key or self.dispatch_key or "default").lower()
        if key in ("cpu", "default", "compositeexplicitautograd", "compositeimplicitautograd"):
            name = op_name if isinstance(op_name, str) else op_name._name.partition("::")[2]
            impl(f"{self.ns}::{name.rpartition('::')[2]}", "cpu", fn)


def opcheck(
    op: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: Any = ("test_schema", "test_autograd_registration"),
    raise_exception: bool = True,
    **more: Any,
) -> dict[str, str]:
    """Run an operator, and its gradient where inputs need one; what each test says."""
    names = [test_utils] if isinstance(test_utils, str) else test_utils
    given = kwargs or {}
    try:
        held = [
            (v, v.detach().clone())
            for v in _pytree.tree_leaves((list(args), given))
            if isinstance(v, Tensor)
        ]
        out = op(*args, **given)
        mutates = getattr(op, "_mutates", ())
        for v, copy in held:
            if not mutates and not FUNCTIONS["equal"](v, copy):
                raise RuntimeError(
                    f"{op} wrote into an argument, and mutates_args says it does not"
                )
        roots = [v for v in _pytree.tree_leaves(out) if isinstance(v, Tensor) and v.requires_grad]
        if roots:
            engine.grad(
                roots, [v for v, _ in held if v.requires_grad],
                [FUNCTIONS["ones_like"](r) for r in roots], False, False, True,
            )  # fmt: skip
    except Exception as error:
        if raise_exception:
            raise
        return dict.fromkeys(names, f"FAILED: {error}")
    return dict.fromkeys(names, "SUCCESS")


# ---------------------------------------------------------------- torch.ops
class _Packet:
    """`torch.ops.ns.name`: the operator, and its overloads, which are the same."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self._name, self._fn = name, fn
        self.__name__ = name.partition("::")[2]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._fn(*args, **kwargs)

    def __getattr__(self, overload: str) -> _Packet:
        if overload.startswith("_"):
            raise AttributeError(overload)
        return self

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self._name.replace('::', '.')}')>"


class _Namespace:
    """`torch.ops.ns`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, op: str) -> Any:
        if not op.startswith("__"):
            found = _OPERATORS.get(self._name, {}).get(op)
            if found is None and self._name == "aten":
                try:
                    found = FUNCTIONS[op]
                except KeyError:
                    found = getattr(Tensor, op, None)
            if found is not None:
                return _Packet(f"{self._name}::{op}", found)
        raise AttributeError(
            f"'_OpNamespace' '{self._name}' object has no attribute '{op}': torch.ops.{self._name}."
            f"{op} is not in Rushlight; programs add operators by torch.library.custom_op"
        )


class _Ops:
    """`torch.ops`: operators by namespace."""

    def __getattr__(self, namespace: str) -> Any:
        if namespace.startswith("__"):
            raise AttributeError(namespace)
        return _Namespace(namespace)

    def load_library(self, path: Any) -> None:
        """`NotImplementedError`: libraries are built for PyTorch's own core."""
        raise NotImplementedError(
            f"torch.ops.load_library({str(path)!r}): libraries built for PyTorch cannot be loaded "
            "by Rushlight"
        )


ops = _Ops()
