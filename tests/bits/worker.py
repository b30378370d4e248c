"""One column of the matrix of bits: a process that runs everything in one way and prints digests.

    python -m tests.bits.worker '{"level": "avx512", "threads": 2, ...}'

The last line printed is JSON: a digest for each piece of work, and what ran.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

SMALL_LOOPS = [
    "classifier_sgd", "classifier_adam", "tanh_curve", "regression_by_hand", "autograd_by_hand",
    "inference_batch1", "variant_accumulation", "variant_alternating_batches", "variant_clipping",
    "variant_dropout", "variant_ema", "variant_held_activation", "variant_hooks",
    "variant_live_numpy", "variant_losses_in_list", "variant_scheduler", "variant_two_optimizers",
]  # fmt: skip
MEDIUM_LOOPS = ["medium_mlp", "medium_lenet", "medium_lstm", "medium_gpt"]


@dataclass(frozen=True)
class Way:
    """How everything is run.

    `level`: the text written and, where this machine has it, the instructions; `threads` of the
    pool; `cores` the code is written for (0: this machine's); `runs` of every piece of work, all of
    which have to give the same; `eager`: one operation at a time; `share`: one case in so many;
    `loops`, `medium`: steps of the small (below 50: of a few of them) and of the larger loops;
    `programs`: random ones.
    """

    level: str = "host"
    threads: int = 1
    cores: int = 0
    eager: bool = False
    runs: int = 3
    share: int = 1
    loops: int = 0
    medium: int = 0
    programs: int = 0

    def text(self) -> str:
        """As the worker's argument."""
        return json.dumps(asdict(self))


def bits(x: np.ndarray) -> bytes:
    """What is compared of an array: shape, type, bits; NaNs are all alike."""
    x = np.ascontiguousarray(x)
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), np.array(np.nan, x.dtype), x)
    return f"{x.shape}{x.dtype.name}".encode() + x.tobytes()


def digest(arrays: Iterable[Any]) -> str:
    """A short name of the bits of some arrays."""
    h = hashlib.sha256()
    for x in arrays:
        h.update(bits(np.asarray(x)))
    return h.hexdigest()[:16]


def set_level(way: Way) -> None:
    """Makes this process's target the way's, before anything was compiled."""
    from rushlight.base import target
    from tests.bits.texts import as_written_for

    have = target.host()
    made = have
    if way.level != "host" and way.level in target.levels():
        made = target.at_level(way.level)  # type: ignore[arg-type]
    elif way.level != "host":
        made = as_written_for(way.level)
    if way.cores:
        made = made._replace(cores=way.cores)
    known: Any = target.host
    known.cache_clear()
    setattr(target, "at_level", lambda isa: made)
    assert target.host() is made


def replay(case: Any) -> list[np.ndarray]:
    """A case's program as a user would run it: recorded, then read."""
    from rushlight import engine
    from rushlight.engine import record
    from rushlight.graph.op import TABLE
    from rushlight.graph.shaping import is_view
    from tests.bits.texts import spread

    given, at = iter(case.leaves), []

    def operand(s: int) -> Any:
        return at[s] if s >= 0 else case.numbers[~s]

    for n in case.program.nodes:
        xs = [operand(s) for s in n.srcs]
        if n.op.kind == "leaf":
            a = spread(next(given), n.spec.shape, n.spec.strides)
            at.append(engine.from_array(np.array(a), n.spec.dtype, n.spec.device))
        elif n.op.kind == "const":
            at.append(n.arg[0])
        elif n.op.kind == "move" and is_view(n.op):
            at.append(record.view(n.op, xs[0], n.arg))
        elif n.op.kind == "write":
            base = engine.apply(TABLE["copy"], xs[0])
            hole = record.view(TABLE["as_strided"], base, n.arg)
            record.write(hole, xs[1], False)
            at.append(base)
        else:
            at.append(engine.apply(n.op, *xs, arg=n.arg))
    return [np.array(engine.read(at[o])) for o in case.program.outputs]


def repeated(work: Callable[[], str], runs: int, name: str) -> str:
    """The digest of a piece of work that has to be the same in every run."""
    first = work()
    for k in range(1, runs):
        again = work()
        if again != first:
            raise AssertionError(f"{name}: run {k + 1} gives other bits than the first")
    return first


def rows_of(way: Way) -> dict[str, str]:
    """Every case of every group."""
    from tests.bits.cases import GROUPS

    out = {}
    for name, (make_all, _) in GROUPS.items():
        share = way.share if name not in ("large", "fused", "moved", "losses") else 1
        for case in list(make_all())[::share]:
            key = f"{name}/{case.name}"
            out[key] = repeated(lambda c=case: digest(replay(c)), way.runs, key)  # type: ignore[misc]
    return out


def loops_of(names: list[str], steps: int) -> dict[str, str]:
    """The losses of training loops."""
    import rushlight

    shim = Path(str(rushlight.__file__)).parent / "cli" / "shim"  # `import torch` means ours
    sys.path.insert(0, str(shim))
    sys.path.append(str(ROOT / "benchmarks" / "programs"))
    out = {}
    for name in names:
        try:
            step = importlib.import_module(name).setup()
        except AttributeError as error:  # PyTorch has what it needs, this version not yet
            out[f"loop/{name}"] = f"not run: {error}"
            continue
        seen = [step() for _ in range(steps)]
        out[f"loop/{name}"] = digest(
            x.detach().numpy() if isinstance(x, rushlight.Tensor) else np.float64(x or 0)
            for x in seen
        )
    return out


def programs_of(way: Way) -> dict[str, str]:
    """Random programs: everything they read, and their errors."""
    from tests.programs import ways
    from tests.programs.generate import generate

    out = {}
    for seed in range(1000, 1000 + way.programs):
        p = generate(seed, scale=0.35)
        if way.eager:
            traces = [ways.one_at_a_time(p)]
        else:
            traces = ways.recorded(p, 1 + seed % 2, False, False, 2)
        told = set()
        for t in traces:
            h = hashlib.sha256()
            for s in t.seen:
                h.update(repr((s.block, s.turn, s.line, s.kind, s.meta)).encode())
                value = s.value
                numeric = isinstance(value, np.ndarray | float)
                h.update(bits(np.asarray(value)) if numeric else repr(value).encode())
            told.add(h.hexdigest()[:16])
        if len(told) > 1:
            raise AssertionError(f"random program {seed}: other values the second time")
        out[f"program/{seed}"] = told.pop()
    return out


def main() -> None:
    way = Way(**json.loads(sys.argv[1]))
    set_level(way)
    from rushlight.base.settings import override
    from rushlight.runtime import jit, pool

    pool.set_threads(way.threads)
    found: dict[str, str] = {}
    with override(eager=way.eager):
        if way.share:
            found |= rows_of(way)
        if way.loops:
            found |= loops_of(SMALL_LOOPS[:: 1 if way.loops >= 50 else 4], way.loops)
        if way.medium:
            found |= loops_of(MEDIUM_LOOPS, way.medium)
    if way.programs:
        found |= programs_of(way)
    lasting, passing = jit._LIBRARIES, jit._PASSING
    made = {**passing, **lasting}  # one that lasts may be linked once more for plans, from disk
    ran = {
        "libraries": sorted(made),
        "from_disk": sum(
            all(k[digest].from_disk for k in (lasting, passing) if digest in k) for digest in made
        ),
        "workers": pool.pool().workers(),
    }
    print(json.dumps({"digests": found, "ran": ran}))


if __name__ == "__main__":
    main()
