"""What `import torch` finds under `rushlight run`; it becomes `rushlight`."""

import sys
from pathlib import Path

if __name__ == "torch":
    # A child process may not have the folder that its parent found Rushlight in.
    _root = str(Path(__file__).resolve().parents[4])
    if _root not in sys.path:
        sys.path.append(_root)

    from rushlight.cli import alias

    alias.install(__name__)
