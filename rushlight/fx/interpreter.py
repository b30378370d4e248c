"""``torch.fx.interpreter``: interpreters under the path PyTorch has them at."""

from rushlight.fx.module import Interpreter, Transformer

__all__ = ["Interpreter", "Transformer"]
