"""Boxes [N, 4] of (x1, y1, x2, y2): areas, overlaps, and which to keep (`torchvision.ops`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.tensor.install import FUNCTIONS

_stack: Any = FUNCTIONS["stack"]


def box_area(boxes: Any) -> Any:
    """Areas [N]."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _overlap(a: Any, b: Any) -> tuple[Any, Any]:
    """Areas of what each pair has in common and of what it covers together, [N, M]."""
    low = FUNCTIONS["maximum"](a[:, None, :2], b[None, :, :2])
    high = FUNCTIONS["minimum"](a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clamp(min=0)
    common = sides[:, :, 0] * sides[:, :, 1]
    return common, box_area(a)[:, None] + box_area(b) - common


def box_iou(boxes1: Any, boxes2: Any) -> Any:
    """Intersection over union of each pair, [N, M]."""
    common, together = _overlap(boxes1, boxes2)
    return common / together


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """`box_iou`, less the part of the smallest box around both that neither covers."""
    common, together = _overlap(boxes1, boxes2)
    low = FUNCTIONS["minimum"](boxes1[:, None, :2], boxes2[None, :, :2])
    high = FUNCTIONS["maximum"](boxes1[:, None, 2:], boxes2[None, :, 2:])
    sides = (high - low).clamp(min=0)
    around = sides[:, :, 0] * sides[:, :, 1]
    return common / together - (around - together) / around


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """From one of "xyxy", "xywh" and "cxcywh" to another."""
    known = ("xyxy", "xywh", "cxcywh")
    if in_fmt not in known or out_fmt not in known:
        raise ValueError(f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and "
                         f"out_fmt {out_fmt}")  # fmt: skip
    if in_fmt == out_fmt:
        return boxes.clone()
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        c, d = a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        return _stack((a, b, c - a, d - b), -1)
    if out_fmt == "cxcywh":
        return _stack(((a + c) / 2, (b + d) / 2, c - a, d - b), -1)
    return _stack((a, b, c, d), -1)


def clip_boxes_to_image(boxes: Any, size: tuple[int, int]) -> Any:
    """The parts of boxes within an image of (height, width)."""
    h, w = size
    x, y = boxes[..., 0::2].clamp(min=0, max=w), boxes[..., 1::2].clamp(min=0, max=h)
    return _stack((x, y), len(boxes.shape)).reshape(boxes.shape)


def remove_small_boxes(boxes: Any, min_size: float) -> Any:
    """Indices of the boxes whose sides are both at least that long."""
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return FUNCTIONS["where"]((w >= min_size) & (h >= min_size))[0]


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Indices of the boxes to keep, best score first: none overlaps a better one by more."""
    corners = np.asarray(engine.read(boxes))
    order = np.argsort(-np.asarray(engine.read(scores)), kind="stable")
    x1, y1, x2, y2 = corners.T
    areas = (x2 - x1) * (y2 - y1)
    kept = []
    while order.size:
        i, order = order[0], order[1:]
        kept.append(i)
        w = np.minimum(x2[i], x2[order]) - np.maximum(x1[i], x1[order])
        h = np.minimum(y2[i], y2[order]) - np.maximum(y1[i], y1[order])
        common = np.clip(w, 0, None) * np.clip(h, 0, None)
        with np.errstate(invalid="ignore"):
            order = order[~(common / (areas[i] + areas[order] - common) > iou_threshold)]
    return engine.from_array(np.array(kept, np.int64), dt.int64, CPU)


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """`nms` within each group of boxes of the same `idxs`."""
    if boxes.numel() == 0:
        return nms(boxes, scores, iou_threshold)
    apart = idxs.to(boxes.dtype) * (boxes.max() + 1)
    return nms(boxes + apart[:, None], scores, iou_threshold)


__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "generalized_box_iou",
    "nms",
    "remove_small_boxes",
]
