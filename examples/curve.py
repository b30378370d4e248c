"""A curve fitted with and without activation functions.

Two hidden layers learn a wave. Without an activation they are one straight line, however many
weights they have; ReLU makes pieces of lines, tanh smooth curves. Run it with PyTorch, or with
`rushlight run`; `--plot` saves the three fits as curve.png.
"""

import sys

import torch
from torch import nn

torch.manual_seed(0)
x = torch.linspace(-2, 2, 80).reshape(-1, 1)
y = torch.sin(2 * x) + 0.3 * x + 0.05 * torch.randn_like(x)


def network(activation):
    """1 - 24 - 24 - 1."""
    return nn.Sequential(
        nn.Linear(1, 24), activation(), nn.Linear(24, 24), activation(), nn.Linear(24, 1)
    )


fits = {}
for name, activation in (("none", nn.Identity), ("ReLU", nn.ReLU), ("Tanh", nn.Tanh)):
    torch.manual_seed(1)
    model = network(activation)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(400):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        fits[name] = model(x)
    error = (fits[name] - y).pow(2).mean().item()
    slope = fits[name].diff(dim=0) / x.diff(dim=0)
    print(f"{name:5} error {error:.4f}, slopes from {slope.min():.2f} to {slope.max():.2f}")

if "--plot" in sys.argv:
    import matplotlib.pyplot as plt

    plt.scatter(x.numpy(), y.numpy(), s=8, color="grey")
    for name, fit in fits.items():
        plt.plot(x.numpy(), fit.numpy(), label=name)
    plt.legend()
    plt.savefig("curve.png")
