"""One entry of PyTorch's optimiser table: steps on small parameters, states and refusals."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any, Final

import numpy as np
import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import rushlight
from tests.parity import adapt, tables

DTYPES: Final = (torch.float32, torch.float64)
STEPS: Final = 4


def names() -> list[str]:
    """The entries' names, in the table's order."""
    return [info.name for info in optim_db]


def check(index: int, full: bool) -> tables.Found:
    """The outcome under each key (`settings dtype`): "" when it passes, else the reason."""
    info = optim_db[index]
    results: tables.Found = {}
    for dtype in DTYPES:
        torch.manual_seed(0)
        for case in info.optim_inputs_func(device="cpu", dtype=dtype):
            settings = re.sub(r"[^\w.=-]+", "-", case.desc or "default")
            results[f":{settings} {str(dtype).removeprefix('torch.')}"] = _one(info, case, dtype)
    for case in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = case.optimizer_error_input
        key = ":errors-" + re.sub(r"[^\w.=-]+", "-", given.desc).strip("-")
        results[key] = _refusal(info, case)
    return results


def _our_class(info: Any) -> Any:
    found = getattr(rushlight.optim, info.optim_cls.__name__, None)
    if found is None:
        raise adapt.Missing(f"optim.{info.name}")
    return found


def _one(info: Any, case: Any, dtype: torch.dtype) -> tuple[str, str]:
    rng = np.random.default_rng(3)
    shapes = ((3, 4), (4, 2)) if info.name == "Muon" else ((3, 4), (5,))
    starts = [torch.from_numpy(rng.standard_normal(s)).to(dtype) for s in shapes]
    sparse = info.name == "SparseAdam"
    try:
        expected = _trained(torch, info.optim_cls, starts, case.kwargs, sparse)
        our_starts = [adapt.our_tensor(s) for s in starts]
        found = _trained(rushlight, _our_class(info), our_starts, adapt.ours(case.kwargs), sparse)
        for want, got in zip(expected[0], found[0], strict=True):
            adapt.same(want, got)
        _same_state(expected[1].state_dict(), found[1].state_dict())
    except Exception as error:
        reason, detail = adapt.judged(error)
        return reason, f"{detail} | {case.kwargs}"
    return "", ""


def _trained(
    module: Any, kind: Any, starts: list[Any], settings: dict[str, Any], sparse: bool
) -> tuple[list[Any], Any]:
    """Some steps down a quartic bowl; (parameters, optimiser)."""
    parameters = [module.nn.Parameter(s.clone()) for s in starts]
    optimiser = kind(parameters, **settings)

    def closure() -> Any:
        optimiser.zero_grad()
        loss = sum((p**2).sum() * (i + 1) + (p**4).sum() * 0.1 for i, p in enumerate(parameters))
        loss.backward()
        if sparse:
            for p in parameters:
                p.grad = p.grad.to_sparse()
        return loss

    for _ in range(STEPS):
        closure()
        optimiser.step(closure)
    return parameters, optimiser


def _same_state(expected: dict[str, Any], found: dict[str, Any]) -> None:
    try:
        adapt.same(expected["state"], found["state"], strides=False)
        for want, got in zip(expected["param_groups"], found["param_groups"], strict=True):
            if list(want) != list(got):
                raise adapt.Different("state", f"keys {list(got)} for {list(want)}")
            adapt.same(want, got)
    except adapt.Different as error:
        raise adapt.Different("state", str(error)) from None


def _parameters(given: Any) -> Any:
    """Parameters as ours; sparse ones by their places and values."""
    groups = (
        [g["params"] if isinstance(g, dict) else [g] for g in given]
        if isinstance(given, list)
        else []
    )
    memo: dict[int, Any] = {}
    for x in (x for group in groups for x in group if isinstance(x, torch.Tensor)):
        if x.layout is torch.sparse_coo:
            places, values = (adapt.our_tensor(part) for part in (x._indices(), x._values()))
            memo[id(x)] = rushlight.sparse_coo_tensor(places, values, tuple(x.shape))
    return adapt.ours(given, memo)


def _refusal(info: Any, case: Any) -> tuple[str, str]:
    """What PyTorch refuses: the same exception, or warning, from us."""
    given = case.optimizer_error_input
    try:
        kind = _our_class(info)
        parameters, settings = _parameters(given.params), adapt.ours(given.kwargs)
        if inspect.isgenerator(given.params):
            parameters = iter(adapt.ours(list(given.params)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            optimiser = kind(parameters, **settings)
            if case.error_on is OptimizerErrorEnum.STEP_ERROR:
                optimiser.step()
    except case.error_type as error:
        if isinstance(error, adapt.Missing):
            return "missing", str(error)
        return "", ""
    except Exception as error:
        reason, detail = adapt.judged(error)
        return reason, f"{detail} | for {case.error_type.__name__} {case.error_regex}"
    return "error", f"nothing raised | for {case.error_type.__name__} {case.error_regex}"
