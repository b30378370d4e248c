"""`torch.torch_version`: versions that compare as numbers."""

from __future__ import annotations

from rushlight.base.versions import TorchVersion
from rushlight.version import __version__ as _internal

__all__ = ["TorchVersion"]

__version__ = TorchVersion(_internal)
