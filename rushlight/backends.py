"""`torch.backends`: switches that programs set; none changes a result here."""

from __future__ import annotations

from typing import Any

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


class _Backend:
    """A library that is not there; its switches can be set and are remembered."""

    def __init__(self, name: str, **switches: Any) -> None:
        self._name = name
        for switch, value in switches.items():
            setattr(self, switch, value)

    def is_available(self) -> bool:
        """False."""
        return False

    def is_built(self) -> bool:
        """False."""
        return False

    def version(self) -> None:
        """None: there is no such library."""

    def __repr__(self) -> str:
        return f"<torch.backends.{self._name}>"


cuda = _Backend("cuda", matmul=_Backend("cuda.matmul", allow_tf32=False))
cudnn = _Backend("cudnn", enabled=True, benchmark=False, deterministic=False, allow_tf32=True)
mkl = _Backend("mkl")
mkldnn = _Backend("mkldnn", enabled=False)
mps = _Backend("mps")
openmp = _Backend("openmp")
