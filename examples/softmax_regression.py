"""Softmax regression on Fashion-MNIST: one linear layer, ten kinds of clothes.

Images through `ToTensor`, batches of 256, cross-entropy on raw scores (never log of softmax: that
overflows). Run it with PyTorch and torchvision, or with `rushlight run`:

    rushlight run softmax_regression.py --root data --epochs 10
"""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor

parser = argparse.ArgumentParser()
parser.add_argument("--root", default="data", help="where Fashion-MNIST is, or is downloaded to")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--download", action="store_true")
options = parser.parse_args()

torch.manual_seed(0)
train, test = (
    datasets.FashionMNIST(options.root, train=t, download=options.download, transform=ToTensor())
    for t in (True, False)
)
loader = DataLoader(train, batch_size=256, shuffle=True)

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def init_weights(module):
    """Small weights for every linear layer."""
    if type(module) is nn.Linear:
        nn.init.normal_(module.weight, std=0.01)


net.apply(init_weights)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)


def right(scores, labels):
    """How many are classified right."""
    return (scores.argmax(dim=-1) == labels).sum().item()


for epoch in range(options.epochs):
    total, hits = 0.0, 0
    for images, labels in loader:
        scores = net(images)
        loss = criterion(scores, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        hits += right(scores, labels)
    print(f"epoch {epoch + 1}: loss {total / len(train):.4f}, train {hits / len(train):.3f}")

with torch.no_grad():
    hits = sum(right(net(images), labels) for images, labels in DataLoader(test, batch_size=256))
print(f"test accuracy {hits / len(test):.3f}")
