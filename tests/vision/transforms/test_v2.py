"""Transforms of samples."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.vision import transforms as T
from rushlight.vision.transforms import v2

image = pytest.importorskip("PIL.Image")
PICTURE = image.fromarray(np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3))

PIPELINE = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.Resize((4, 4)),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),
    ]
)
OLD = T.Compose(
    [T.RandomHorizontalFlip(), T.Resize((4, 4)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)]
)


@pytest.mark.parametrize("seed", range(4))
def test_an_image_alone(seed):
    torch.manual_seed(seed)
    new = PIPELINE(PICTURE)
    torch.manual_seed(seed)
    assert torch.equal(new, OLD(PICTURE))


def test_samples():
    label = torch.tensor(3)
    for out in (PIPELINE(PICTURE, 3), PIPELINE((PICTURE, 3))):
        assert isinstance(out, tuple) and out[0].shape == (3, 4, 4) and out[1] == 3
    out = PIPELINE({"label": label, "image": PICTURE, "boxes": torch.ones(2, 4)})
    assert (
        out["label"] is label and out["image"].shape == (3, 4, 4) and out["boxes"].shape == (2, 4)
    )
    tensor = torch.zeros(3, 8, 8)
    assert v2.CenterCrop(2)([label, tensor])[1].shape == (3, 2, 2)
    assert v2.Identity()(1, 2) == (1, 2)


def test_errors():
    with pytest.raises(TypeError, match="has no image"):
        v2.Resize(3)(4)
    with pytest.raises(NotImplementedError, match="several images"):
        v2.Resize(3)(PICTURE, PICTURE)
    with pytest.raises(ValueError, match="Pass at least one transform"):
        v2.Compose([])
    with pytest.raises(ValueError, match=r"dtype must be a torch\.dtype"):
        v2.ToDtype("float32")
