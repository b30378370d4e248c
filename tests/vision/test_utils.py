"""Grids, image files, boxes."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.vision import io, ops, utils

image = pytest.importorskip("PIL.Image")


def test_a_grid():
    images = torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 1, 2, 3)
    grid = utils.make_grid(images, nrow=2, padding=1, pad_value=9.0)
    assert grid.shape == (3, 3 * 3 + 1, 2 * 4 + 1)
    assert grid[0].tolist()[1] == [9, 0, 0, 0, 9, 1, 1, 1, 9]
    assert grid[0].tolist()[7] == [9, 4, 4, 4, 9, 9, 9, 9, 9]
    scaled = utils.make_grid(list(images), normalize=True, padding=0)
    assert scaled[0, 0].tolist() == [v for k in range(5) for v in [k / 4] * 3]
    each = utils.make_grid(torch.eye(2).expand(2, 1, 2, 2), normalize=True, scale_each=True)
    assert each.max().item() == 1.0
    assert torch.equal(
        utils.make_grid(images, normalize=True, range=(0, 8)),
        utils.make_grid(images, normalize=True, value_range=(0, 8)),
    )
    with pytest.raises(TypeError, match="tensor or list of tensors expected"):
        utils.make_grid("no")
    with pytest.raises(TypeError, match="unexpected keyword argument 'color'"):
        utils.make_grid(images, color=1)


def test_image_files(tmp_path):
    x = torch.linspace(0, 1, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    utils.save_image(x, tmp_path / "grid.png", nrow=1, padding=0)
    read = io.read_image(str(tmp_path / "grid.png"))
    expected = x.mul(255).add(0.5).clamp(0, 255).to(torch.uint8)
    assert torch.equal(read, torch.cat(list(expected), 1))
    grey = io.read_image(tmp_path / "grid.png", io.ImageReadMode.GRAY)
    assert grey.shape == (1, 8, 5)
    io.write_png(read, tmp_path / "again.png")
    data = io.read_file(tmp_path / "again.png")
    assert torch.equal(io.decode_image(data), read)
    io.write_jpeg(read, str(tmp_path / "a.jpg"), quality=90)
    assert io.read_image(tmp_path / "a.jpg").shape == read.shape


def test_boxes():
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [0, 0, 2, 2.1]])
    assert ops.box_area(boxes).tolist() == pytest.approx([4, 4, 4.2])
    assert ops.box_iou(boxes, boxes)[0].tolist() == pytest.approx([1, 1 / 7, 4 / 4.2])
    assert ops.nms(boxes, torch.tensor([0.5, 0.6, 0.9]), 0.5).tolist() == [2, 1]
    groups = torch.tensor([0, 1, 1])
    assert ops.batched_nms(boxes, torch.tensor([0.5, 0.6, 0.9]), groups, 0.5).tolist() == [2, 1, 0]
    for kind in ("xywh", "cxcywh"):
        there = ops.box_convert(boxes, "xyxy", kind)
        assert torch.allclose(ops.box_convert(there, kind, "xyxy"), boxes)
    assert ops.clip_boxes_to_image(boxes, (2, 1)).max().item() == 2.0
    assert ops.remove_small_boxes(boxes, 2.05).tolist() == []


def test_drawing():
    black = torch.zeros(3, 10, 12, dtype=torch.uint8)
    boxes = torch.tensor([[1, 2, 8, 7]])
    drawn = utils.draw_bounding_boxes(black, boxes, colors="red")
    assert drawn[:, 2, 1:9].tolist() == [[255] * 8, [0] * 8, [0] * 8]
    assert drawn[0, 3:7, 2:8].sum().item() == 0 and black.sum().item() == 0
    mask = torch.zeros(10, 12, dtype=torch.bool)
    mask[4] = True
    laid = utils.draw_segmentation_masks(black, mask, alpha=0.5, colors=[(0, 200, 0)])
    assert laid[1, 4].tolist() == [100] * 12 and laid[1, 5].sum().item() == 0
    with pytest.raises(ValueError, match="xmin, ymin, xmax, ymax"):
        utils.draw_bounding_boxes(black, torch.tensor([[5, 0, 1, 1]]))


def test_tensors_are_arrays_to_others():
    x = torch.rand(4, 4)
    assert np.array_equal(np.asarray(x), x.numpy())
    assert np.array_equal(np.asarray(image.fromarray(np.asarray(x))), x.numpy())
