"""``torch.fx.passes``: what walks over a graph; here, `shape_prop`."""

from rushlight.fx.passes import shape_prop

__all__ = ["shape_prop"]
