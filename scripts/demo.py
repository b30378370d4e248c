"""The demo: trains a classifier on 1,500 real images of handwritten digits, tests it on 297 others.

An ordinary training loop, as one writes it with PyTorch; only the imports differ.
"""

import time

import numpy as np

import rushlight as torch
from rushlight import nn
from rushlight.lab.digits import load_digits
from rushlight.utils.data import DataLoader, TensorDataset

EPOCHS = 20
TRAINING = 1500

start = time.perf_counter()
torch.manual_seed(0)
images, labels = load_digits()
x = torch.from_numpy(images.reshape(-1, 64).astype(np.float32) / 16)
y = torch.from_numpy(labels)
loader = DataLoader(TensorDataset(x[:TRAINING], y[:TRAINING]), batch_size=32, shuffle=True)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(1, EPOCHS + 1):
    total = 0.0
    for data, target in loader:
        optimizer.zero_grad()
        loss = criterion(model(data), target)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(target)
    if epoch % 5 == 0 or epoch == 1:
        with torch.no_grad():
            found = model(x[TRAINING:]).argmax(dim=1)
            accuracy = (found == y[TRAINING:]).float().mean().item()
        print(f"epoch {epoch:2d}: loss {total / TRAINING:.4f}, test accuracy {100 * accuracy:.1f}%")

print(f"reading, training and testing: {time.perf_counter() - start:.2f} s")
