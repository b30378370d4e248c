"""AArch64 code under an emulator gives this machine's bits, on one thread and on several."""

from __future__ import annotations

from pathlib import Path

import pytest

from rushlight.base.target import Isa, elsewhere, host
from tests.bits.cases import FULL, GROUPS, Case, group
from tests.bits.emulated import AARCH64, THREADS, Program
from tests.bits.texts import alone, differences, run_here

pytestmark = pytest.mark.skipif(
    bool(AARCH64.missing), reason=f"not run: {AARCH64.missing} is not installed"
)


def small(cases: list[Case]) -> list[Case]:
    """Without the products that take an emulator seconds, in a short run."""
    return [c for c in cases if FULL or sum(x.size for x in c.leaves) < 200_000]


@pytest.mark.parametrize("isa", ["neon", "scalar"] if FULL else ["neon"])
@pytest.mark.parametrize("name", GROUPS)
def test_aarch64(name: str, isa: Isa, tmp_path: Path) -> None:
    cases = small(group(name))
    made = Program(cases, elsewhere(isa, "aarch64"), AARCH64, tmp_path)
    wrong = []
    for case, got in zip(cases, made.run(), strict=True):
        wrong += differences(case, alone(case), got)
        wrong += differences(case, run_here(case, host()), got)
    assert not wrong, "\n".join(wrong[:20])


def test_threads_ran(tmp_path: Path) -> None:
    """The pool's own code runs there: its workers take part where a plan shares work out."""
    made = Program(small(group("products")), elsewhere("neon"), AARCH64, tmp_path)
    made.run()
    assert made.workers == THREADS - 1
