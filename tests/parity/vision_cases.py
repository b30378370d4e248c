"""What transforms make of images, written to a file: run under PyTorch and under Rushlight.

python vision_cases.py out.npz        rushlight run vision_cases.py out.npz
"""

import random
import sys

import numpy as np
import torch

if "rushlight" not in torch.__version__:
    # The wheel of torchvision that is built for CUDA can be imported beside a CPU build of torch
    # when the operators that it does not find are not registered.
    torch.library.register_fake = lambda *a, **k: lambda f: f

from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F
from torchvision.utils import make_grid

I = T.InterpolationMode


def smooth(height, width, channels):
    """An image with edges and slopes."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (5 + c) + y * (3 - c) + 40 * ((x // 5 + y // 7) % 2)) % 256 for c in range(3)]
    array = np.stack(planes[:channels], -1).astype(np.uint8)
    return array[:, :, 0] if channels == 1 else array


RGB, GREY = Image.fromarray(smooth(37, 45, 3)), Image.fromarray(smooth(28, 28, 1))
BYTES, FLOATS = F.pil_to_tensor(RGB).contiguous(), F.to_tensor(RGB)

ON_ALL = {
    "resize": T.Resize((20, 30)),
    "resize one": T.Resize(50),
    "resize max": T.Resize([24], max_size=27),
    "resize nearest": T.Resize((13, 60), interpolation=I.NEAREST),
    "center crop": T.CenterCrop((20, 21)),
    "center crop larger": T.CenterCrop((50, 40)),
    "pad": T.Pad((1, 2, 3, 4), fill=7),
    "pad reflect": T.Pad(3, padding_mode="reflect"),
    "pad edge": T.Pad((3, 2), padding_mode="edge"),
    "pad symmetric": T.Pad((3, 2), padding_mode="symmetric"),
    "random crop": T.RandomCrop((20, 24)),
    "random crop padded": T.RandomCrop(32, padding=4),
    "random crop needed": T.RandomCrop((60, 60), pad_if_needed=True),
    "horizontal": T.RandomHorizontalFlip(),
    "vertical": T.RandomVerticalFlip(0.3),
    "random resized crop": T.RandomResizedCrop(24),
    "random resized crop wide": T.RandomResizedCrop((24, 12), scale=(0.5, 1), ratio=(3, 4)),
    "rotation": T.RandomRotation(30),
    "rotation expand": T.RandomRotation((10, 80), expand=True, fill=9),
    "rotation bilinear": T.RandomRotation(20, interpolation=I.BILINEAR, center=(3, 5)),
    "affine": T.RandomAffine(15, (0.1, 0.2), (0.8, 1.3), 10),
    "affine bilinear": T.RandomAffine(0, shear=(1, 5, 2, 9), interpolation=I.BILINEAR, fill=3),
    "perspective": T.RandomPerspective(p=1.0),
    "perspective nearest": T.RandomPerspective(0.3, 0.7, I.NEAREST, fill=5),
    "five": T.FiveCrop(20),
    "ten": T.TenCrop((20, 11), vertical_flip=True),
    "jitter": T.ColorJitter(0.4, 0.4, 0.4, 0.2),
    "jitter hue": T.ColorJitter(hue=(-0.3, 0.1)),
    "grey": T.Grayscale(),
    "grey 3": T.Grayscale(3),
    "random grey": T.RandomGrayscale(0.5),
    "blur": T.GaussianBlur(5),
    "blur wide": T.GaussianBlur((3, 7), 1.5),
    "invert": T.RandomInvert(),
    "solarize": T.RandomSolarize(0.4, 0.9),
    "sharpness": T.RandomAdjustSharpness(2.0, 0.9),
    "soft": T.RandomAdjustSharpness(0.3, 0.9),
    "autocontrast": T.RandomAutocontrast(0.8),
    "elastic": T.ElasticTransform(50.0, 4.0),
    "apply": T.RandomApply([T.RandomHorizontalFlip(), T.RandomCrop(9)], 0.6),
    "choice": T.RandomChoice([T.CenterCrop(20), T.CenterCrop(10)]),
    "order": T.RandomOrder([T.Pad(2), T.CenterCrop(30)]),
    "gamma": lambda x: F.adjust_gamma(x, 0.7, 1.2),
    "auto": T.AutoAugment(),
    "auto cifar": T.AutoAugment(T.AutoAugmentPolicy.CIFAR10),
    "rand": T.RandAugment(),
    "trivial": T.TrivialAugmentWide(),
}
ON_BYTES = {
    "posterize": T.RandomPosterize(3),
    "equalize": T.RandomEqualize(0.7),
}
ONLY_BYTES = {"auto", "auto cifar", "rand", "trivial"}
ON_FLOATS = {
    "normalize": T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    "erasing": T.RandomErasing(0.9),
    "erasing random": T.RandomErasing(0.9, value="random"),
    "erasing colour": T.RandomErasing(0.9, value=(0.1, 0.2, 0.3)),
    "to uint8": T.ConvertImageDtype(torch.uint8),
    "whitening": T.Compose(
        [
            T.CenterCrop(2),
            T.Lambda(torch.Tensor.contiguous),
            T.LinearTransformation(torch.eye(12) * 2, torch.ones(12)),
        ]
    ),
    "to image": T.ToPILImage(),
}


def arrays(value):
    """What came out, as arrays."""
    if isinstance(value, tuple | list):
        return np.stack([arrays(v) for v in value])
    return np.asarray(value)


def main(path):
    """Write the results of all cases."""
    out = {}
    inputs = {"rgb": RGB, "grey": GREY, "bytes": BYTES, "floats": FLOATS}
    for kind, image in inputs.items():
        cases = dict(ON_ALL)
        if kind != "floats":
            cases |= ON_BYTES
        else:
            cases = {k: v for k, v in cases.items() if k not in ONLY_BYTES} | ON_FLOATS
        for name, transform in cases.items():
            if kind == "grey" and name in ("resize max", "five", "ten"):
                continue
            for seed in range(3):
                torch.manual_seed(seed)
                random.seed(seed)
                threshold = name == "solarize" and kind != "floats"
                case = T.RandomSolarize(100, 0.9) if threshold else transform
                out[f"{name} | {kind} | {seed}"] = arrays(case(image))
    for mode in ("L", "RGB", "1", "I", "F", "RGBA", "P", "CMYK"):
        out[f"to tensor | {mode} | 0"] = arrays(F.to_tensor(RGB.convert(mode)))
        out[f"pil to tensor | {mode} | 0"] = arrays(F.pil_to_tensor(RGB.convert(mode)))
    batch = torch.stack([FLOATS * k for k in (0.2, 0.5, 1.0)])
    for i, options in enumerate(
        [{}, {"nrow": 2}, {"normalize": True}, {"normalize": True, "scale_each": True},
         {"value_range": (0, 0.5), "normalize": True, "padding": 0}, {"pad_value": 0.5}]
    ):  # fmt: skip
        out[f"grid {i} | floats | 0"] = arrays(make_grid(batch, **options))
    out["grid one | floats | 0"] = arrays(make_grid(batch[:1, :1]))
    torch.manual_seed(0)
    out["draws after"] = arrays(torch.rand(3))
    np.savez(path, **out)


if __name__ == "__main__":
    main(sys.argv[1])
