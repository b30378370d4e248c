"""MNIST and its family: files read as they are, samples and batches, bad files by name."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader, Subset
from rushlight.vision import datasets, transforms

image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_files_are_used_as_they_are(mnist, digits, compressed, train):
    data = datasets.MNIST(mnist(compressed=compressed), train=train, download=True)
    images, labels = digits["train" if train else "t10k"]
    assert data.data.dtype == torch.uint8 and np.array_equal(data.data.numpy(), images)
    assert data.targets.dtype == torch.int64 and np.array_equal(data.targets.numpy(), labels)
    assert len(data) == len(images)
    picture, target = data[3]
    assert picture.mode == "L" and np.array_equal(np.asarray(picture), images[3])
    assert type(target) is int and target == labels[3]


def test_the_family_has_folders_of_its_own(mnist):
    root = mnist("FashionMNIST")
    assert datasets.FashionMNIST(root).classes[9] == "Ankle boot"
    with pytest.raises(RuntimeError, match=r"Dataset not found\. You can use download=True"):
        datasets.MNIST(root)


def test_repr(mnist):
    data = datasets.MNIST(mnist(), transform=transforms.ToTensor())
    assert repr(data).splitlines() == [
        "Dataset MNIST",
        "    Number of datapoints: 40",
        f"    Root location: {data.root}",
        "    Split: Train",
        "    StandardTransform",
        "Transform: ToTensor()",
    ]


PIPELINES = {
    "tensor": transforms.ToTensor(),
    "normalised": transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    ),
    "nested": transforms.Compose(
        [
            transforms.Compose([transforms.PILToTensor()]),
            transforms.ConvertImageDtype(torch.float64),
        ]
    ),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("name", PIPELINES)
def test_batches_are_the_samples(mnist, name, shuffle):
    data = datasets.MNIST(mnist(), transform=PIPELINES[name])
    assert data._columns(torch.default_generator) is not None
    loader = DataLoader(data, 16, shuffle=shuffle)
    torch.manual_seed(1)
    whole = list(loader)
    torch.manual_seed(1)
    loader.collate_fn = lambda samples: samples
    for (images, targets), samples in zip(whole, loader):
        one_by_one = torch.stack([x for x, _ in samples])
        assert images.dtype == one_by_one.dtype and images.stride() == one_by_one.stride()
        assert torch.equal(images, one_by_one)
        assert targets.dtype == torch.int64 and targets.tolist() == [t for _, t in samples]


def test_subsets_of_subsets(mnist):
    data = datasets.MNIST(mnist(), transform=transforms.ToTensor())
    part = Subset(Subset(data, list(range(30, 10, -1))), [3, 0, 5])
    (images, targets) = next(iter(DataLoader(part, 3)))
    assert torch.equal(images, torch.stack([data[i][0] for i in (27, 30, 25)]))
    assert targets.tolist() == [data[i][1] for i in (27, 30, 25)]


def test_changes_between_batches_are_seen(mnist):
    data = datasets.MNIST(mnist(), transform=transforms.ToTensor())
    batches = iter(DataLoader(data, 4))
    next(batches)
    data.data[4:8] = 255
    data.targets[4:8] = 7
    images, targets = next(batches)
    assert images.min().item() == 1.0 and targets.tolist() == [7] * 4
    data.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    data.data[8:12] = 0
    assert next(batches)[0].max().item() == -1.0
    data.target_transform = lambda t: -t
    assert next(batches)[1].tolist() == [-int(t) for t in data.targets[12:16]]


def test_what_is_not_ours_goes_sample_by_sample(mnist):
    class Mine(datasets.MNIST):
        raw_folder = property(lambda self: f"{self.root}/MNIST/raw")

        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x + 1, y

    class Doubled(transforms.ToTensor):
        def __call__(self, pic):
            return super().__call__(pic) * 2

    root = mnist()
    mine = Mine(root, transform=transforms.ToTensor())
    plain = datasets.MNIST(root, transform=transforms.ToTensor())
    first = next(iter(DataLoader(plain, 4)))[0]
    assert torch.equal(next(iter(DataLoader(mine, 4)))[0], first + 1)
    plain.transform = Doubled()
    assert torch.equal(next(iter(DataLoader(plain, 4)))[0], first * 2)
    hooked = transforms.Normalize(0.0, 1.0)
    hooked.register_forward_hook(lambda module, inputs, out: out + 3)
    plain.transform = transforms.Compose([transforms.ToTensor(), hooked])
    assert torch.equal(next(iter(DataLoader(plain, 4)))[0], first + 3)


def test_an_index_too_large_is_an_index_error(mnist):
    data = datasets.MNIST(mnist(), transform=transforms.ToTensor())
    with pytest.raises(IndexError):
        list(DataLoader(Subset(data, [0, 40]), 2))


def damaged(change):
    def apply(path):
        path.write_bytes(change(path.read_bytes()))

    return apply


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (damaged(lambda data: data[:-10]), "truncated"),
        (damaged(lambda data: data[:8]), "truncated|begins with"),
        (damaged(lambda data: b""), "truncated|begins with"),
        (damaged(lambda data: b"<html>" + data), "IDX|corrupt"),
    ],
)
def test_damaged_files_are_refused_by_name(mnist, compressed, change, words):
    root = mnist(compressed=compressed)
    data = datasets.MNIST(root)
    name = "train-images-idx3-ubyte" + (".gz" if compressed else "")
    import pathlib

    change(pathlib.Path(data.raw_folder) / name)
    with pytest.raises(RuntimeError, match=words) as error:
        datasets.MNIST(root)
    assert name in str(error.value)


def test_files_of_another_kind_are_refused_by_name(mnist):
    import pathlib

    root = mnist()
    raw = pathlib.Path(datasets.MNIST(root).raw_folder)
    labels = (raw / "train-labels-idx1-ubyte").read_bytes()
    (raw / "train-images-idx3-ubyte").write_bytes(labels)
    with pytest.raises(RuntimeError, match="train-images-idx3-ubyte holds no images"):
        datasets.MNIST(root)
    images = (raw / "t10k-images-idx3-ubyte").read_bytes()
    (raw / "train-images-idx3-ubyte").write_bytes(images)
    with pytest.raises(RuntimeError, match=r"holds 12 images, but .* 40 labels"):
        datasets.MNIST(root)
