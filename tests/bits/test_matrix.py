"""The same bits in every way of running: fused or not, threads, levels, caches, first or later.

Each way is a process of its own (`worker.py`) that prints a digest for every operation row, every
training loop and a sample of random programs; all have to agree with one operation at a time on one
thread. `RUSHLIGHT_BITS_FULL=1` runs all of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rushlight.base.target import levels
from tests.bits.cases import FULL
from tests.bits.worker import ROOT, Way

WORK = (
    Way(share=1, loops=100, medium=4, programs=150) if FULL else Way(share=41, loops=8, programs=4)
)
LOWER = [isa for isa in levels()[1:] if FULL or isa == "scalar"]
WAYS = {
    "fused": replace(WORK),
    "four threads, written for eight cores": replace(WORK, threads=4, cores=8),
    "text for AVX-512": replace(WORK, level="avx512", threads=2),
    "text for NEON": replace(WORK, level="neon"),
    **{f"level {isa}": replace(WORK, level=isa, threads=2) for isa in LOWER},
}
if FULL:
    WAYS["the hundredth time"] = replace(WORK, runs=100, loops=0, medium=0, programs=0)


def run(way: Way, cache_folder: str = "") -> dict[str, Any]:
    """What a worker of its own finds."""
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(q for q in sys.path if q))
    for name in ("RUSHLIGHT_ISA", "RUSHLIGHT_NUM_THREADS", "OMP_NUM_THREADS"):
        env.pop(name, None)
    if cache_folder:
        env["RUSHLIGHT_CACHE_DIR"] = cache_folder
    done = subprocess.run(
        [sys.executable, "-m", "tests.bits.worker", way.text()],
        check=False, capture_output=True, text=True, env=env, cwd=ROOT / "tests",
        timeout=7200 if FULL else 280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@cache
def alone() -> dict[str, str]:
    """One operation at a time on one thread: the meaning."""
    found: dict[str, str] = run(replace(WORK, eager=True, runs=1))["digests"]
    return found


def compare(name: str, got: dict[str, str]) -> None:
    want = alone()
    assert got and got.keys() <= want.keys()
    wrong = [k for k in got if got[k] != want[k]]
    assert not wrong, f"{name}: other bits in {len(wrong)} of {len(got)}: {', '.join(wrong[:20])}"


@pytest.mark.parametrize("name", WAYS)
def test_way(name: str) -> None:
    compare(name, run(WAYS[name])["digests"])


def test_cold_and_warm_cache(tmp_path: Path) -> None:
    """From an empty cache, and from the one that this left."""
    way = replace(WORK, threads=2)
    cold, warm = (run(way, str(tmp_path / "cache")) for _ in range(2))
    made, found = set(cold["ran"]["libraries"]), set(warm["ran"]["libraries"])
    assert cold["ran"]["from_disk"] == 0 and len(made) > 10
    # What is on disk is used from its first wish on: kernels that a cold process has in the
    # meantime are not asked for.
    assert found <= made and warm["ran"]["from_disk"] == len(found) > 10
    compare("cold", cold["digests"])
    compare("warm", warm["digests"])
