"""Linear regression as a module, trained with four optimisers.

A class of its own around `nn.Linear`, the mean squared error, and the same hundred steps with SGD,
Adagrad, RMSprop and Adam: same start, same learning rate, very different roads. Run it with
PyTorch, or with `rushlight run`.
"""

import torch
from torch import nn

torch.manual_seed(0)
x = torch.linspace(-3, 3, 60).reshape(-1, 1)
y = 2.5 * x + 1.0 + 0.3 * torch.randn_like(x)


class Line(nn.Module):
    """w x + b."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        """The line at x."""
        return self.linear(x)


def train(name, lr=0.1, epochs=100):
    """Train from the same start; the losses."""
    model = Line()
    with torch.no_grad():
        model.linear.weight.fill_(0.0)
        model.linear.bias.fill_(0.0)
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=lr)
    criterion = nn.MSELoss()
    losses = []
    for _ in range(epochs):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


for name in ("SGD", "Adagrad", "RMSprop", "Adam"):
    model, losses = train(name)
    w, b = (p.item() for p in model.parameters())
    steps = next((i for i, loss in enumerate(losses) if loss < 0.2), None)
    reached = f"below 0.2 after {steps} steps" if steps is not None else "never below 0.2"
    print(f"{name:8} w = {w:.3f}  b = {b:.3f}  loss {losses[-1]:.4f}, {reached}")
