"""Datasets of images (`torchvision.datasets`)."""

from rushlight.vision.datasets import mnist, utils, vision
from rushlight.vision.datasets.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from rushlight.vision.datasets.vision import VisionDataset

__all__ = [
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "FashionMNIST",
    "VisionDataset",
    "mnist",
    "utils",
    "vision",
]
