"""Linear regression with a shuffling `DataLoader`; a step is one epoch of 100 batches."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def setup():
    torch.manual_seed(0)
    true_w = torch.tensor([2.0, -3.4])
    x = torch.randn(1000, 2)
    y = (x @ true_w + 4.2 + 0.01 * torch.randn(1000)).reshape(-1, 1)
    loader = DataLoader(TensorDataset(x, y), batch_size=10, shuffle=True)
    net = nn.Sequential(nn.Linear(2, 1))
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03)

    def step():
        for data, target in loader:
            loss = criterion(net(data), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return criterion(net(x), y).item()

    return step
