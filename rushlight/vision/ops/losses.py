"""Losses of detectors: the focal loss, and how far two boxes are apart (`torchvision.ops`)."""

from __future__ import annotations

import math
from typing import Any

from rushlight.engine import Tensor
from rushlight.nn import functional as F
from rushlight.tensor.install import FUNCTIONS

__all__ = [
    "complete_box_iou_loss",
    "distance_box_iou_loss",
    "generalized_box_iou_loss",
    "sigmoid_focal_loss",
]

_low: Any = FUNCTIONS["minimum"]
_high: Any = FUNCTIONS["maximum"]


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', "
        "'mean', 'sum'"
    )


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Any:
    """Cross-entropy of logits and targets in [0, 1], less where the answer is already right.

    `alpha` weighs positives against negatives, -1 does not.  Source: Lin et al. 2017,
    arXiv:1708.02002.
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    x: Any = inputs
    t: Any = targets
    p = x.sigmoid()
    right = p * t + (1 - p) * (1 - t)
    loss: Any = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss = loss * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * t + (1 - alpha) * (1 - t)) * loss
    return _reduced(loss, reduction)


class _Pairs:
    """What boxes of two equal lists [N, 4] have in common, and what is around them."""

    def __init__(self, boxes1: Any, boxes2: Any) -> None:
        one, two = (b if b.is_floating_point() else b.float() for b in (boxes1, boxes2))
        self.one, self.two = one.unbind(-1), two.unbind(-1)
        x1, y1, x2, y2 = self.one
        u1, v1, u2, v2 = self.two
        w, h = _low(x2, u2) - _high(x1, u1), _low(y2, v2) - _high(y1, v1)
        self.common = FUNCTIONS["where"]((w > 0) & (h > 0), w * h, 0.0)
        self.together = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - self.common
        self.sides = (_high(x2, u2) - _low(x1, u1), _high(y2, v2) - _low(y1, v1))

    def overlap(self, eps: float) -> Any:
        """Intersection over union."""
        return self.common / (self.together + eps)

    def distance(self, eps: float) -> Any:
        """The square of the distance of the centres, in that of the diagonal around both."""
        x1, y1, x2, y2 = self.one
        u1, v1, u2, v2 = self.two
        apart = ((x2 + x1) / 2 - (u1 + u2) / 2) ** 2 + ((y2 + y1) / 2 - (v1 + v2) / 2) ** 2
        return apart / (self.sides[0] ** 2 + self.sides[1] ** 2 + eps)


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """1 - GIoU of each pair of boxes.  Source: Rezatofighi et al. 2019, arXiv:1902.09630."""
    p = _Pairs(boxes1, boxes2)
    around = p.sides[0] * p.sides[1]
    return _reduced(1 - (p.overlap(eps) - (around - p.together) / (around + eps)), reduction)


def distance_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """1 - DIoU of each pair of boxes.  Source: Zheng et al. 2020, arXiv:1911.08287."""
    p = _Pairs(boxes1, boxes2)
    return _reduced(1 - p.overlap(eps) + p.distance(eps), reduction)


def complete_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """`distance_box_iou_loss`, and how much the shapes differ."""
    p = _Pairs(boxes1, boxes2)
    iou = p.overlap(1e-7)
    x1, y1, x2, y2 = p.one
    u1, v1, u2, v2 = p.two
    turn = ((u2 - u1) / (v2 - v1)).atan() - ((x2 - x1) / (y2 - y1)).atan()
    shape = 4 / math.pi**2 * turn**2
    weight = (shape / (1 - iou + shape + eps)).detach()
    return _reduced(1 - iou + p.distance(1e-7) + weight * shape, reduction)
