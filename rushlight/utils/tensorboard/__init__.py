"""``torch.utils.tensorboard``: event files without TensorFlow or the `tensorboard` package."""

from .writer import SummaryWriter

__all__ = ["SummaryWriter"]
