"""Boxes [N, 4] of (x1, y1, x2, y2): areas, overlaps, and which to keep (`torchvision.ops`)."""

from __future__ import annotations

import math
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


def _distance(boxes1: Any, boxes2: Any, eps: float) -> tuple[Any, Any]:
    """`box_iou` less the distance of the centres, and `box_iou`, [N, M]."""
    iou = box_iou(boxes1, boxes2)
    low = FUNCTIONS["minimum"](boxes1[:, None, :2], boxes2[None, :, :2])
    high = FUNCTIONS["maximum"](boxes1[:, None, 2:], boxes2[None, :, 2:])
    sides = (high - low).clamp(min=0)
    diagonal = sides[..., 0] ** 2 + sides[..., 1] ** 2 + eps
    one, two = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes1, boxes2))
    apart = (one[:, None] - two[None]) ** 2
    return iou - (apart[..., 0] + apart[..., 1]) / diagonal, iou


def distance_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """`box_iou`, less the distance of the centres in that of the corners around both; [N, M]."""
    return _distance(boxes1, boxes2, eps)[0]


def complete_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """`distance_box_iou`, less how much the shapes differ; [N, M]."""
    diou, iou = _distance(boxes1, boxes2, eps)
    one, two = (((b[:, 2] - b[:, 0]) / (b[:, 3] - b[:, 1])).atan() for b in (boxes1, boxes2))
    shape = 4 / math.pi**2 * (one[:, None] - two[None]) ** 2
    weight = (shape / (1 - iou + shape + eps)).detach()
    return diou - weight * shape


def masks_to_boxes(masks: Any) -> Any:
    """The boxes [N, 4] around what is not 0 in masks [N, H, W]; all 0 around nothing."""
    if masks.numel() == 0:
        return FUNCTIONS["zeros"]((0, 4), device=masks.device)
    there = masks.bool()
    ends = []
    for line in (there.any(1), there.any(2)):  # columns, rows
        ends.append(line.float().argmax(1))
        ends.append(line.shape[1] - 1 - line.flip(1).float().argmax(1))
    x1, x2, y1, y2 = ends
    boxes = _stack((x1, y1, x2, y2), 1).float()
    return boxes.masked_fill(~there.flatten(1).any(1)[:, None], 0.0)


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
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
]
