"""`torch.compile` of a whole training step: run once as it is, then replayed without its Python.

`step.py` decides, call by call, between running and replaying; `trace.py` watches which Python runs;
`analysis.py` reads that Python for what it rests on and what it leaves behind; `engine/noting.py`
and `engine/capture.py` do the part that is about tensors.
"""

from rushlight.capture.step import captured_function

__all__ = ["captured_function"]
