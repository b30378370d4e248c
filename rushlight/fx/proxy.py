"""``torch.fx.proxy``: what tracing hands to a program, under the path PyTorch has it at."""

from rushlight.fx.tracer import Proxy, TraceError, Tracer

__all__ = ["Proxy", "TraceError", "Tracer"]
