"""Linear regression seven times: from NumPy alone to PyTorch's parts, one replaced after the other.

The same line w x + b is fitted to the same noisy points each time, so that all seven print the same
w and b (to the last digits that float32 leaves open). Run it with PyTorch, or with `rushlight run`.
"""

import numpy as np
import torch

EPOCHS, RATE = 200, 0.05
rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, 50).astype(np.float32)
Y = (1.5 * X + 0.5 + rng.normal(0, 0.1, 50)).astype(np.float32)


def show(step, w, b):
    """Print one way's result."""
    print(f"{step:46} w = {float(w):.4f}  b = {float(b):.4f}")


def numpy_loop(grad_loss):
    """The training loop, with a function for the gradient of the loss."""
    params = np.array([1.0, 0.0], dtype=np.float32)
    for _ in range(EPOCHS):
        params = params - np.float32(RATE) * grad_loss(params)
    return params


def by_calculus(params):
    """Gradient of the mean squared error: the derivatives by w and b, worked out on paper."""
    w, b = params
    error = w * X + b - Y
    return np.array([2 * (error * X).mean(), 2 * error.mean()], dtype=np.float32)


def by_backpropagation(params):
    """The same gradient, passed back from node to node: mean, square, minus, plus, times."""
    w, b = params
    error = w * X + b - Y
    d_square = np.full_like(error, 1 / len(error))  # the mean hands on a share to each
    d_error = d_square * 2 * error
    d_sum = d_error  # minus passes the gradient on, plus to both of its operands
    return np.array([(d_sum * X).sum(), d_sum.sum()], dtype=np.float32)


show("1 NumPy, derivatives on paper", *numpy_loop(by_calculus))
show("2 NumPy, backpropagation by hand", *numpy_loop(by_backpropagation))

x, y = torch.from_numpy(X), torch.from_numpy(Y)


def model(params, x):
    """The line."""
    return params[0] * x + params[1]


params = torch.tensor([1.0, 0.0])
for _ in range(EPOCHS):
    error = model(params, x) - y
    params = params - RATE * torch.stack([2 * (error * x).mean(), 2 * error.mean()])
show("3 tensors in place of arrays", *params)

params = torch.tensor([1.0, 0.0], requires_grad=True)
for _ in range(EPOCHS):
    loss = ((model(params, x) - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        params -= RATE * params.grad  # in place: it stays the tensor that collects gradients
    params.grad.zero_()  # gradients are added up otherwise
show("4 gradients by backward()", *params.detach().numpy())

params = torch.tensor([1.0, 0.0], requires_grad=True)
optimizer = torch.optim.SGD([params], lr=RATE)
for _ in range(EPOCHS):
    loss = ((model(params, x) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
show("5 the update by an optimiser", *params.detach().numpy())

params = torch.tensor([1.0, 0.0], requires_grad=True)
optimizer = torch.optim.SGD([params], lr=RATE)
criterion = torch.nn.MSELoss()
for _ in range(EPOCHS):
    optimizer.zero_grad()
    criterion(model(params, x), y).backward()
    optimizer.step()
show("6 the loss by a module", *params.detach().numpy())

linear = torch.nn.Linear(1, 1)
with torch.no_grad():
    linear.weight.fill_(1.0)
    linear.bias.zero_()
optimizer = torch.optim.SGD(linear.parameters(), lr=RATE)
for _ in range(EPOCHS):
    optimizer.zero_grad()
    criterion(linear(x.reshape(-1, 1)), y.reshape(-1, 1)).backward()
    optimizer.step()
show("7 the model by a module", linear.weight.item(), linear.bias.item())
