"""Profiles: what they count and name; times are only ever added up, never compared."""

import json

import pytest

import rushlight as torch
from rushlight import profiler
from rushlight.autograd import profiler as old
from rushlight.engine.execute import CLOCK
from rushlight.profiler import ProfilerAction, ProfilerActivity, profile, record_function


def step(w, x):
    loss = (x @ w).relu().sum()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
    w.grad = None
    return loss.item()


@pytest.fixture
def data():
    torch.manual_seed(0)
    return torch.randn(3, 4, requires_grad=True), torch.randn(5, 3)


def by_name(found):
    return {e.key: e for e in found}


def test_operations_are_counted_as_often_as_they_run(data):
    for _ in range(3):  # seen before the profile: compiled
        step(*data)
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        for _ in range(4):
            step(*data)
    found = by_name(prof.key_averages())
    assert found["relu"].count == 4
    assert found["matmul"].count == 8  # forward, and the gradient of w
    assert not CLOCK
    for _ in range(2):
        step(*data)
    assert by_name(prof.key_averages())["relu"].count == 4
    programs = [e for e in prof.events() if e.kind == "program"]
    assert len(programs) == 4 and len({e.name for e in programs}) == 1
    assert "relu" in programs[0].notes["operations"]


def test_a_profile_changes_no_values(data):
    w, x = data
    plain = w.detach().clone().requires_grad_()
    expected = [step(plain, x) for _ in range(5)]
    with profile():
        assert [step(w, x) for _ in range(5)] == expected
    assert torch.equal(w, plain)


def test_shares_add_up_to_the_time_of_their_program(data):
    with profile() as prof:
        step(*data)
    events = prof.events()
    shared = sum(e.self_cpu_time_total for e in events if e.kind == "operation")
    whole = sum(e.cpu_time_total for e in events if e.kind == "program")
    built = sum(e.cpu_time_total for e in events if e.kind == "compile")
    assert shared + built == pytest.approx(whole + built, rel=1e-6)
    assert prof.key_averages().self_cpu_time_total == pytest.approx(shared + built, rel=1e-6)


def test_marks_hold_what_is_recorded_in_them(data):
    w, x = data
    with profile(record_shapes=True, profile_memory=True, with_flops=True) as prof:
        before = x * 2
        with record_function("outer"):
            with record_function("inner"):
                y = x @ w
            z = y.relu()
    names = [e.name for e in prof.events() if e.kind in ("operation", "mark")]
    assert names == ["mul", "matmul", "inner", "relu", "outer"]
    found = by_name(prof.key_averages(group_by_input_shape=True))
    assert found["matmul"].input_shapes == [[5, 3], [3, 4]]
    assert found["matmul"].flops == 2 * 5 * 3 * 4
    assert found["relu"].cpu_memory_usage == 5 * 4 * 4
    outer, inner = found["outer"], found["inner"]
    assert outer.cpu_time_total >= inner.cpu_time_total >= found["matmul"].cpu_time_total >= 0
    assert outer.is_user_annotation and not found["relu"].is_user_annotation
    assert before.shape == x.shape and z.shape == y.shape


def test_marks_without_a_profile_change_nothing():
    @record_function("function")
    def f():
        return 3

    with record_function("block"):
        assert f() == 3


def test_a_schedule_picks_steps(data):
    action = profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    assert [action(i).name for i in range(5)] == [
        *("NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE"),
    ]
    seen = []

    def ready(p):
        marks = [e.name for e in p.events() if e.kind == "mark"]
        seen.append((p.step_num, marks, by_name(p.key_averages())["relu"].count))

    with profile(
        schedule=profiler.schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=ready
    ) as prof:
        for _ in range(10):
            step(*data)
            prof.step()
    assert seen == [
        (4, ["ProfilerStep#2", "ProfilerStep#3"], 2),
        (8, ["ProfilerStep#6", "ProfilerStep#7"], 2),
    ]
    assert prof.current_action is ProfilerAction.NONE and not CLOCK


def test_the_table_sorts_and_cuts(data):
    with profile() as prof:
        step(*data)
    averages = prof.key_averages()
    text = averages.table(sort_by="cpu_time_total", row_limit=2)
    lines = text.splitlines()
    assert "Self CPU %" in lines[1] and "# of Calls" in lines[1]
    assert len(lines) == 3 + 2 + 2 and lines[-1].startswith("Self CPU time total: ")
    assert averages.table(sort_by="cuda_time_total") == averages.table()
    assert "relu" in str(averages) and "us" in averages.table(time_unit="us")
    assert averages.total_average().count == sum(e.count for e in averages)
    with pytest.raises(AttributeError, match="no_such_column"):
        averages.table(sort_by="no_such_column")


@pytest.mark.parametrize("packed", [False, True])
def test_traces_are_chromes(data, tmp_path, packed):
    with profile(on_trace_ready=profiler.tensorboard_trace_handler(tmp_path, "me", packed)) as prof:
        prof.add_metadata_json("note", "[1, 2]")
        with record_function("forward"):
            step(*data)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("me.")
    if packed:
        import gzip

        assert path.suffix == ".gz"
        text = gzip.decompress(path.read_bytes()).decode()
    else:
        text = path.read_text()
    trace = json.loads(text)
    assert trace["note"] == [1, 2]
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert {"forward"} <= {e["name"] for e in slices}
    assert {"user_annotation", "program"} <= {e["cat"] for e in slices}
    assert all(e["dur"] >= 0 for e in slices)


def test_the_older_profile(data, tmp_path):
    with old.profile(record_shapes=True) as prof, old.record_function("here"):
        step(*data)
    assert {"here", "relu", "matmul"} <= {e.key for e in prof.key_averages()}
    assert "relu" in prof.table() and prof.self_cpu_time_total > 0
    prof.export_chrome_trace(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    with old.profile(enabled=False) as off:
        step(*data)
    assert not off.function_events
    with old.profile(), pytest.raises(RuntimeError, match="already enabled"), old.profile():
        pass


def test_compiled_steps_are_seen(data):
    w, x = data
    f = torch.compile(lambda a: (a @ w.detach()).relu().sum())
    for _ in range(6):
        f(x)
    with profile() as prof:
        for _ in range(3):
            f(x).item()
    assert by_name(prof.key_averages())["relu"].count == 3


def test_an_error_ends_the_profile(data):
    with pytest.raises(IndexError), profile() as prof, record_function("lost"):
        data[1][torch.tensor([7])].sum().item()
    assert not CLOCK
    assert by_name(prof.key_averages())["lost"].count == 1


def test_what_is_not_there_says_so(data):
    with profile() as prof:
        step(*data)
    for use in (old.emit_nvtx, old.emit_itt, lambda: prof.export_stacks("stacks.txt")):
        with pytest.raises(NotImplementedError, match="profil"):
            use()
    with pytest.raises(AssertionError, match="No valid profiler activities"):
        profile(activities=[])
