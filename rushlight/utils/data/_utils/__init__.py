"""The parts of loading that PyTorch keeps under this name: `_utils.collate`, `_utils.fetch`."""

from rushlight.utils.data._utils import collate, fetch

__all__ = ["collate", "fetch"]
