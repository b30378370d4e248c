"""`torch.quantization`: its names, for programs that import more than they use."""

from __future__ import annotations

from typing import Final

from rushlight.base.lacking import names_of

_NAMES: Final = frozenset(
    [
        *("DeQuantStub", "FakeQuantize", "HistogramObserver", "MinMaxObserver", "ObserverBase"),
        *("MovingAverageMinMaxObserver", "PerChannelMinMaxObserver", "QConfig", "QuantStub"),
        *("QuantWrapper", "convert", "default_dynamic_qconfig", "default_qconfig", "fuse_modules"),
        *("get_default_qat_qconfig", "get_default_qconfig", "prepare", "prepare_qat", "quantize"),
        *("quantize_dynamic", "quantize_qat"),
    ]
)

__getattr__ = names_of("torch.quantization", _NAMES, "there are no quantized kernels")
