"""Models for images, with torchvision's names of parameters (`torchvision.models`)."""

from rushlight.vision.models import (
    alexnet as _alexnet,
)
from rushlight.vision.models import (
    densenet as _densenet,
)
from rushlight.vision.models import (
    googlenet as _googlenet,
)
from rushlight.vision.models import (
    mobilenetv2,
    mobilenetv3,
    resnet,
    squeezenet,
    vgg,
    vision_transformer,
)
from rushlight.vision.models._registry import (
    WEIGHTS as _WEIGHTS,
)
from rushlight.vision.models._registry import (
    WeightsEnum,
    get_model,
    get_model_builder,
    get_model_weights,
    get_weight,
    list_models,
)

_PARTS = (
    *(_alexnet, vgg, resnet, squeezenet, _densenet, _googlenet),
    *(mobilenetv2, mobilenetv3, vision_transformer),
)
_names = {name: getattr(part, name) for part in _PARTS for name in part.__all__}
_names |= {kind.__name__: kind for kind in _WEIGHTS.values()}
globals().update(_names)

__all__ = [  # noqa: PLE0604
    "WeightsEnum",
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
    "mobilenetv2",
    "mobilenetv3",
    "resnet",
    "squeezenet",
    "vgg",
    "vision_transformer",
    *_names,
]
