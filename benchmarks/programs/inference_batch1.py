"""Inference of a small network, one row at a time."""

import torch
from torch import nn


def setup():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    net.eval()
    rows = torch.randn(64, 4).split(1)
    count = 0

    def step():
        nonlocal count
        count += 1
        with torch.no_grad():
            return net(rows[count % 64]).argmax(1).item()

    return step
