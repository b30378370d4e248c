"""Style transfer, small: one picture's shapes in another's texture.

The pixels themselves are what is trained: their features should be those of the content picture,
the correlations of their features (Gram matrices) those of the style picture. The features are a
random convolutional network's, which needs no download and does for textures. Run it with PyTorch,
or with `rushlight run`; `--steps` and `--size` make it shorter.
"""

import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--size", type=int, default=32)
options = parser.parse_args()
torch.manual_seed(0)

y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, options.size)], indexing="ij")
disc = ((x**2 + y**2) < 0.5).float()
content = torch.stack([disc, 0.5 * disc, 1 - disc])[None]
stripes = 0.5 + 0.5 * torch.sin(12 * (x + y))
style = torch.stack([stripes, 1 - stripes, 0.5 * stripes])[None]

layers = nn.ModuleList(
    [
        nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 24, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(24, 32, 3, padding=1), nn.ReLU()),
    ]
)
for parameter in layers.parameters():
    parameter.requires_grad_(False)


def features(picture):
    """What each layer makes of a picture."""
    found = []
    for layer in layers:
        picture = layer(picture)
        found.append(picture)
    return found


def gram(feature):
    """The correlations between channels, over all places."""
    flat = feature.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


wanted_content = features(content)[1]
wanted_style = [gram(f) for f in features(style)]
picture = content.clone().requires_grad_(True)
optimizer = torch.optim.Adam([picture], lr=0.05)
for step in range(1, options.steps + 1):
    found = features(picture)
    shape = nn.functional.mse_loss(found[1], wanted_content)
    pairs = zip(found, wanted_style)
    texture = sum(nn.functional.mse_loss(gram(f), g) / g.pow(2).mean() for f, g in pairs)
    loss = shape + texture
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        picture.clamp_(0, 1)
    if step in (1, options.steps // 2, options.steps):
        print(f"step {step:3}: content {shape.item():.4f}, style {texture.item():.4f}")
