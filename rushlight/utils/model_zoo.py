"""`torch.utils.model_zoo`: the older names of `torch.hub`."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["load_url"]


def load_url(url: str, model_dir: str | None = None, *args: Any, **kwargs: Any) -> NoReturn:
    """`RuntimeError`: weights are not downloaded unseen."""
    raise RuntimeError(
        f"torch.utils.model_zoo.load_url: {url} is not downloaded here. Fetch the file yourself "
        "and give its path to torch.load"
    )
