"""Transforms on PIL images and tensors; `tests/parity` compares every one with torchvision."""

import random

import numpy as np
import pytest

import rushlight as torch
from rushlight.vision import transforms as T
from rushlight.vision.transforms import functional as F

image = pytest.importorskip("PIL.Image")


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return image.fromarray(rng.integers(0, 256, (11, 9, 3), dtype=np.uint8))


def test_to_tensor_and_back(picture):
    floats, whole = F.to_tensor(picture), F.pil_to_tensor(picture)
    assert floats.shape == whole.shape == (3, 11, 9) and floats.dtype == torch.float32
    assert torch.equal(floats, whole.to(torch.float32) / 255)
    assert np.array_equal(np.asarray(F.to_pil_image(floats)), np.asarray(picture))
    assert np.array_equal(np.asarray(T.ToPILImage("RGB")(np.asarray(picture))), np.asarray(picture))
    array = np.arange(12.0).reshape(3, 4)
    assert torch.equal(F.to_tensor(array)[0], torch.from_numpy(array))
    torch.set_default_dtype(torch.float64)
    try:
        assert F.to_tensor(picture).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda p: F.to_tensor("no"), TypeError, "pic should be PIL Image or ndarray"),
        (lambda p: F.to_tensor(np.zeros(3)), ValueError, "2/3 dimensional. Got 1"),
        (lambda p: F.to_pil_image(torch.zeros(5, 2, 2)), ValueError, "> 4 channels. Got 5"),
        (lambda p: F.to_pil_image(torch.zeros(1, 2, 2), "RGB"), ValueError, "Incorrect mode"),
        (lambda p: F.normalize(p, 0.5, 0.5), TypeError, "img should be Tensor Image"),
        (
            lambda p: F.normalize(torch.zeros(3, 2, 2, dtype=torch.uint8), 0, 1),
            TypeError,
            "float t",
        ),
        (lambda p: F.normalize(torch.zeros(3, 2, 2), 0.0, 0.0), ValueError, "division by zero"),
        (lambda p: F.resize(p, (1, 2, 3)), ValueError, "1 or 2 element tuple/list"),
        (lambda p: T.RandomCrop(20)(p), ValueError, "larger than input image size"),
        (lambda p: F.five_crop(p, 50), ValueError, "bigger than input size"),
        (lambda p: F.adjust_hue(p, 0.7), ValueError, r"is not in \[-0.5, 0.5\]"),
        (lambda p: F.pad(p, (1, 2, 3)), ValueError, "not a 3 element"),
        (lambda p: T.Pad(1, padding_mode="odd"), ValueError, "Padding mode should be either"),
        (lambda p: T.ColorJitter(brightness=-1), ValueError, "must be non negative"),
        (lambda p: T.GaussianBlur(4), ValueError, "odd and positive"),
        (lambda p: T.RandomRotation(-3), ValueError, "must be positive"),
        (lambda p: T.RandomAffine(0, translate=(2, 0)), ValueError, "between 0 and 1"),
        (lambda p: T.RandomErasing(p=2), ValueError, "between 0 and 1"),
        (lambda p: F.rotate(F.to_tensor(p), 3, "bilinear"), TypeError, "interpolation should be"),
        (
            lambda p: F.convert_image_dtype(torch.zeros(1, 1, 1), torch.int64),
            RuntimeError,
            "safely",
        ),
        (lambda p: F.erase(p, 0, 0, 1, 1, 0), TypeError, "img should be Tensor Image"),
        (lambda p: T.Lambda(3), TypeError, "lambd should be callable"),
    ],
)
def test_errors(picture, call, kind, words):
    with pytest.raises(kind, match=words):
        call(picture)


def test_repr():
    pipeline = T.Compose([T.Resize(3), T.RandomApply([T.RandomHorizontalFlip()]), T.ToTensor()])
    assert repr(pipeline) == (
        "Compose(\n"
        "    Resize(size=3, interpolation=bilinear, max_size=None, antialias=True)\n"
        "    RandomApply(\n    p=0.5\n    RandomHorizontalFlip(p=0.5)\n)\n"
        "    ToTensor()\n)"
    )
    assert repr(T.Normalize(0.5, 0.1)) == "Normalize(mean=0.5, std=0.1)"
    assert repr(T.RandomPosterize(3)) == "RandomPosterize(bits=3,p=0.5)"
    assert repr(T.RandomAffine(3)) == "RandomAffine(degrees=[-3.0, 3.0])"


def test_draws_are_one_stream():
    torch.manual_seed(5)
    x = torch.arange(25.0).reshape(1, 5, 5)
    i, j, h, w = T.RandomCrop.get_params(x, (2, 3))
    order, *factors = T.ColorJitter.get_params((0.5, 1.5), None, (0, 1), None)
    angle = T.RandomRotation.get_params([-10, 10])
    torch.manual_seed(5)
    assert (i, j, h, w) == (
        torch.randint(0, 4, (1,)).item(),
        torch.randint(0, 3, (1,)).item(),
        2,
        3,
    )
    assert torch.equal(order, torch.randperm(4))
    assert factors[0] == torch.empty(1).uniform_(0.5, 1.5).item() and factors[1] is None
    assert factors[2] == torch.empty(1).uniform_(0, 1).item() and factors[3] is None
    assert angle == torch.empty(1).uniform_(-10, 10).item()


def test_choices_are_drawn_with_pythons_random(picture):
    random.seed(1)
    sizes = [T.RandomChoice([T.CenterCrop(2), T.CenterCrop(3)])(picture).size[0] for _ in range(8)]
    random.seed(1)
    assert sizes == [random.choices([2, 3])[0] for _ in range(8)]


def test_gradients_go_through():
    x = torch.rand(3, 8, 8, requires_grad=True)
    out = F.rotate(F.normalize(F.resize(x, 6), 0.5, 0.5), 20.0, T.InterpolationMode.BILINEAR)
    out.square().sum().backward()
    assert torch.isfinite(x.grad).all().item() and x.grad.abs().sum().item() > 0


def test_five_crops(picture):
    crops = torch.stack([F.pil_to_tensor(c) for c in T.FiveCrop(4)(picture)])
    whole = F.pil_to_tensor(picture)
    assert torch.equal(crops[0], whole[:, :4, :4]) and torch.equal(crops[3], whole[:, -4:, -4:])
    assert len(T.TenCrop(4)(picture)) == 10


def test_equal_images_equal_results_on_both_kinds(picture):
    whole = F.pil_to_tensor(picture)
    for transform in (T.CenterCrop(5), T.Pad(2, 3), T.Grayscale(3), T.RandomHorizontalFlip(1.0)):
        both = F.pil_to_tensor(transform(picture)), transform(whole)
        assert (both[0].to(torch.int16) - both[1].to(torch.int16)).abs().max().item() <= 1


def test_augmentations_keep_size_and_type(picture):
    torch.manual_seed(0)
    for make in (T.AutoAugment, T.RandAugment, T.TrivialAugmentWide):
        for _ in range(4):
            out = make()(picture)
            assert out.size == picture.size and out.mode == "RGB"
    with pytest.raises(ValueError, match="not recognized"):
        T.AutoAugment("mine")
