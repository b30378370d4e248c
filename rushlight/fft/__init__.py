"""`torch.fft`: discrete Fourier transforms; `tensor/fourier.py` defines them."""

from __future__ import annotations

from rushlight.tensor.fourier import FFT as _FFT

globals().update(_FFT)

__all__: list[str] = []
__all__.extend(_FFT)
