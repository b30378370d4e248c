"""Observers and probes: told once, on schedule, and the program's bits are the same."""

from __future__ import annotations

import gc
import importlib
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine import watch
from tests.programs import ways
from tests.programs.compare import differ
from tests.programs.generate import generate

trie: Any = importlib.import_module("rushlight.engine.trie")


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    yield
    for h in [*watch.OBSERVERS, *watch.PROBES]:
        h.remove()
    watch.LABELS.clear()
    watch.set_scope(None)
    assert not trie.WATCH


def train(steps: int = 8) -> list[bytes]:
    """A small model: every loss, gradient and parameter, as bytes."""
    T.manual_seed(3)
    m = T.nn.Sequential(T.nn.Linear(5, 6), T.nn.ReLU(), T.nn.Linear(6, 3))
    for name, p in m.named_parameters():
        watch.label(p, name)
    o = T.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
    x = T.randn(7, 5)
    y = T.randint(0, 3, (7,))
    out = []
    for _ in range(steps):
        o.zero_grad()
        loss = T.nn.functional.cross_entropy(m(x), y)
        loss.backward()
        o.step()
        out.append(np.float64(loss.item()).tobytes())
        out.extend(engine.read(p.grad).tobytes() for p in m.parameters())
        out.extend(engine.read(p).tobytes() for p in m.parameters())
    return out


def everything(seen: watch.Seen) -> bool:
    return True


# ---------------------------------------------------------------- observers
def test_every_new_record_is_told_once_with_its_place() -> None:
    seen: list[watch.Seen] = []
    with engine.watch.observe(seen.append):
        train(6)
    relu = [s for s in seen if s.name == "relu"]
    assert 1 <= len(relu) <= 2  # the first step's stretch may be one of its own
    (spec,) = relu[0].operands
    assert spec.shape == (7, 6) and relu[0].spec.shape == (7, 6)
    assert relu[0].producers[0].row.name == "linear"
    assert __file__ in relu[0].line
    kinds = [s.kind for s in seen]
    assert kinds.count("backward") == len(relu)
    assert "step" in kinds and "plan" in kinds
    assert {s.label for s in seen if s.kind == "leaf"} >= {
        "0.weight", "0.bias", "2.weight", "2.bias",
    }  # fmt: skip
    plans = [s for s in seen if s.kind == "plan"]
    assert all(s.plan.program.nodes for s in plans if s.plan.outputs)
    n = len(seen)
    train(2)
    assert len(seen) == n  # removed


def test_what_was_known_before_is_told_again() -> None:
    x = T.ones(3, 2)
    for _ in range(3):
        (x * 2).exp().sum().item()
    names: list[str] = []
    with engine.watch.observe(lambda s: names.append(s.name)):
        for _ in range(3):
            (x * 2).exp().sum().item()
    assert names.count("exp") == 1 and names.count("mul") == 1 and names.count("plan") == 1


def test_told_before_the_next_new_record() -> None:
    told: list[str] = []
    with engine.watch.observe(lambda s: told.append(s.name)):
        x = T.ones(4)
        engine.flush()
        told.clear()
        y = x.sin()
        y = y.cos()
        assert told[-1] == "sin"
        y.tanh()
        assert told[-1] == "cos"


def test_scope_is_that_of_the_recording() -> None:
    place = ["a"]
    engine.watch.set_scope(lambda: place[0])
    scopes: dict[str, Any] = {}
    with engine.watch.observe(lambda s: scopes.setdefault(s.name, s.scope)):
        x = T.ones(4)
        y = x.sin()
        place[0] = "b"
        y.cos().sum().item()
    assert scopes["sin"] == "a" and scopes["cos"] == "b"


def test_a_callback_may_use_tensors_and_is_not_told_of_its_own() -> None:
    names: list[str] = []
    values: list[float] = []
    x = T.arange(6, dtype=T.float32)

    def look(s: watch.Seen) -> None:
        names.append(s.name)
        if s.name == "sin":
            values.append((x * 3).log1p().sum().item())

    alone = x.sin().cos().tolist()
    with engine.watch.observe(look):
        y = x.sin()
        z = y.cos()
        assert z.tolist() == alone
    assert "log1p" not in names and len(values) == 1
    assert values[0] == pytest.approx(float(np.log1p(np.arange(6) * 3).sum()), rel=1e-5)


def failing(what: Any) -> None:
    raise ValueError("my rule is wrong")


def test_a_failing_callback_is_a_warning() -> None:
    alone = train()
    with (
        pytest.warns(RuntimeWarning, match=r"failing failed with ValueError: my rule is wrong"),
        engine.watch.observe(failing),
    ):
        assert train() == alone
    with (
        pytest.warns(RuntimeWarning, match="failing failed with ValueError"),
        engine.watch.probe(everything, ("max",), 2, failing),
    ):
        assert train() == alone
    with (
        pytest.warns(RuntimeWarning, match="failing failed with ValueError"),
        engine.watch.probe(failing, ("max",), 2, print),
    ):
        assert train() == alone


def test_an_interrupt_in_a_callback_goes_through_and_leaves_the_recorder_whole() -> None:
    alone = train()

    def stop(what: Any) -> None:
        raise KeyboardInterrupt

    with engine.watch.observe(stop), pytest.raises(KeyboardInterrupt):
        train()
    assert train() == alone
    with (
        engine.watch.probe(everything, ("max",), 3, stop),
        pytest.raises(KeyboardInterrupt),
    ):
        train()
    assert train() == alone


# ---------------------------------------------------------------- probes
def test_values_are_what_numpy_says() -> None:
    a = np.array([[1.5, -2.0, 0.0, 4.0], [0.0, np.inf, 3.0, -7.25]], np.float32)
    b = np.array([[1.0, np.nan, 0.0]], np.float32)
    got: dict[tuple[int, ...], dict[str, float]] = {}

    def keep(readings: list[watch.Reading]) -> None:
        for r in readings:
            got[tuple(r.seen.spec.shape)] = r.values

    with engine.watch.probe(lambda s: s.name == "neg", watch.STATISTICS, 1, keep):
        for v in (a, b, np.zeros((0, 3), np.float32)):
            (-T.tensor(v)).tolist()
    one = got[2, 4]
    assert one["min"] == -math.inf and one["max"] == 7.25
    assert one["nan"] == 0 and one["inf"] == 1 and one["zeros"] == 0.25
    assert one["mean"] == -math.inf and one["norm"] == math.inf
    two = got[1, 3]
    assert two["nan"] == 1 and two["inf"] == 0 and math.isnan(two["max"]) and math.isnan(two["min"])
    assert math.isnan(two["norm"])
    none = got[0, 3]
    assert none["nan"] == 0 and none["inf"] == 0 and math.isnan(none["mean"])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64"])
def test_every_type_has_statistics(dtype: str) -> None:
    got: list[dict[str, float]] = []
    x = T.tensor([0, 3, 1, 0], dtype=getattr(T, dtype))
    with engine.watch.probe(
        lambda s: s.name == "cat",
        watch.STATISTICS,
        1,
        lambda rs: got.extend(r.values for r in rs),
    ):
        T.cat([x, x]).tolist()
    (v,) = got
    top = 1.0 if dtype == "bool" else 3.0
    assert v["min"] == 0 and v["max"] == top and v["zeros"] == 0.5 and v["nan"] == 0
    assert v["norm"] == pytest.approx(math.sqrt(2 * (top * top + 1)))


@pytest.mark.parametrize("fuse_after", [1, 2, 1 << 40])
def test_every_kth_run(fuse_after: int) -> None:
    runs: list[int] = []
    values: list[float] = []

    def keep(readings: list[watch.Reading]) -> None:
        (r,) = readings
        runs.append(r.run)
        values.append(r.values["max"])

    x = T.tensor([1.0, 0.5, 1.0])
    with (
        override(fuse_after=fuse_after),
        engine.watch.probe(lambda s: s.name == "exp", ("max",), 4, keep),
    ):
        for k in range(11):
            (x * float(k)).exp().tolist()
    assert runs == [1, 5, 9]
    assert values == pytest.approx([math.exp(0), math.exp(4), math.exp(8)], rel=1e-6)


def test_two_probes_with_schedules_of_their_own() -> None:
    first: list[int] = []
    second: list[int] = []
    x = T.tensor([1.0, 0.5, 1.0])
    h = engine.watch.probe(
        lambda s: s.name == "exp", ("max",), 2, lambda rs: first.append(rs[0].run)
    )
    with (
        h,
        engine.watch.probe(
            lambda s: s.name == "mul", ("min", "norm"), 3, lambda rs: second.append(rs[0].run)
        ),
    ):
        for k in range(8):
            (x * float(k)).exp().tolist()
        h.remove()
        for k in range(4):
            (x * float(k)).exp().tolist()
    assert first == [1, 3, 5, 7]
    assert second == [1, 4, 7, 10]


def test_a_value_that_nobody_needs_can_be_probed() -> None:
    got: list[float] = []
    x = T.tensor([3.0, -5.0])
    with engine.watch.probe(
        lambda s: s.name == "abs", ("max",), 1, lambda rs: got.append(rs[0].values["max"])
    ):
        for _ in range(3):
            y = x.abs()
            z = x + 1
            del y
            z.tolist()
    assert got == [5.0, 5.0, 5.0]


def test_gradients_and_parameters_after_a_step() -> None:
    gradients: list[dict[str, float]] = []
    updates: list[dict[str, float]] = []
    steps: list[dict[str, float]] = []
    after: list[dict[str, float]] = []
    engine.watch.probe(
        lambda s: s.kind == "gradient",
        ("norm",),
        3,
        lambda rs: gradients.append({r.label: r.values["norm"] for r in rs}),
    )
    engine.watch.probe(
        lambda s: s.kind == "update" and s.label != "",
        ("norm",),
        3,
        lambda rs: updates.append({r.label: r.values["norm"] for r in rs}),
    )
    T.manual_seed(0)
    m = T.nn.Linear(4, 2)
    for name, p in m.named_parameters():
        watch.label(p, name)
    o = T.optim.Adam(m.parameters(), lr=0.1)
    x = T.randn(6, 4)
    for _ in range(9):
        o.zero_grad()
        m(x).square().mean().backward()
        o.step()
        steps.append({n: float(p.grad.double().norm()) for n, p in m.named_parameters()})
        after.append({n: float(p.detach().double().norm()) for n, p in m.named_parameters()})
    # a plan of its own for the first step (the optimiser's state is new) and one for the others
    assert gradients[0] == pytest.approx(steps[0], rel=1e-12)
    assert updates[0] == pytest.approx(after[0], rel=1e-12)
    rest = [k for k in range(9) if any(g == pytest.approx(steps[k], rel=1e-12) for g in gradients)]
    assert len(rest) == len(gradients) and len(gradients) >= 3
    assert [k for k in range(9) if any(u == pytest.approx(after[k]) for u in updates)] == rest


def test_training_has_the_same_bits() -> None:
    alone = train()
    told: list[Any] = []
    for fuse_after in (1, 2, 1 << 40):
        with (
            override(fuse_after=fuse_after, verify=fuse_after == 1),
            engine.watch.observe(told.append),
            engine.watch.probe(everything, watch.STATISTICS, 2, told.append),
        ):
            assert train() == alone
    assert train() == alone
    assert len(told) > 50


@pytest.mark.parametrize("seed", range(24))
def test_random_programs_have_the_same_bits(seed: int) -> None:
    """Every value probed, in a sample natively too."""
    p = generate(seed + 5000)
    fuse_after = 2 if seed % 12 == 0 else 1 << 40
    alone = ways.one_at_a_time(p)
    readings: list[int] = []
    with engine.watch.probe(
        everything, watch.STATISTICS, 1 + seed % 3, lambda rs: readings.append(len(rs))
    ):
        for t in ways.recorded(p, fuse_after=fuse_after, again=2):
            d = differ(p, alone, t)
            assert d is None, d


def test_one_operation_at_a_time_is_probed_too() -> None:
    got: list[float] = []
    x = T.tensor([1.0, -4.0])
    with (
        override(eager=True),
        engine.watch.probe(
            lambda s: s.name == "abs", ("max",), 2, lambda rs: got.append(rs[0].values["max"])
        ),
    ):
        for _ in range(4):
            x.abs().neg().tolist()
    assert got == [4.0, 4.0]


def test_an_error_of_an_operation_stays_its_own() -> None:
    x = T.arange(5)
    with engine.watch.probe(everything, ("max",), 1, lambda rs: None):
        for _ in range(3):
            y = x * 2
            with pytest.raises(IndexError):
                y[T.tensor([9])].tolist()
            assert y.tolist() == [0, 2, 4, 6, 8]


def test_removal_gives_the_plan_back() -> None:
    got: list[Any] = []
    x = T.ones(3)
    h = engine.watch.probe(lambda s: s.name == "exp", ("max",), 1, got.append)

    def go() -> Any:
        y = x.exp()
        y.tolist()
        return y

    for _ in range(3):
        go()
    h.remove()
    n = len(got)
    for _ in range(3):
        go()
    assert len(got) == n == 3
    infos = [r.info for r in flushes() if r.info.outputs]
    assert infos and all(i.watched is None for i in infos if i.runs > 4)


def flushes() -> list[Any]:
    """Every FLUSH record of this thread's tries."""
    core: Any = importlib.import_module("rushlight.engine.core")
    records: Any = importlib.import_module("rushlight.engine.records")
    out: list[Any] = []
    todo = list(core.mine().roots)
    while todo:
        r = todo.pop()
        if r.op == records.FLUSH:
            out.append(r)
        todo.extend(records.followers(r))
    return out


def test_threads_are_told_of_their_own() -> None:
    where: dict[str, set[int]] = {}
    got: list[int] = []
    lock = threading.Lock()

    def look(s: watch.Seen) -> None:
        with lock:
            where.setdefault(s.name, set()).add(threading.get_ident())

    def keep(readings: list[watch.Reading]) -> None:
        with lock:
            got.append(threading.get_ident())

    def work(f: Callable[[Any], Any], out: list[Any]) -> None:
        x = T.ones(4)
        for k in range(6):
            out.append(f(x * float(k)).tolist())
        out.append(threading.get_ident())

    def run() -> list[list[Any]]:
        outs: list[list[Any]] = [[], []]
        threads = [threading.Thread(target=work, args=(f, o)) for f, o in zip((T.sin, T.cos), outs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return outs

    alone = run()
    with engine.watch.observe(look), engine.watch.probe(everything, ("max",), 2, keep):
        watched = run()
    assert [o[:-1] for o in watched] == [o[:-1] for o in alone]
    assert where["sin"] == {watched[0][-1]} and where["cos"] == {watched[1][-1]}
    assert set(got) == {watched[0][-1], watched[1][-1]}


def test_labels_do_not_keep_a_parameter() -> None:
    m = T.nn.Linear(2, 2)
    watch.label(m.weight, "w")
    assert len(watch.LABELS) == 1
    del m
    engine.flush()
    gc.collect()
    assert watch.labelled(object()) == "" and not watch.LABELS


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="no statistic 'median'"):
        engine.watch.probe(everything, ("median",), 1, print)
    with pytest.raises(ValueError, match="every has to be 1 or more, got 0"):
        engine.watch.probe(everything, ("max",), 0, print)
    assert not trie.WATCH


def test_nothing_is_left_when_nobody_watches() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with engine.watch.observe(lambda s: None):
            x = T.ones(2)
            x.sin()
        assert not trie.WATCH and not watch.QUEUES
        x.cos().tolist()
