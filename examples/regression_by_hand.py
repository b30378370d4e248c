"""A straight line through eleven measured points, with gradients worked out by hand.

y = w x + b is fitted to readings of an unknown thermometer (y) against degrees Celsius (x), by
gradient descent on the mean squared error. Run it with PyTorch, or with `rushlight run`.
"""

import torch

x = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0])
y = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4])


def model(x, w, b):
    """The line."""
    return w * x + b


def loss_fn(predicted, y):
    """The mean squared error."""
    return ((predicted - y) ** 2).mean()


def grad_fn(x, y, predicted):
    """The derivatives of the loss by w and b: means of 2 (predicted - y) times x, and times 1."""
    d_loss = 2 * (predicted - y)
    return torch.stack([(d_loss * x).mean(), d_loss.mean()])


def train(x, y, learning_rate, epochs=10):
    """Gradient descent from w = 1, b = 0; prints the loss of every epoch."""
    params = torch.tensor([torch.ones(1), torch.zeros(1)])
    for epoch in range(1, epochs + 1):
        w, b = params
        predicted = model(x, w, b)
        loss = loss_fn(predicted, y)
        params = params - learning_rate * grad_fn(x, y, predicted)
        print(f"Epoch {epoch}, Loss {float(loss):f}")
    return params


w, b = torch.ones(1), torch.zeros(1)
predicted = model(x, w, b)
print("predictions", predicted)
print("loss", loss_fn(predicted, y))
print("gradient", grad_fn(x, y, predicted))

print("learning rate 1e-2: every step overshoots, the loss explodes")
print(train(x, y, 1e-2))
print("learning rate 1e-4: it falls, slowly")
print(train(x, y, 1e-4))
print("x scaled by 0.1, learning rate 1e-2: both gradients are of one size, it falls faster")
print(train(0.1 * x, y, 1e-2))
