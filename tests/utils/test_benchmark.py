"""`torch.utils.benchmark`: what is run and computed, statistics, and tables."""

import itertools

import pytest

import rushlight as torch
from rushlight.utils import benchmark


def clock(step: float = 1.0):
    """A timer that says one more at each call."""
    ticks = itertools.count()
    return lambda: next(ticks) * step


def measurement(times: list[float], **named: object) -> benchmark.Measurement:
    return benchmark.Measurement(1, times, benchmark.TaskSpec("f()", **named))


def test_every_run_computes_what_the_statement_gives() -> None:
    seen: list[int] = []
    x = torch.ones(3, 3)

    def f() -> torch.Tensor:
        seen.append(1)
        return x @ x

    found = benchmark.Timer("f()", globals={"f": f}, timer=clock()).timeit(5)
    assert len(seen) == 2 + 5  # two that are not counted
    assert (found.number_per_run, found.raw_times) == (5, [1.0])
    assert found.mean == found.median == 0.2 and found.iqr == 0.0


def test_results_are_computed_before_the_run_is_over() -> None:
    handles: list[torch.Tensor] = []
    done: list[bool] = []

    def f() -> torch.Tensor:
        if handles:
            done.append(handles[-1].st is not None and handles[-1].st.mem is not None)
        handles.append(torch.ones(4) + 1)
        return handles[-1]

    benchmark.Timer("f()", globals={"f": f}, timer=clock()).timeit(4)
    assert done and all(done)


def test_setup_names_and_loops() -> None:
    log: list[int] = []
    stmt = """
        for k in range(2):
            log.append(k + base)
        y = torch.ones(1)
    """
    benchmark.Timer(stmt, setup="base = 10", globals={"log": log}, timer=clock()).timeit(1)
    assert log == [10, 11] * 3
    with pytest.raises(ValueError, match="statements are Python"):
        benchmark.Timer("x", language="c++")
    with pytest.raises(ValueError, match="Currently only a `str` stmt"):
        benchmark.Timer(lambda: 1)
    with pytest.raises(NameError):
        benchmark.Timer("nothing_of_that_name()", timer=clock()).timeit(1)


def test_threads_are_set_for_the_time_of_a_measurement() -> None:
    seen: list[int] = []
    before = torch.get_num_threads()
    timer = benchmark.Timer(
        "seen.append(torch.get_num_threads())", globals={"seen": seen}, num_threads=2, timer=clock()
    )
    timer.timeit(1)
    assert set(seen) == {2} and torch.get_num_threads() == before


def test_autorange_measures_until_it_is_enough() -> None:
    now = [0.0]
    told: list[int] = []

    def work() -> None:
        now[0] += 0.25

    timer = benchmark.Timer("work()", globals={"work": work}, timer=lambda: now[0])
    found = timer.blocked_autorange(min_run_time=1.0)
    assert (found.number_per_run, found.raw_times) == (1, [0.25] * 4)
    found = timer.adaptive_autorange(callback=lambda number, spent: told.append(number))
    assert found.raw_times == [0.25] * 4 and told == [1] * 4


def test_statistics_and_text() -> None:
    m = measurement([1e-6, 2e-6, 3e-6, 4e-6, 10e-6], label="sum", sub_label="small")
    assert m.median == 3e-6 and m.mean == pytest.approx(4e-6)
    assert m.iqr == pytest.approx(2e-6) and m.has_warnings and not m.meets_confidence()
    assert repr(m).splitlines()[1:] == [
        "sum: small",
        "  Median: 3.00 us",
        "  IQR:    2.00 us (2.00 to 4.00)",
        "  5 measurements, 1 runs per measurement, 1 thread",
        "  WARNING: Interquartile range is 66.7% of the median measurement.",
        "           This suggests significant environmental influence.",
    ]
    alone = measurement([2e-3], description="plain")
    last = "  1 measurement, 1 runs , 1 thread"
    assert repr(alone).splitlines()[1:] == ["f()", "plain", "  2.00 ms", last]
    assert m.as_row_name == "small" and alone.as_row_name == "f()"
    both = benchmark.Measurement.merge([alone, alone, m])
    assert [len(x.times) for x in both] == [2, 5]
    assert benchmark.select_unit(1e-5) == ("us", 1e-6)
    assert benchmark.trim_sigfig(123.456, 3) == 123.0


def test_tables() -> None:
    table = benchmark.Compare(
        [
            measurement([40e-6], label="mm", sub_label="64", description="plain"),
            measurement([10e-6], label="mm", sub_label="32", description="other", num_threads=2),
        ]
    )
    table.trim_significant_figures()
    assert str(table).splitlines() == [
        "[--------- mm ---------]",
        "      |  plain  |  other",
        "1 threads: -------------",
        "  64  |   40.0  |       ",
        "2 threads: -------------",
        "  32  |         |   10.0",
        "",
        "Times are in microseconds (us).",
    ]
    table.colorize()
    assert "\033[92m" in str(table)
    with pytest.raises(ValueError, match="Expected an instance of `Measurement`"):
        benchmark.Compare([3])
