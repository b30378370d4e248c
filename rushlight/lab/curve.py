"""A picture of a loss: with matplotlib where it is installed, else a small SVG of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 480, 300, 48


def svg(losses: Sequence[float]) -> str:
    """The losses by epoch as an SVG text."""
    low, high = min(0.0, *losses), max(losses)
    span = (high - low) or 1.0
    across = (WIDTH - 2 * MARGIN) / max(len(losses) - 1, 1)

    def at(i: int, value: float) -> str:
        y = HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN)
        return f"{MARGIN + i * across:.1f},{y:.1f}"

    line = " ".join(at(i, loss) for i, loss in enumerate(losses))
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
            ' font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<path d="M{MARGIN},{MARGIN} V{bottom} H{right}" fill="none" stroke="black"/>',
            f'<polyline points="{line}" fill="none" stroke="#c60" stroke-width="2"/>',
            f'<text x="{MARGIN - 6}" y="{MARGIN + 4}" text-anchor="end">{high:.2g}</text>',
            f'<text x="{MARGIN - 6}" y="{bottom + 4}" text-anchor="end">{low:.2g}</text>',
            f'<text x="{MARGIN}" y="{bottom + 18}">1</text>',
            f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{len(losses)}</text>',
            f'<text x="{WIDTH // 2}" y="{HEIGHT - 10}" text-anchor="middle">epoch</text>',
            f'<text x="{WIDTH // 2}" y="24" text-anchor="middle">loss</text>',
            "</svg>\n",
        ]
    )


def save_curve(losses: Sequence[float], stem: Path) -> Path:
    """Save a picture of the losses; the path, `stem` with .png or .svg."""
    try:
        import matplotlib.figure as figures
    except ImportError:
        path = stem.with_suffix(".svg")
        path.write_text(svg(losses), encoding="utf-8")
        return path
    figure = figures.Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(losses) + 1), losses)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    path = stem.with_suffix(".png")
    figure.savefig(path, dpi=120)
    return path
