"""A 784-256-10 network on batches of 128 images."""

import torch
import torch.nn.functional as F
from torch import nn


def setup():
    torch.manual_seed(0)
    batches = [(torch.rand(128, 1, 28, 28), torch.randint(0, 10, (128,))) for _ in range(8)]
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    count = 0

    def step():
        nonlocal count
        x, y = batches[count % 8]
        count += 1
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
