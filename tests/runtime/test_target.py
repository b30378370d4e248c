"""Facts about the machine, and lowering the level."""

import os
import subprocess
import sys

import pytest

from rushlight.base import target
from rushlight.base.target import at_level, host, levels


def child(level: str, code: str) -> str:
    script = f"from rushlight.base.target import host, levels; {code}"
    environment = {**os.environ, "RUSHLIGHT_ISA": level}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, env=environment, capture_output=True, text=True
    )
    return done.stdout.strip() + done.stderr.strip()


def test_host_is_one_of_its_levels() -> None:
    assert host().isa in levels()
    assert levels()[-1] == "scalar"
    assert host().cores >= 1 and host().l1 >= 1 << 12 and host().l2 >= host().l1


@pytest.mark.parametrize("level", levels())
def test_the_environment_lowers_the_level(level: str) -> None:
    assert child(level, "print(host().isa)") == level


def test_a_level_that_the_machine_lacks_is_never_taken() -> None:
    absent = "neon" if levels()[0] != "neon" else "avx512"
    assert child(absent, "print(host().isa == levels()[0])") == "True"


def test_an_unknown_level_is_an_error() -> None:
    assert "RUSHLIGHT_ISA='mmx' is not a level" in child("mmx", "host()")
    with pytest.raises(ValueError, match="does not offer 'mmx'"):
        at_level("mmx")  # type: ignore[arg-type]


def test_lanes() -> None:
    scalar = at_level("scalar")
    assert scalar.lanes(4) == 1 and scalar.lanes(8) == 1
    if "avx2" in levels():
        assert at_level("avx2").lanes(4) == 8 and at_level("avx2").lanes(8) == 4


def test_features_decide_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    best = target._best_isa.__wrapped__
    monkeypatch.setattr(target, "_machine", lambda: "x86_64")
    for extra, level in (
        ((), "sse2"),
        (target._AVX2, "avx2"),
        ((*target._AVX2, *target._AVX512), "avx512"),
    ):
        monkeypatch.setattr(target, "_x86_flags", lambda extra=extra: frozenset(extra))
        assert best() == level
    monkeypatch.setattr(target, "_machine", lambda: "aarch64")
    assert best() == "neon"
    monkeypatch.setattr(target, "_machine", lambda: "riscv64")
    assert best() == "scalar"


def test_numpy_knows_the_features_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if levels()[0] not in ("avx512", "avx2"):
        pytest.skip("nothing to compare")
    monkeypatch.setattr(target, "_linux_flags", lambda: frozenset())
    assert target._best_isa.__wrapped__() == target._best_isa()


def test_a_quota_bounds_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "usable_cpus", lambda: frozenset(range(8)))
    monkeypatch.setattr(target, "_read", lambda path: "150000 100000" if "cpu.max" in path else "")
    assert target.physical_cores() == 2
    monkeypatch.setattr(target, "_read", lambda path: "max 100000" if "cpu.max" in path else "")
    assert target.physical_cores() == 8
    siblings = {f"cpu{k}": f"{k % 4},{k % 4 + 4}" for k in range(8)}

    def read(path: str) -> str:
        return siblings[path.split("/")[5]] if "topology" in path else ""

    monkeypatch.setattr(target, "_read", read)
    assert target.physical_cores() == 4
