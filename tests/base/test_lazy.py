"""Modules that load when first used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from rushlight.base.lazy import later


def test_a_module_loads_at_the_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "LIMIT = 3\n\n\ndef twice(x):\n    return 2 * x\n\n\nTABLE = {1: 'one'}\n"
    (tmp_path / "loads_when_used.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    module: Any = later("loads_when_used")
    assert "loads_when_used" not in sys.modules
    try:
        assert module.twice(4) == 8
        real = sys.modules["loads_when_used"]
        assert module.twice is real.twice and module.TABLE is real.TABLE
        assert module.LIMIT == 3
        monkeypatch.setattr(real, "LIMIT", 5)
        assert module.LIMIT == 5  # plain values are looked up anew
        with pytest.raises(AttributeError, match="nothing"):
            module.nothing
    finally:
        sys.modules.pop("loads_when_used", None)
