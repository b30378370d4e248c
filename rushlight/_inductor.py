"""`torch._inductor`: its switches, remembered; kernels are generated without it."""

from __future__ import annotations

from rushlight.backends.switches import Switches

__all__ = ["config"]

config = Switches(
    coordinate_descent_tuning=False,
    debug=False,
    epilogue_fusion=True,
    freezing=False,
    fx_graph_cache=True,
    max_autotune=False,
    triton=Switches(cudagraphs=False, unique_kernel_names=True),
)
