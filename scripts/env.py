"""Makes a virtual environment and installs dependency groups of pyproject.toml into it.

    python3 scripts/env.py FOLDER [GROUP ...]

The package's own dependencies are always installed. Nothing is done when the folder already holds
what is asked for. Needs only Python's standard library.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def requirements(groups: list[str]) -> list[str]:
    """The package's dependencies, then those of each group."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    wanted = list(project["project"]["dependencies"])
    for group in groups:
        if group not in project["dependency-groups"]:
            sys.exit(f"env.py: pyproject.toml has no dependency group {group!r}")
        wanted += project["dependency-groups"][group]
    return list(dict.fromkeys(wanted))


def create(folder: Path) -> None:
    """A fresh environment with pip."""
    print(f"== creating {folder.name} with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=False)
    if made.returncode:
        sys.exit(
            "env.py: Python could not create a virtual environment. On Debian and Ubuntu, install "
            "the package python3-venv."
        )


def main() -> None:
    """Create or complete the environment named on the command line."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, groups = Path(os.path.abspath(sys.argv[1])), sys.argv[2:]
    python, stamp = folder / "bin" / "python", folder / ".requirements"
    wanted = requirements(groups)
    mark = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == mark and python.exists():
        os.utime(stamp)
        return
    create(folder)
    print(f"== installing into {folder.name}: {', '.join(wanted)}", flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, *wanted], check=True, stdin=subprocess.DEVNULL)
    stamp.write_text(mark)


if __name__ == "__main__":
    main()
