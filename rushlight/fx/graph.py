"""``torch.fx.graph``: graphs under the path PyTorch has them at."""

from rushlight.fx.node import Graph, map_arg

__all__ = ["Graph", "map_arg"]
