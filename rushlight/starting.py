"""What `import rushlight` loads, in one go and with Python's cycle collector paused.

Importing makes a hundred thousand objects and throws none away; the collector would look through
them again and again, a tenth of the whole time.
"""

from __future__ import annotations

import gc

collecting = gc.isenabled()
gc.disable()
try:
    from rushlight import autograd
finally:
    if collecting:
        gc.enable()

__all__ = ["autograd"]
