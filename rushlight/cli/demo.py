"""`rushlight demo`: train a small network on the digits that come with the package."""

from __future__ import annotations

import time
from typing import Any

import rushlight
from rushlight.lab.digits import load_digits

_TRAINED = 1500  # images; the rest is for the test
_BATCH = 50


def show(epochs: int) -> int:
    """Train, printing a line per epoch; the exit status."""
    torch: Any = rushlight  # its public names are made when it is imported
    nn = torch.nn
    torch.manual_seed(0)
    pixels, digits = load_digits()
    images = torch.from_numpy(pixels).reshape(-1, 64).float() / 16
    labels = torch.from_numpy(digits)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    print(f"{_TRAINED} images of 8x8, {sum(p.numel() for p in model.parameters())} parameters")
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(_TRAINED).split(_BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        with torch.no_grad():
            right = (model(images[_TRAINED:]).argmax(1) == labels[_TRAINED:]).float().mean().item()
        print(f"epoch {epoch:3}  loss {total / _TRAINED:.6f}  test accuracy {right:.4f}")
    steps = epochs * (_TRAINED // _BATCH)
    seconds = time.perf_counter() - began
    print(f"{steps} steps in {seconds:.2f} s; the numbers above are the same on every machine")
    return 0
