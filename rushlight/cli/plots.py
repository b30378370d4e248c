"""A matplotlib backend for programs run without a screen: `plt.show()` saves or skips figures.

`MPLBACKEND=module://rushlight.cli.plots` loads it; with RUSHLIGHT_PLOTS=folder figures are saved
there as `figure-1.png`, `figure-2.png`, ...; without, they are closed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


class _Shown:
    """How many figures this process has shown."""

    count = 0


def show(*args: Any, **kwargs: Any) -> None:
    """Save the open figures, or skip them, and close them as a screen's user would."""
    import matplotlib.pyplot as plt

    folder = os.environ.get("RUSHLIGHT_PLOTS", "")
    for number in plt.get_fignums():
        _Shown.count += 1
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            path = Path(folder) / f"figure-{_Shown.count}.png"
            plt.figure(number).savefig(path)
            print(f"rushlight run: saved {path}", file=sys.stderr)
        elif _Shown.count == 1:
            print(
                "rushlight run: figures are not shown here; --plots=folder saves them",
                file=sys.stderr,
            )
        plt.close(number)


def _canvas() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return FigureCanvasAgg


FigureCanvas = _canvas()  # matplotlib, which loads this module, looks for it here
