"""`torch.optim.adamw`: where PyTorch has AdamW, which is Adam with decoupled weight decay."""

from .adam import AdamW

__all__ = ["AdamW"]
