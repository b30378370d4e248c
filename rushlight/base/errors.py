"""Exception types PyTorch has and Python has not, and the words several layers share."""

from __future__ import annotations


class OutOfMemoryError(RuntimeError):
    """Memory for a tensor could not be had."""


class LinAlgError(RuntimeError):
    """A decomposition or a solution of a matrix does not exist."""


class CompileError(RuntimeError):
    """Native code could not be made; work goes on one operation at a time."""


AGAIN = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)
