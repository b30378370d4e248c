"""The text of every level, run with this machine's instructions, gives one operation's bits.

What a level changes is how many lanes a vector has and how many registers there are. LLVM cuts
vectors that this machine lacks in parts, so the text for AVX-512 or NEON really runs here; only the
choice of instructions is this machine's. Those are looked at in `test_instructions.py`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from rushlight.base.target import at_level, levels
from tests.bits.cases import FULL, GROUPS, Case, group
from tests.bits.texts import WIDTHS, alone, as_written_for, differences, run_here


@cache
def known(name: str) -> list[tuple[Case, list[np.ndarray]]]:
    """A group's cases with their values one operation at a time."""
    return [(c, alone(c)) for c in group(name)]


@pytest.mark.parametrize("level", WIDTHS if FULL else ["avx512", "neon"])
@pytest.mark.parametrize("name", GROUPS)
def test_text_of_a_level(name: str, level: str) -> None:
    target = as_written_for(level)
    wrong = [d for c, want in known(name) for d in differences(c, want, run_here(c, target))]
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("isa", levels()[1:] if FULL else levels()[-1:])
@pytest.mark.parametrize("name", GROUPS)
def test_lower_level_of_this_machine(name: str, isa: str) -> None:
    """Text and instructions of a lower level: a fused multiply-add is then a call."""
    target = at_level(isa)  # type: ignore[arg-type]
    wrong = [d for c, want in known(name) for d in differences(c, want, run_here(c, target))]
    assert not wrong, "\n".join(wrong[:20])


def test_a_difference_is_seen() -> None:
    """One bit, the sign of a zero and a missing NaN count; the payload of a NaN does not."""
    case = group("casts")[0]
    want = alone(case)
    assert not differences(case, want, [x.copy() for x in want])
    for a, b in [(1.0, np.nextafter(np.float32(1), 2)), (0.0, -0.0), (np.nan, 1.0)]:
        left, right = (np.array([x], np.float32) for x in (a, b))
        assert differences(case, [left], [right])
    quiet = np.array([0x7FC00000], np.uint32).view(np.float32)
    other = np.array([0xFFC00001], np.uint32).view(np.float32)
    assert not differences(case, [quiet], [other])
