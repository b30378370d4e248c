"""Models: torchvision's names and shapes of parameters, weights by name, forward and backward."""

import gzip
import hashlib
import json
import math
from pathlib import Path

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.vision import models
from rushlight.vision.models import _registry

KEYS = json.loads(gzip.decompress(Path(__file__).with_name("keys.json.gz").read_bytes()))


@pytest.fixture
def without_first_weights(monkeypatch):
    """Parameters stay as they are allocated: drawing them for all models takes minutes."""
    for kind in (nn.Linear, nn.Conv2d):
        monkeypatch.setattr(kind, "reset_parameters", lambda self: None)
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    monkeypatch.setattr(nn.init, "xavier_uniform_", lambda tensor, *args, **kwargs: tensor)


def by_size(name):
    """A model's name; those with hundreds of megabytes of parameters take their time."""
    size = sum(math.prod(shape) for _, shape in KEYS[name])
    return pytest.param(name, marks=[pytest.mark.slow] if size > 60e6 else [])


@pytest.mark.parametrize("name", [by_size(name) for name in sorted(KEYS)])
def test_names_and_shapes_are_torchvisions(without_first_weights, name):
    if name in ("vit_h_14", "vit_l_16", "vit_l_32"):  # gigabytes; the class is vit_b_16's
        assert name in models.list_models()
        return
    made = getattr(models, name)(**({"init_weights": False} if name == "googlenet" else {}))
    assert [[key, list(value.shape)] for key, value in made.state_dict().items()] == KEYS[name]


def test_every_model_has_its_keys():
    assert models.list_models() == sorted(KEYS)


SMALL = {
    "resnet18": {"num_classes": 5},
    "mobilenet_v2": {"num_classes": 5, "width_mult": 0.25},
    "mobilenet_v3_small": {"num_classes": 5},
    "squeezenet1_1": {"num_classes": 5},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_step_of_training(name):
    torch.manual_seed(0)
    net = models.get_model(name, **SMALL[name])
    x, y = torch.randn(2, 3, 48, 48), torch.tensor([1, 3])
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    assert torch.isfinite(loss).item()
    assert all(torch.isfinite(p.grad).all().item() for p in net.parameters())
    net.eval()
    with torch.no_grad():
        outs = [net(x).tolist() for _ in range(3)]  # each a run: the first, and the compiled plan
    found = torch.tensor(outs[0])
    assert found.shape == (2, 5) and torch.isfinite(found).all().item()
    assert outs[1] == outs[0] and outs[2] == outs[0]


def test_a_small_transformer():
    torch.manual_seed(0)
    net = models.VisionTransformer(16, 8, 2, 2, 8, 16, num_classes=3, representation_size=4)
    out = net(torch.randn(2, 3, 16, 16))
    assert out.shape == (2, 3) and out.abs().max().item() == 0.0  # the head begins at zero
    with pytest.raises(AssertionError, match="Wrong image height"):
        net(torch.randn(2, 3, 24, 16))


def test_weights_by_name():
    assert models.ResNet18_Weights.DEFAULT is models.ResNet18_Weights.IMAGENET1K_V1
    weights = models.get_weight("ResNet50_Weights.IMAGENET1K_V2")
    assert weights is models.ResNet50_Weights.DEFAULT
    assert weights.url == "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"
    assert weights.transforms().resize_size == [232]
    assert models.get_model_weights("vgg16") is models.VGG16_Weights
    with pytest.raises(ValueError, match="unknown weights 'V7'"):
        models.resnet18(weights="V7")
    with pytest.raises(TypeError, match="expected ResNet18_Weights but received ResNet34_Weights"):
        models.resnet18(weights=models.ResNet34_Weights.DEFAULT)
    with pytest.raises(ValueError, match="'num_classes' expected value 1000 but got 10"):
        models.resnet18(weights="DEFAULT", num_classes=10)
    with pytest.raises(ValueError, match="Unknown model"):
        models.get_model("resnet17")


@pytest.fixture
def tiny(monkeypatch):
    """A model whose weights are small, and the folder that they belong in."""

    def make(folder, reachable):
        net = nn.Linear(3, 2)
        (folder / "server").mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), folder / "server" / "tiny.pth")
        data = (folder / "server" / "tiny.pth").read_bytes()
        name = f"tiny-{hashlib.sha256(data).hexdigest()[:8]}.pth"
        (folder / "server" / name).write_bytes(data)
        monkeypatch.setenv("TORCH_HOME", str(folder / "home"))
        where = folder / ("server" if reachable else "nowhere")
        monkeypatch.setattr(_registry, "ADDRESS", f"file://{where}/")
        monkeypatch.setitem(_registry.FILES, "tiny", {"V1": (name, 8, 8)})
        build = _registry.model("tiny", lambda num_classes=1000: nn.Linear(3, 2))
        monkeypatch.delitem(_registry.MODELS, "tiny")
        return net, build, folder / "home" / "hub" / "checkpoints" / name

    return make


def test_weights_are_fetched_once_and_kept(tiny, tmp_path):
    net, build, path = tiny(tmp_path, reachable=True)
    for _ in range(2):
        assert torch.equal(build(weights="V1").weight, net.weight)
        assert path.exists()
        (tmp_path / "server" / path.name).unlink(missing_ok=True)
    with pytest.warns(UserWarning, match="'pretrained' is deprecated"):
        assert torch.equal(build(pretrained=True).bias, net.bias)
    with pytest.warns(UserWarning, match="'pretrained' is deprecated"):
        assert not torch.equal(build(False).weight, net.weight)


def test_weights_that_cannot_be_had(tiny, tmp_path):
    _, build, path = tiny(tmp_path, reachable=False)
    with pytest.raises(RuntimeError, match=r"cannot be fetched.*use weights=None") as error:
        build(weights="V1")
    assert path.name in str(error.value) and str(path.parent) in str(error.value)


def test_damaged_weights_are_refused(tiny, tmp_path):
    _, build, path = tiny(tmp_path, reachable=True)
    (tmp_path / "server" / path.name).write_bytes(b"something else")
    with pytest.raises(RuntimeError, match="invalid hash value"):
        build(weights="V1")
    assert not path.exists() and list(path.parent.iterdir()) == []
