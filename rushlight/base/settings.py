"""Settings: one place for what the environment can change.

Read once, at import; tests use ``override``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final


def _flag(name: str, default: bool = False) -> bool:
    return os.environ.get(name, "1" if default else "0") not in ("0", "", "off", "false", "no")


class Settings:
    """What changes how work is done, never what comes out.

    ``eager``: run every operation alone, as soon as it is recorded (``RUSHLIGHT_EAGER=1``).
    ``verify``: run every plan a second time one operation at a time and compare the bits
    (``RUSHLIGHT_VERIFY=1``).
    ``limit``: records that may be pending before the recorder runs them by itself.
    ``pending_bytes``: bytes of inputs that only the recorder keeps alive before it runs what is
    pending.
    ``snapshot``: exposed NumPy memory up to this many bytes is copied when read; above,
    its readers run at once.
    ``compile_free``: seconds of compiling that need no reason, see ``engine/budget.py``
    (``RUSHLIGHT_COMPILE_FREE``; ``inf``: none ever does).
    ``fuse_after``: how often a stretch is met before its operations are compiled together.
    """

    def __init__(
        self,
        eager: bool = False,
        verify: bool = False,
        limit: int = 1000,
        pending_bytes: int = 1 << 28,
        snapshot: int = 1 << 16,
        fuse_after: int = 2,
        compile_free: float = 1.0,
    ) -> None:
        self.eager = eager
        self.verify = verify
        self.limit = limit
        self.pending_bytes = pending_bytes
        self.snapshot = snapshot
        self.fuse_after = fuse_after
        self.compile_free = compile_free


# Compiled, an object has no `__dict__` to ask.
NAMES: Final = (
    "compile_free", "eager", "fuse_after", "limit", "pending_bytes", "snapshot", "verify",
)  # fmt: skip

settings: Final = Settings(
    eager=_flag("RUSHLIGHT_EAGER"),
    verify=_flag("RUSHLIGHT_VERIFY"),
    limit=int(os.environ.get("RUSHLIGHT_LIMIT", "1000")),
    fuse_after=int(os.environ.get("RUSHLIGHT_FUSE_AFTER", "2")),
    compile_free=float(os.environ.get("RUSHLIGHT_COMPILE_FREE", "1.0")),
)


@contextmanager
def override(**changes: Any) -> Iterator[Settings]:
    """Change settings for a ``with`` block: ``with override(verify=True): ...``."""
    for name in changes:
        if name not in NAMES:
            raise TypeError(f"no setting {name!r}; settings are {', '.join(NAMES)}")
    before = {name: getattr(settings, name) for name in changes}
    for name, value in changes.items():
        setattr(settings, name, value)
    try:
        yield settings
    finally:
        for name, value in before.items():
            setattr(settings, name, value)
