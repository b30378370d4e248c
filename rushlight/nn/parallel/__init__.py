"""`torch.nn.parallel`: wrappers that spread a module over devices, where there is one device."""

from __future__ import annotations

from rushlight.nn.parallel.data_parallel import DataParallel, DistributedDataParallel, data_parallel

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]
