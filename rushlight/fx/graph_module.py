"""``torch.fx.graph_module``: `GraphModule` under the path PyTorch has it at."""

from rushlight.fx.module import GraphModule

__all__ = ["GraphModule"]
