"""One entry of PyTorch's module table: construction, state, forward, backward, in both modes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

from rushlight import nn as our_nn
from tests.parity import adapt, tables

DTYPES: Final = (torch.float32, torch.float64)
FEW: Final = 8


def names() -> list[str]:
    """The entries' names, in the table's order."""
    adapt.remember_constructions()
    return [info.name for info in module_db]


def check(index: int, full: bool) -> tables.Found:
    """The outcome under each key (`mode dtype`): "" when it passes, else the reason."""
    info = module_db[index]
    results: tables.Found = {}
    for dtype in DTYPES:
        if dtype not in info.supported_dtypes("cpu"):
            continue
        for training in (True, False) if info.train_and_eval_differ else (True,):
            torch.manual_seed(0)
            cases = info.module_inputs_func(info, "cpu", dtype, True, training)
            mode = "" if training else ":eval"
            outcomes = [_one(info, c, dtype, training) for c in (cases if full else cases[:FEW])]
            results[f"{mode} {str(dtype).removeprefix('torch.')}"] = tables.worst(outcomes)
    if info.module_error_inputs_func is not None:
        cases = info.module_error_inputs_func(info, "cpu", torch.float32, True, True)
        results[":errors"] = tables.worst(list(_errors(info, cases)))
    return results


def _our_class(info: Any) -> Any:
    found = getattr(our_nn, info.module_cls.__name__, None)
    if found is None:
        raise adapt.Missing(info.name)
    return found


def _one(info: Any, case: Any, dtype: torch.dtype, training: bool) -> tuple[str, str]:
    """Make a module of ours with PyTorch's state; compare what both give and what flows back."""
    made, called = case.constructor_input, case.forward_input
    theirs = info.module_cls(*made.args, **made.kwargs).to(dtype).train(training)
    if called is None:
        return "", ""
    if info.is_lazy:
        theirs(*called.args, **called.kwargs)
    try:
        kind = _our_class(info)
        mine = kind(*adapt.ours(made.args), **adapt.ours(made.kwargs))
        mine = mine.to(adapt.our_dtype(dtype)).train(training)
        memo: dict[int, Any] = {}
        arguments = adapt.ours(called.args, memo)
        keywords = adapt.ours(called.kwargs, memo)
        if info.is_lazy:
            mine(*arguments, **keywords)
        _take_state(theirs, mine)
        return _compared(theirs, mine, called, arguments, keywords, memo)
    except Exception as error:
        reason, detail = adapt.judged(error)
        return reason, f"{detail} | {case.desc} {made.args} {made.kwargs}"[:500]


def _take_state(theirs: torch.nn.Module, mine: Any) -> None:
    state = theirs.state_dict()
    if list(state) != list(mine.state_dict()):
        raise adapt.Different("state", f"keys {list(mine.state_dict())} for {list(state)}")
    mine.load_state_dict({k: adapt.our_tensor(v.detach()) for k, v in state.items()})


def _compared(
    theirs: Any, mine: Any, called: Any, arguments: Any, keywords: Any, memo: dict[int, Any]
) -> tuple[str, str]:
    failure = expected = None
    adapt.seed()
    try:
        expected = theirs(*called.args, **called.kwargs)
    except Exception as error:
        failure = error
    try:
        found = mine(*arguments, **keywords)
        adapt.finish(found)
    except Exception as error:
        return adapt.judged(error) if failure is None else ("", "")
    if failure is not None:
        return "error", f"nothing raised, but PyTorch: {type(failure).__name__}: {failure}"
    adapt.same(expected, found)
    leaves = [t for t in adapt.tensors([called.args, called.kwargs]) if t.requires_grad]
    our_leaves = [memo[id(t)] for t in leaves] + list(mine.parameters())
    adapt.same_gradients(expected, found, leaves + list(theirs.parameters()), our_leaves)
    state = mine.state_dict()
    for key, value in theirs.state_dict().items():
        try:
            adapt.same(value, state[key])
        except adapt.Different as error:
            raise adapt.Different("state", f"{key}: {error}") from None
    return "", ""


def _errors(info: Any, cases: Any) -> Iterator[tuple[str, str]]:
    """What PyTorch refuses, at construction or when called: the same exception from us."""
    for case in itertools.islice(cases, 12):
        made = case.module_error_input.constructor_input
        called = case.module_error_input.forward_input
        at_call = case.error_on is ModuleErrorEnum.FORWARD_ERROR
        try:
            mine = _our_class(info)(*adapt.ours(made.args), **adapt.ours(made.kwargs))
            if at_call:
                adapt.finish(mine(*adapt.ours(called.args), **adapt.ours(called.kwargs)))
        except case.error_type:
            yield "", ""
        except Exception as error:
            reason, detail = adapt.judged(error)
            yield reason, f"{detail} | for {case.error_type.__name__} {case.error_regex}"
        else:
            yield "error", f"nothing raised | for {case.error_regex} {made.args} {made.kwargs}"
