"""Linear regression with `backward()` and updates written by hand."""

import torch


def setup():
    torch.manual_seed(0)
    x = torch.randn(100, 3)
    y = x @ torch.tensor([[2.0], [-3.4], [1.0]]) + 4.2 + 0.01 * torch.randn(100, 1)
    w = torch.zeros(3, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)

    def step():
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w.sub_(0.05 * w.grad)
            b.sub_(0.05 * b.grad)
            w.grad.zero_()
            b.grad.zero_()
        return loss.item()

    return step
