"""Settings for all tests: which package is tested, and where its files may go."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Parity needs PyTorch and time; it runs when named: `pytest tests/parity`.
collect_ignore = ["parity"]

# Last, so that test helpers (`from tests.engine import ...`) are found while the package itself
# comes from where it is installed.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

# What is compiled does not depend on how long the tests before took.
os.environ.setdefault("RUSHLIGHT_COMPILE_FREE", "inf")

hypothesis.settings.register_profile(
    "rushlight",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("rushlight")


def package_folder() -> Path:
    """Where `import rushlight` finds the package, without importing it."""
    spec = importlib.util.find_spec("rushlight")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("rushlight is not importable: use `make test` or `make quick`")
    return Path(spec.origin).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    """Choose the cache, and refuse the source tree when an installed build was asked for."""
    folder = package_folder()
    if "RUSHLIGHT_TEST_INSTALLED" in os.environ and folder.parent == ROOT:
        raise pytest.UsageError(f"the installed package was to be tested, but {folder} was found")
    # A kernel cache of this run's own, so that no earlier run decides a result.
    cache = tempfile.TemporaryDirectory(prefix="rushlight-tests-")
    os.environ.pop("RUSHLIGHT_CACHE_DIR", None)
    os.environ["XDG_CACHE_HOME"] = cache.name
    config.add_cleanup(cache.cleanup)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        # Many tests start processes: byte code for those, out of everybody's way.
        os.environ["PYTHONPYCACHEPREFIX"] = f"{cache.name}/bytecode"


def pytest_report_header(config: pytest.Config) -> str:
    """Say which package is tested."""
    folder = package_folder()
    build = "compiled core" if any(folder.glob("**/*.so")) else "plain Python"
    return f"rushlight: {folder} ({build})"
