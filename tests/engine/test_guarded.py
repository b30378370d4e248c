"""Programs whose memory lies between guard pages, and stray accesses that the guard has to see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import guard

pytestmark = pytest.mark.skipif(bool(guard.available()), reason=guard.available() or "guarded")

PROGRAMS = """
from tests.programs.check import check, options
from tests.programs.generate import generate
from tests.programs.layers import generate_layers

for seed in range({start}, {stop}):
    o = options(seed, torch=False, native=0.0)
    o.patience = 0
    make = generate_layers if seed % 2 else generate
    found = check(make(seed, None, 0.15), o)
    if found is not None:
        print(seed, found)
"""

# Memory under `at`, of 100 bytes: what is done to it, and how the guard says so.
STRAYS = {
    "read behind": ("ctypes.string_at(at + 128, 1)", "died"),
    "write behind": ("ctypes.memset(at + 128, 0, 1)", "died"),
    "write before": ("ctypes.memset(at - 4096, 0, 1)", "died"),
    "read after its end": ("del b; ctypes.string_at(at, 1)", "died"),
    "write just behind": ("ctypes.memset(at + 100, 0, 1); del b", "written 1 behind it"),
    "write just before": ("ctypes.memset(at - 3, 0, 1); del b", "written 3 before it"),
    "all of it": ("ctypes.memset(at, 0, 100); del b", "quiet"),
}
ROOT = Path(__file__).resolve().parents[2]
BUFFER = "from rushlight.runtime.buffer import Buffer; b = Buffer(100); at = b.address"


def guarded(text: str) -> subprocess.CompletedProcess[str]:
    """Run Python text in a process of its own, guarded."""
    # Behind what is installed: the tests alone are looked for there.
    first = f"import sys; sys.path.append({str(ROOT)!r})\nfrom tests.programs import guard"
    return subprocess.run(
        [sys.executable, "-c", f"{first}; guard.install()\n{text}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_programs_touch_nothing_else() -> None:
    done = guarded(PROGRAMS.format(start=0, stop=16))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""


@pytest.mark.parametrize("name", STRAYS)
def test_stray_access_is_seen(name: str) -> None:
    line, want = STRAYS[name]
    done = guarded(f"import ctypes\n{BUFFER}\n{line}\nprint(guard.strays() or 'quiet')")
    if want == "died":
        assert done.returncode < 0 and "Segmentation fault" in done.stderr
    else:
        assert done.returncode == 0 and want in done.stdout, done.stdout + done.stderr


def test_arrays_are_guarded() -> None:
    done = guarded(
        "import ctypes, numpy as np\n"
        "a = np.empty(30, np.float32); ctypes.memset(a.ctypes.data + 121, 0, 1); del a\n"
        "print(guard.strays(), flush=True)\n"
        "a = np.empty(32, np.float32); ctypes.memset(a.ctypes.data + 128, 0, 1)"
    )
    assert "written 2 behind it" in done.stdout
    assert done.returncode < 0 and "Segmentation fault" in done.stderr


def test_planted_stray_of_a_kernel_is_seen() -> None:
    """A row one element longer than its memory: the program of general kernels reads outside."""
    done = guarded(
        "from rushlight.engine import eager_steps, steps\n"
        "import rushlight as torch\n"
        "eager_steps.PATIENCE[0] = 0\n"
        "x = torch.ones(1024)\n"
        "torch.relu(x).tolist()\n"
        "place = steps.Steps.place\n"
        "steps.Steps.place = lambda *a: place(*a) + 1\n"
        "print('so far', flush=True)\n"
        "torch.relu(x * 2).tolist()\n"
    )
    assert done.stdout == "so far\n"
    assert done.returncode < 0 and "Segmentation fault" in done.stderr
