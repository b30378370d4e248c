"""Linear regression with a data loader: a thousand made examples, in batches of ten.

The data is y = 2 x₁ - 3.4 x₂ + 4.2 and a little noise; three passes find the numbers again. Run it
with PyTorch, or with `rushlight run`.
"""

import numpy as np
import torch
from torch import nn
from torch.utils import data

np.random.seed(1)
torch.manual_seed(1)


def synthetic_data(w, b, count):
    """Features, and labels with noise of deviation 0.01."""
    features = np.random.normal(0, 1, (count, len(w)))
    labels = features @ np.array(w) + b + np.random.normal(0, 0.01, count)
    return (
        torch.from_numpy(features).float(),
        torch.from_numpy(labels).to(torch.float32).reshape(-1, 1),
    )


features, labels = synthetic_data([2, -3.4], 4.2, 1000)
loader = data.DataLoader(data.TensorDataset(features, labels), batch_size=10, shuffle=True)

net = nn.Sequential(nn.Linear(2, 1))
net[0].weight.data.normal_(0, 0.01)
net[0].bias.data.fill_(0)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.03)

for epoch in range(3):
    for x, y in loader:
        loss = criterion(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}, loss {criterion(net(features), labels).item():f}")

w, b = net[0].weight.data.reshape(-1).tolist(), net[0].bias.item()
print(f"w = {w[0]:.3f}, {w[1]:.3f}  b = {b:.3f}  (made with 2, -3.4 and 4.2)")
