"""`torch.utils.model_zoo`: the older name of `torch.hub.load_state_dict_from_url`."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["load_url"]


def load_url(url: str, model_dir: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """The weights at an address; see `torch.hub.load_state_dict_from_url`."""
    # By name: `torch.hub` stands above this layer.
    return importlib.import_module("rushlight.hub").load_state_dict_from_url(
        url, model_dir, *args, **kwargs
    )
