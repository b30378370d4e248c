"""One entry of PyTorch's operator table: functions, methods, in-place forms and errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch.testing._internal.common_methods_invocations import op_db

import rushlight
from tests.parity import adapt, tables

DTYPES: Final = (torch.float32, torch.float64, torch.int64, torch.bool)
FEW: Final = 4
SMALL: Final = 10_000
# Results whose elements nobody set.
UNSET: Final = frozenset(
    (
        "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
        "resize_", "resize_as_",
    )
)  # fmt: skip


def names() -> list[str]:
    """The entries' names, in the table's order; doubles get a number."""
    adapt.remember_constructions()  # arguments of some entries are modules
    seen: dict[str, int] = {}
    result = []
    for op in op_db:
        name = f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name
        name = name.replace(" ", "_")
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result


def check(index: int, full: bool) -> tables.Found:
    """The outcome under each key (`form dtype`): "" when it passes, else the reason."""
    op = op_db[index]
    results: tables.Found = {}
    forms = list(_forms(op))
    for dtype in DTYPES:
        if not op.supports_dtype(dtype, "cpu"):
            continue
        with_gradient = op.supports_autograd and dtype.is_floating_point
        samples = _chosen(op, dtype, with_gradient, full)
        for form, theirs, find in forms:
            key = f"{form} {str(dtype).removeprefix('torch.')}"
            outcomes = [_one(op, form, theirs, find, s, with_gradient) for s in samples]
            results[key] = tables.worst(outcomes)
    if op.error_inputs_func is not None:
        results[":errors"] = tables.worst(list(_errors(op, full)))
    return results


def _forms(op: Any) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """(suffix, PyTorch's callable, how ours is found): function, method, in-place method."""
    yield "", op.op, lambda: adapt.our_function(op.op, op.name)
    for suffix, variant in ((":method", op.method_variant), (":inplace", op.inplace_variant)):
        if variant is not None and variant is not op.op:
            yield suffix, variant, lambda v=variant: _our_method(v)


def _our_method(variant: Any) -> Any:
    name = getattr(variant, "__name__", "")
    if name and getattr(torch.Tensor, name, None) is variant:
        found = getattr(rushlight.Tensor, name, None)
        if found is None:
            raise adapt.Missing(f"Tensor.{name}")
        return found
    return adapt.our_function(variant)


def _chosen(op: Any, dtype: torch.dtype, with_gradient: bool, full: bool) -> list[Any]:
    """The samples to run: all, or the first few small ones."""
    torch.manual_seed(0)
    samples = op.sample_inputs("cpu", dtype, requires_grad=with_gradient)
    if full:
        return list(samples)
    first = list(itertools.islice(samples, 40))
    return [s for s in first if _size(s) <= SMALL][:FEW] or sorted(first, key=_size)[:1]


def _size(sample: Any) -> int:
    return sum(t.numel() for t in adapt.tensors([sample.input, sample.args, sample.kwargs]))


def _one(
    op: Any, form: str, theirs: Any, find: Callable[[], Any], sample: Any, with_gradient: bool
) -> tuple[str, str]:
    """Run one sample in both frameworks and compare."""
    try:
        function = find()
        memo: dict[int, Any] = {}
        arguments = (sample.input, *sample.args)
        mine, mine_kw = adapt.ours(arguments, memo), adapt.ours(sample.kwargs, memo)
    except Exception as error:
        return adapt.judged(error)
    leaves = [
        t for t in adapt.tensors([arguments, sample.kwargs]) if t.requires_grad and id(t) in memo
    ]
    leaves = list({id(t): t for t in leaves}.values())
    if form == ":inplace":
        if sample.broadcasts_input or not isinstance(sample.input, torch.Tensor):
            return "", ""
        arguments = (sample.input.clone(), *sample.args)
        mine = (mine[0].clone(), *mine[1:])
    failure = expected = None
    adapt.seed()
    try:
        expected = theirs(*arguments, **sample.kwargs)
    except Exception as error:
        failure = error
    try:
        found = function(*mine, **mine_kw)
        adapt.finish(found)
    except Exception as error:
        if failure is not None:
            return adapt.judged(error) if isinstance(error, adapt.Missing) else ("", "")
        return _said(error, sample)
    if failure is not None:
        return "error", f"nothing raised, but PyTorch: {type(failure).__name__}: {failure}"[:400]
    try:
        adapt.same(expected, found, values=op.name not in UNSET)
        if with_gradient and op.name not in UNSET:
            _same_gradients(sample, expected, found, leaves, memo)
    except Exception as error:
        return _said(error, sample)
    return "", ""


def _said(error: BaseException, sample: Any) -> tuple[str, str]:
    reason, detail = adapt.judged(error)
    return reason, f"{detail} | {_summary(sample)}"


def _summary(sample: Any) -> str:
    def brief(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return f"Tensor{list(value.shape)}/{list(value.stride())}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(brief, value)) + "]"
        return repr(value)[:60]

    keywords = ", ".join(f"{k}={brief(v)}" for k, v in sample.kwargs.items())
    return f"{brief(sample.input)}, {brief(sample.args)}, {keywords}"[:300]


def _same_gradients(
    sample: Any, expected: Any, found: Any, leaves: list[torch.Tensor], memo: dict[int, Any]
) -> None:
    """Gradients where PyTorch gives them; what it cannot differentiate is left alone."""
    process = sample.output_process_fn_grad
    outputs, our_outputs = process(expected), adapt.our_function(process)(found)
    differentiable = [t for t in adapt.tensors(outputs) if t.requires_grad]
    if differentiable and leaves:
        try:
            torch.autograd.grad(
                differentiable, leaves, adapt.cotangents(differentiable),
                retain_graph=True, allow_unused=True,
            )  # fmt: skip
        except (RuntimeError, NotImplementedError):
            return
    adapt.same_gradients(outputs, our_outputs, leaves, [memo[id(t)] for t in leaves])


def _errors(op: Any, full: bool) -> Iterator[tuple[str, str]]:
    """What PyTorch refuses: the same type of exception must come from us."""
    torch.manual_seed(0)
    inputs = op.error_inputs("cpu")
    for case in inputs if full else itertools.islice(inputs, 12):
        sample = case.sample_input
        try:
            op(sample.input, *sample.args, **sample.kwargs)
        except Exception as error:
            failure = error
        else:
            continue  # a warning, or an error of another device
        try:
            function = adapt.our_function(op.op, op.name)
            given = [sample.input, *sample.args, *sample.kwargs.values()]
            memo: dict[Any, Any] = {"shared": adapt.shared_storages(given)}
            mine, keywords = adapt.ours([sample.input, *sample.args], memo), sample.kwargs
            keywords = adapt.ours(keywords, memo)
        except Exception as error:
            yield adapt.judged(error)
            continue
        try:
            adapt.finish(function(*mine, **keywords))
        except type(failure):
            yield "", ""
        except Exception as error:
            wanted = f"{type(failure).__name__}: {failure}"[:200]
            yield "error", f"{type(error).__name__}: {error}"[:200] + f" | for {wanted}"
        else:
            wanted = f"{type(failure).__name__}: {failure}"[:200]
            yield "error", f"nothing raised | for {wanted} | {_summary(sample)}"
