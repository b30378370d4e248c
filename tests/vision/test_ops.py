"""Boxes, masks and losses of `torchvision.ops`; what they give was taken from torchvision 0.29."""

import pytest

import rushlight as torch
from rushlight.vision import ops

ONE = torch.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 3.0, 5.0]])
TWO = torch.tensor([[2.0, 2.0, 6.0, 4.0], [1.0, 1.0, 3.0, 5.0]])

BOX_IOU = [[0.2, 0.333333], [0.142857, 1.0]]
DISTANCE = [[0.103846, 0.308943], [0.045296, 1.0]]
COMPLETE = [[0.101755, 0.306459], [0.017817, 1.0]]
LOSSES = [[0.966667, 0.0], [0.896154, 0.0], [0.898245, 0.0]]
FOCAL = [0.016994, 0.016893, 1.237559]
PLAIN = 0.971422


def near(found, expected) -> bool:
    return torch.allclose(found, torch.tensor(expected), atol=1e-5)


def test_distances_of_boxes() -> None:
    assert near(ops.box_iou(ONE, TWO), BOX_IOU)
    assert near(ops.distance_box_iou(ONE, TWO), DISTANCE)
    assert near(ops.complete_box_iou(ONE, TWO), COMPLETE)
    losses = (ops.generalized_box_iou_loss, ops.distance_box_iou_loss, ops.complete_box_iou_loss)
    for f, expected in zip(losses, LOSSES, strict=True):
        one = ONE.clone().requires_grad_()
        assert near(f(one, TWO), expected)
        f(one, TWO, reduction="sum").backward()
        assert one.grad.abs().sum() > 0 and near(f(ONE, TWO, "mean"), sum(expected) / 2)
    with pytest.raises(ValueError, match="Invalid Value for arg 'reduction'"):
        ops.distance_box_iou_loss(ONE, TWO, "most")


def test_focal_loss() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0])
    t = torch.tensor([0.0, 1.0, 0.0])
    assert near(ops.sigmoid_focal_loss(x, t), FOCAL)
    assert near(ops.sigmoid_focal_loss(x, t, -1, 0.0, "mean"), PLAIN)
    with pytest.raises(ValueError, match="Invalid alpha value"):
        ops.sigmoid_focal_loss(x, t, alpha=2.0)


def test_boxes_around_masks() -> None:
    masks = torch.zeros(3, 6, 7)
    masks[0, 2:4, 1:5] = 1
    masks[2, 5, 6] = 1
    assert ops.masks_to_boxes(masks).tolist() == [[1, 2, 4, 3], [0, 0, 0, 0], [6, 5, 6, 5]]
    assert ops.masks_to_boxes(torch.zeros(0, 3, 3)).shape == (0, 4)


def test_layers() -> None:
    torch.manual_seed(0)
    drop = ops.StochasticDepth(0.5, "row")
    kept = drop(torch.ones(64, 3))
    assert set(kept.flatten().tolist()) == {0.0, 2.0} and (kept == kept[:, :1]).all()
    assert drop.eval()(ONE) is ONE and repr(drop) == "StochasticDepth(p=0.5, mode=row)"
    with pytest.raises(ValueError, match="either 'batch' or 'row'"):
        ops.stochastic_depth(ONE, 0.5, "column")
    norm = torch.nn.BatchNorm2d(3)
    norm(torch.randn(4, 3, 5, 5))
    frozen = ops.FrozenBatchNorm2d(3)
    frozen.load_state_dict(norm.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.allclose(frozen(x), norm.eval()(x), atol=1e-6)
    assert not list(frozen.parameters()) and repr(frozen) == "FrozenBatchNorm2d(3, eps=1e-05)"
    assert ops.Permute([1, 0])(torch.ones(2, 3)).shape == (3, 2)
