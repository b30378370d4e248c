"""``rushlight demo``: a classifier of handwritten digits, trained in a few seconds.

Trains a network with two hidden layers on 1,500 of the digits that come with the package, tests it
on the other 297, saves a picture of the loss, and says what to try next.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import engine, nn, optim
from ..autograd import no_grad
from ..base import dtype as dt
from ..random import default_generator, draws
from ..tensor.convert import cast
from ..tensor.creation import from_numpy
from .curve import save_curve
from .digits import load_digits

TRAINED = 1500  # images; the rest is for the test
BATCH = 50


class Digits(nn.Module):
    """64 pixels, two hidden layers, 10 digits."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(64, width)
        self.hidden2 = nn.Linear(width, width)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(width, 10)

    def forward(self, x: Any) -> Any:
        """Scores of the ten digits."""
        x = self.dropout(self.relu(self.hidden1(x)))
        x = self.dropout(self.relu(self.hidden2(x)))
        return self.output(x)


def bar(done: int, total: int, text: str) -> None:
    """A progress bar on one line of a terminal; nothing where nobody watches."""
    if sys.stdout.isatty():
        filled = round(24 * done / total)
        end = "\n" if done == total else ""
        print(f"\r[{'=' * filled}{' ' * (24 - filled)}] {text}", end=end, flush=True)
    elif done == total:
        print(text)


def accuracy(model: nn.Module, images: Any, labels: Any) -> float:
    """The fraction of images whose digit is recognised."""
    model.eval()
    with no_grad():
        scores: Any = model(images)
    right = (scores.argmax(1) == labels).sum().item()
    model.train()
    return float(right) / len(labels)


def train(epochs: int = 20) -> tuple[nn.Module, list[float], list[float]]:
    """Train the network, printing a line per epoch: the model, its losses, its test accuracies."""
    default_generator.manual_seed(0)
    pixels, digits = load_digits()
    # The writers come one after the other: mixed, so that the test has some of all.
    mixed = draws.randperm(default_generator, len(digits))
    pixels, digits = pixels[mixed], digits[mixed]
    images: Any = cast(from_numpy(pixels.reshape(-1, 64)), dt.float32) / 16
    labels: Any = from_numpy(digits)
    model = Digits()
    print(model)
    count = sum(int(np.prod(p.shape)) for p in model.parameters())
    rest = len(digits) - TRAINED
    print(f"{TRAINED} images of 8x8 to learn from, {rest} to test; {count} parameters")
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    losses, right = [], []
    steps = TRAINED // BATCH
    for epoch in range(1, epochs + 1):
        total = 0.0
        order = draws.randperm(default_generator, TRAINED)
        for step in range(steps):
            batch = from_numpy(order[step * BATCH : (step + 1) * BATCH])
            loss: Any = criterion(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            bar(step, steps, f"epoch {epoch:2}  loss {total / (step + 1):.4f}")
        schedule.step()
        losses.append(total / steps)
        right.append(accuracy(model, images[TRAINED:], labels[TRAINED:]))
        bar(steps, steps, f"epoch {epoch:2}  loss {losses[-1]:.4f}  test accuracy {right[-1]:.4f}")
    engine.flush()
    return model, losses, right


def main(epochs: int = 20, folder: str | Path = ".") -> int:
    """Run the demo; the exit status."""
    began = time.perf_counter()
    _, losses, right = train(epochs)
    seconds = time.perf_counter() - began
    picture = save_curve(losses, Path(folder) / "rushlight-demo")
    print(f"{epochs * (TRAINED // BATCH)} steps in {seconds:.2f} s; test accuracy {right[-1]:.2%}")
    print("The losses above are the same on every machine, with any number of threads.")
    print(f"The loss curve is in {picture.resolve()}.")
    print(
        "Next: `rushlight run your_script.py` runs a PyTorch script as it is;"
        " in new code write `import rushlight as torch`."
    )
    return 0
