"""Transforms under torchvision and under Rushlight: the same draws and pixels."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)
CASES = Path(__file__).with_name("vision_cases.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What both made of the cases, by name."""
    folder = tmp_path_factory.mktemp("vision")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("RUSHLIGHT_COMPILE_FREE", None)
    out = []
    for name, how in (("theirs", []), ("ours", ["-m", "rushlight", "run"])):
        path = folder / f"{name}.npz"
        run = subprocess.run(
            [sys.executable, *how, str(CASES), str(path)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=560,
        )
        assert run.returncode == 0, run.stderr
        with np.load(path) as found:
            out.append({key: found[key] for key in found.files})
    return out


def test_the_same_draws_and_pixels(results):
    theirs, ours = results
    assert theirs.keys() == ours.keys() and len(theirs) > 500
    for name, expected in theirs.items():
        found = ours[name]
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), name
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=name)
            continue
        # A float that lies between two bytes may round either way.
        apart = np.abs(found.astype(np.int64) - expected.astype(np.int64))
        assert apart.max(initial=0) <= 1 and (apart != 0).mean() < 0.03, name
