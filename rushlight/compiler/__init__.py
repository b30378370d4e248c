"""Programs to loops: a short list of passes from recorded operations to kernels."""

from .loops import LoopProgram
from .pipeline import lower

__all__ = ["LoopProgram", "lower"]
