"""The models by name, and their trained weights: read from the cache, or fetched into it.

`resnet18(weights="DEFAULT")`, `weights=ResNet18_Weights.IMAGENET1K_V1` and `pretrained=True` all
look for the file in `$TORCH_HOME/hub/checkpoints` (`~/.cache/torch/hub/checkpoints`), as PyTorch
does, and fetch it when it is not there.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from rushlight import nn
from rushlight.io import load
from rushlight.vision.datasets.utils import fetch_checked
from rushlight.vision.models._weights import FILES, enum_name
from rushlight.vision.transforms._presets import ImageClassification

ADDRESS: Final = "https://download.pytorch.org/models/"
MODELS: Final[dict[str, Callable[..., nn.Module]]] = {}
WEIGHTS: Final[dict[str, type[WeightsEnum]]] = {}  # by the model's name


class WeightsEnum(Enum):
    """Trained weights of one model; a member's value is its file and its image sizes."""

    @property
    def url(self) -> str:
        """Where the file is fetched from."""
        return ADDRESS + str(self.value[0])

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the weights."""
        return {"min_size": (1, 1), "num_classes": 1000}

    def transforms(self) -> ImageClassification:
        """What makes an image the input that the weights were trained for."""
        _, crop, resize = self.value
        return ImageClassification(crop_size=crop, resize_size=resize)

    def get_state_dict(self, progress: bool = True, check_hash: bool = True) -> dict[str, Any]:
        """The tensors of the file; `RuntimeError` where it is not there and cannot be fetched."""
        return _state_dict(str(self.value[0]), self.url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


def checkpoints() -> str:
    """The folder that the files of trained weights lie in."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub", "checkpoints")


def _state_dict(name: str, url: str) -> dict[str, Any]:
    path = os.path.join(checkpoints(), name)
    if not os.path.exists(path):
        found = re.search(r"-([0-9a-f]{8,})\.", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            fetch_checked(url, path, found.group(1) if found else "")
        except OSError as error:
            raise RuntimeError(
                f"the trained weights {name} are not in {checkpoints()}, and {url} cannot be "
                f"fetched: {error}. Put the file there, or use weights=None"
            ) from error
    out: dict[str, Any] = load(path, map_location="cpu", weights_only=True)
    return out


def chosen(name: str, weights: Any) -> WeightsEnum | None:
    """The member of the model's weights for a member, or for the name of one."""
    if weights is None:
        return None
    kind = WEIGHTS[name]
    if isinstance(weights, str):
        key = weights.removeprefix(f"{kind.__name__}.")
        if key not in kind.__members__:
            raise ValueError(
                f"{name}: unknown weights {weights!r}; there are {list(kind.__members__)}"
            )
        return kind[key]
    if not isinstance(weights, kind):
        raise TypeError(
            f"Invalid Weight class provided; expected {kind.__name__} but received "
            f"{type(weights).__name__}."
        )
    return weights


def model(name: str, make: Callable[..., nn.Module], **fixed: Any) -> Callable[..., Any]:
    """Enter a model: the function that builds it, by name, with its weights."""
    members = dict(FILES.get(name, {}))
    kind: Any = WeightsEnum(enum_name(name), members) if members else None  # type: ignore[call-arg]
    if kind is not None:
        kind.__module__ = make.__module__ if hasattr(make, "__module__") else __name__
        WEIGHTS[name] = kind

    def build(*args: Any, weights: Any = None, progress: bool = True, **kwargs: Any) -> nn.Module:
        old = {"pretrained": kwargs.pop("pretrained", None)}
        if args:
            old["pretrained"], *rest = args
            if rest:
                raise TypeError(f"{name}() takes at most one positional argument")
        if old["pretrained"] is not None:
            weights = _of_old(name, old["pretrained"])
        member = chosen(name, weights) if kind is not None else None
        for key, value in fixed.items():
            kwargs.setdefault(key, value)
        if member is not None and kwargs.setdefault("num_classes", 1000) != 1000:
            raise ValueError(
                "The parameter 'num_classes' expected value 1000 but got "
                f"{kwargs['num_classes']} instead."
            )
        made = make(**kwargs)
        if member is not None:
            made.load_state_dict(member.get_state_dict(progress=progress))
        return made

    build.__name__ = build.__qualname__ = name
    build.__module__ = make.__module__ if hasattr(make, "__module__") else __name__
    build.__doc__ = f"`{name}`, with random weights or with `weights` (`{enum_name(name)}`)."
    MODELS[name] = build
    return build


def _of_old(name: str, pretrained: Any) -> Any:
    """What the argument of old, `pretrained`, says of weights."""
    if not isinstance(pretrained, bool):
        return pretrained  # weights without their name
    warnings.warn(
        "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, "
        "please use 'weights' instead.",
        UserWarning,
        stacklevel=3,
    )
    return next(iter(WEIGHTS[name])) if pretrained else None


def get_model(name: str, **config: Any) -> nn.Module:
    """The model of a name."""
    if name.lower() not in MODELS:
        raise ValueError(f"Unknown model {name}")
    return MODELS[name.lower()](**config)


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds the model of a name."""
    if name.lower() not in MODELS:
        raise ValueError(f"Unknown model {name}")
    return MODELS[name.lower()]


def get_model_weights(name: Any) -> type[WeightsEnum]:
    """The weights that there are of a model, given by name or by its function."""
    return WEIGHTS[name if isinstance(name, str) else name.__name__]


def get_weight(name: str) -> WeightsEnum:
    """The weights of a full name: "ResNet18_Weights.DEFAULT"."""
    head, _, member = name.partition(".")
    for kind in WEIGHTS.values():
        if kind.__name__ == head and member in kind.__members__:
            return kind[member]
    raise ValueError(f"Invalid Weight class provided: {name}")


def list_models(*unused: Any, **also: Any) -> list[str]:
    """The names of the models."""
    return sorted(MODELS)
