"""What `import rushlight` loads, in one go and with Python's cycle collector paused.

Importing makes a hundred thousand objects and throws none away; the collector would look through
them again and again, a tenth of the whole time.  Afterwards they count as old: they stay for ever,
and the first steps of a program would wait for the collector to find that out.
"""

from __future__ import annotations

import gc

collecting = gc.isenabled()
gc.disable()
try:
    from rushlight import autograd
finally:
    if collecting:
        if gc.get_freeze_count() == 0:  # nothing that somebody else set aside
            gc.freeze()
            gc.unfreeze()  # to the oldest generation, without a look at each
        gc.enable()

__all__ = ["autograd"]
