"""A generative adversarial network that learns a ring of points.

The generator makes points of noise; the discriminator tells them from points of a ring; each learns
from the other. Run it with PyTorch, or with `rushlight run`.
"""

import argparse
import math

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=1500)
options = parser.parse_args()
torch.manual_seed(0)


def ring(count):
    """Points of radius 2, give or take 0.1."""
    angle = 2 * math.pi * torch.rand(count)
    radius = 2 + 0.1 * torch.randn(count)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


generator = nn.Sequential(
    nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2)
)
discriminator = nn.Sequential(
    nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
)
first = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
second = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
criterion = nn.BCEWithLogitsLoss()
real, fake = torch.ones(128, 1), torch.zeros(128, 1)


def report(step):
    """The mean radius of made points, how much it varies, and how far around they reach."""
    with torch.no_grad():
        points = generator(torch.randn(1000, 4))
    radius = points.norm(dim=1)
    angle = torch.atan2(points[:, 1], points[:, 0])
    sectors = ((angle + math.pi) / (2 * math.pi) * 16).long().clamp(max=15).unique().numel()
    print(f"step {step:4}: radius {radius.mean():.2f} +- {radius.std():.2f}, {sectors}/16 sectors")


report(0)
for step in range(1, options.steps + 1):
    made = generator(torch.randn(128, 4))
    loss = criterion(discriminator(ring(128)), real) + criterion(discriminator(made.detach()), fake)
    second.zero_grad()
    loss.backward()
    second.step()

    loss = criterion(discriminator(made), real)
    first.zero_grad()
    loss.backward()
    first.step()
    if step % (options.steps // 3) == 0:
        report(step)
