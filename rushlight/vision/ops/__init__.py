"""Operations on boxes, and layers that models share (`torchvision.ops`)."""

from rushlight.vision.ops import boxes, misc
from rushlight.vision.ops.boxes import (
    batched_nms,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    generalized_box_iou,
    nms,
    remove_small_boxes,
)
from rushlight.vision.ops.misc import MLP, Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "SqueezeExcitation",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "boxes",
    "clip_boxes_to_image",
    "generalized_box_iou",
    "misc",
    "nms",
    "remove_small_boxes",
]
