"""A classifier with two hidden layers, and three experiments with it.

Two classes of points in five dimensions that no plane separates; an `nn.Module` of one's own,
binary cross-entropy, gradient descent. Then: watching the probabilities move apart, two activations
side by side, a loss of one's own. Run it with PyTorch, or with `rushlight run`; `--plot` saves the
loss and how the probabilities evolve as classifier.png.
"""

import sys

import torch
from torch import nn, optim

torch.manual_seed(0)
X = torch.randn(200, 5)
y = ((X[:, :3] ** 2).sum(1) + X[:, 3] > 2.5).float()  # inside or outside of a tilted bowl

n_input, n_hidden1, n_hidden2, n_output = X.shape[1], 8, 4, 1


class Network(nn.Module):
    """5 inputs, 8 and 4 hidden units, 1 probability."""

    def __init__(self):
        super().__init__()
        self.hidden1 = nn.Linear(n_input, n_hidden1)
        self.hidden2 = nn.Linear(n_hidden1, n_hidden2)
        self.relu = nn.ReLU()
        self.output = nn.Linear(n_hidden2, n_output)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        """The probability of class 1."""
        x = self.relu(self.hidden1(x))
        x = self.relu(self.hidden2(x))
        return self.sigmoid(self.output(x))


class TwoActivations(Network):
    """The first layer's output goes through ReLU and tanh side by side; the results are added."""

    def forward(self, x):
        """The probability of class 1."""
        x = self.hidden1(x)
        x = torch.relu(x) + torch.tanh(x)
        x = self.relu(self.hidden2(x))
        return self.sigmoid(self.output(x))


def fourth_power(predicted, target):
    """A loss of one's own: errors to the fourth power."""
    return ((predicted - target) ** 4).mean()


def train(model, criterion, lr, epochs, watch=()):
    """Train on all points at once; returns the losses, and the probabilities at some epochs."""
    optimizer = optim.SGD(model.parameters(), lr=lr)
    losses, seen = [], []
    for epoch in range(epochs):
        optimizer.zero_grad()
        output = model(X)
        loss = criterion(output.view(output.shape[0]), y)
        losses.append(loss.item())
        if epoch in watch:
            seen.append(output.detach().view(-1))
        loss.backward()
        optimizer.step()
    return losses, seen


def accuracy(model):
    """The fraction of points on the right side of 0.5."""
    with torch.no_grad():
        return ((model(X).view(-1) > 0.5).float() == y).float().mean().item()


model = Network()
print(model)
logits = model.forward(X)
print("before training:", [round(p, 4) for p in logits[:10, 0].tolist()])

losses, seen = train(model, nn.BCELoss(), lr=0.5, epochs=1000, watch=(0, 99, 499, 999))
for epoch in range(10):
    print(f"Epoch - {epoch + 1}, Loss - {losses[epoch]:.4f}")
print(f"Epoch - 1000, Loss - {losses[-1]:.3f}, accuracy {accuracy(model):.2f}")
for epoch, p in zip((1, 100, 500, 1000), seen, strict=True):
    zero, one = p[y == 0].mean().item(), p[y == 1].mean().item()
    print(f"epoch {epoch:4}: mean probability {zero:.2f} for class 0, {one:.2f} for class 1")

if "--plot" in sys.argv:
    import matplotlib.pyplot as plt

    _, (left, *others) = plt.subplots(1, 5, figsize=(15, 3))
    left.plot(losses)
    left.set_title("loss")
    for axes, epoch, p in zip(others, (1, 100, 500, 1000), seen, strict=True):
        axes.hist([p[y == 0].numpy(), p[y == 1].numpy()], bins=10, range=(0, 1))
        axes.set_title(f"probabilities, epoch {epoch}")
    plt.savefig("classifier.png")

both = TwoActivations()
losses, _ = train(both, nn.BCELoss(), lr=0.5, epochs=500)
print(f"two activations: loss {losses[0]:.3f} -> {losses[-1]:.3f}, accuracy {accuracy(both):.2f}")
quartic = Network()
losses, _ = train(quartic, fourth_power, lr=0.5, epochs=500)
print(f"fourth power: loss {losses[0]:.4f} -> {losses[-1]:.4f}, accuracy {accuracy(quartic):.2f}")
