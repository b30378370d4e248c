"""An autoencoder: 64 pixels through 8 numbers and back.

It learns digits from their pictures alone, and then takes noise away from pictures that it is
given. Run it with PyTorch, or with `rushlight run`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=60)
options = parser.parse_args()

torch.manual_seed(0)
path = Path(__file__).resolve().parent.parent / "rushlight" / "lab" / "data" / "digits.npz"
with np.load(path) as digits:
    images = torch.from_numpy(digits["images"]).float().flatten(1) / 16
train, test = images[:1500], images[1500:]

encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 8))
decoder = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 64), nn.Sigmoid())
model = nn.Sequential(encoder, decoder)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)


def error(x, target):
    """Mean squared difference of a pixel."""
    with torch.no_grad():
        return nn.functional.mse_loss(model(x), target).item()


print(f"before: {error(test, test):.4f}; always the mean picture: {test.var(0).mean():.4f}")
for epoch in range(options.epochs):
    for x in train[torch.randperm(len(train))].split(100):
        noisy = x + 0.2 * torch.randn_like(x)
        loss = nn.functional.mse_loss(model(noisy), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 20 == 19:
        print(f"epoch {epoch + 1}: error {error(test, test):.4f}")

noisy = (test + 0.3 * torch.randn_like(test)).clamp(0, 1)
print(f"noise {nn.functional.mse_loss(noisy, test):.4f} -> {error(noisy, test):.4f}")
shades = " .:*#"
both = torch.cat([noisy[0].reshape(8, 8), model(noisy[:1]).detach().reshape(8, 8)], 1)
for row in (both * (len(shades) - 1)).round().long().clamp(0, len(shades) - 1).tolist():
    print("".join(shades[v] for v in row[:8]), "|", "".join(shades[v] for v in row[8:]))
