"""The demo: trains a classifier on 700 images of Fashion-MNIST and tests it on 200 others.

An ordinary training loop, as one writes it with PyTorch; only the first import differs.
"""

import gzip
import time
from pathlib import Path

import numpy as np

import rushlight as torch
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset

DATA = Path(__file__).resolve().parent / "data" / "fashion-mnist-900"
EPOCHS = 20


def read(name: str) -> np.ndarray:
    """An array from a gzipped IDX file: magic, sizes, bytes."""
    content = gzip.decompress((DATA / name).read_bytes())
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def split(part: str) -> TensorDataset:
    """The images of one part, scaled to [0, 1] and flattened, with their labels."""
    images = read(f"{part}-images-idx3-ubyte.gz").reshape(-1, 784).astype(np.float32) / 255
    labels = read(f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    return TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))


start = time.perf_counter()
torch.manual_seed(0)
train, test = split("train"), split("t10k")
model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loader = DataLoader(train, batch_size=32, shuffle=True)

for epoch in range(1, EPOCHS + 1):
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    if epoch % 5 == 0 or epoch == 1:
        with torch.no_grad():
            images, labels = test.tensors
            correct = (model(images).argmax(dim=1) == labels).float().mean().item()
        print(
            f"epoch {epoch:2d}: loss {total / len(train):.4f}, test accuracy {100 * correct:.1f}%"
        )

print(f"reading, training and testing: {time.perf_counter() - start:.2f} s")
