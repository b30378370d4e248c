"""CIFAR, SVHN, folders of images and random images."""

import hashlib
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader
from rushlight.vision import datasets, transforms

image = pytest.importorskip("PIL.Image")


class Evil:
    """A pickle that would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A small CIFAR-10 whose check sums are right, and its folder."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(1)
    names = [f"class {i}" for i in range(10)]

    def put(name, entry):
        data = pickle.dumps(entry, protocol=2)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(n):
        data = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        return {"data": data, "labels": rng.integers(0, 10, n).tolist()}

    kind = datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [put(f"data_batch_{i}", batch(9)) for i in (1, 2)])
    monkeypatch.setattr(kind, "test_list", [put("test_batch", batch(6))])
    name, md5 = put("batches.meta", {"label_names": names})
    monkeypatch.setattr(kind, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path, folder, put


def test_cifar(cifar):
    root, folder, _ = cifar
    data = datasets.CIFAR10(root)
    first = pickle.loads((folder / "data_batch_1").read_bytes())
    assert len(data) == 18 and data.data.shape == (18, 32, 32, 3)
    picture, target = data[4]
    assert picture.mode == "RGB" and target == first["labels"][4]
    planes = first["data"][4].reshape(3, 32, 32)
    assert np.array_equal(np.asarray(picture), planes.transpose(1, 2, 0))
    assert data.class_to_idx["class 3"] == 3 and "Split: Train" in repr(data)
    assert len(datasets.CIFAR10(root, train=False)) == 6


AUGMENTED = transforms.Compose(
    [
        transforms.RandomCrop(32, padding=4),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.3)),
    ]
)
BATCHED = {
    "augmented": AUGMENTED,
    "cropped": transforms.Compose([transforms.RandomCrop((20, 24)), transforms.ToTensor()]),
    "middle": transforms.Compose([transforms.CenterCrop(20), transforms.ToTensor()]),
    "padded": transforms.Compose([transforms.Pad((1, 2), fill=9), transforms.ToTensor()]),
    "tensors": transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.RandomVerticalFlip(0.3),
            transforms.RandomCrop(30),
            transforms.RandomHorizontalFlip(0.8),
            transforms.Pad(1),
            transforms.CenterCrop((16, 18)),
        ]
    ),
    "bytes": transforms.Compose([transforms.RandomHorizontalFlip(), transforms.PILToTensor()]),
}


@pytest.mark.parametrize("name", BATCHED)
def test_batches_are_the_samples_with_their_draws(cifar, name):
    data = datasets.CIFAR10(cifar[0], transform=BATCHED[name])
    assert data._columns(torch.default_generator) is not None
    loader = DataLoader(data, 5, shuffle=True)
    torch.manual_seed(2)
    whole = [(x.clone(), y.clone()) for x, y in loader]
    after = torch.rand(1)
    torch.manual_seed(2)
    loader.collate_fn = lambda samples: samples
    for (images, targets), samples in zip(whole, loader):
        assert torch.equal(images, torch.stack([x for x, _ in samples]))
        assert targets.tolist() == [t for _, t in samples]
    assert torch.equal(after, torch.rand(1))


def test_batches_made_here_have_the_draws_of_workers(cifar):
    data = datasets.CIFAR10(cifar[0], transform=AUGMENTED)
    seen = []
    for options in ({}, {"multiprocessing_context": "fork"}):
        torch.manual_seed(4)
        loader = DataLoader(data, 4, shuffle=True, num_workers=2, **options)
        batches = iter(loader)
        assert hasattr(batches, "_workers") == bool(options)
        seen.append([x.clone() for x, _ in batches])
    assert all(torch.equal(a, b) for a, b in zip(*seen)) and len(seen[0]) == 5


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Compose([transforms.RandomRotation(5), transforms.ToTensor()]),
        transforms.Compose([transforms.Pad(2, padding_mode="edge"), transforms.ToTensor()]),
        transforms.Compose([transforms.ToTensor(), lambda x: x]),
        transforms.RandomHorizontalFlip(),
        None,
    ],
)
def test_what_needs_a_sample_at_a_time(cifar, transform):
    data = datasets.CIFAR10(cifar[0], transform=transform)
    assert data._columns(torch.default_generator) is None


def test_damaged_files_are_refused_by_name(cifar):
    root, folder, put = cifar
    good = (folder / "data_batch_2").read_bytes()
    (folder / "data_batch_2").write_bytes(good[:-5])
    with pytest.raises(
        RuntimeError, match=r"Dataset not found or corrupted.*data_batch_2 has anot"
    ):
        datasets.CIFAR10(root)
    (folder / "data_batch_2").unlink()
    with pytest.raises(RuntimeError, match="data_batch_2 is missing"):
        datasets.CIFAR10(root)
    datasets.CIFAR10.train_list[1] = put("data_batch_2", [1, 2])
    with pytest.raises(RuntimeError, match="data_batch_2 is no file of CIFAR's: it holds a list"):
        datasets.CIFAR10(root)
    datasets.CIFAR10.train_list[1] = put("data_batch_2", {"labels": [1], "data": np.zeros((1, 3))})
    with pytest.raises(RuntimeError, match="data_batch_2 is no file of CIFAR's: no images"):
        datasets.CIFAR10(root)


def test_nothing_in_a_pickle_is_called(cifar):
    root, folder, put = cifar
    made = folder / "made"
    datasets.CIFAR10.train_list[1] = put("data_batch_2", {"data": Evil(str(made))})
    with pytest.raises(RuntimeError, match=r"data_batch_2 .*asks for .*open"):
        datasets.CIFAR10(root)
    assert not made.exists()


def test_svhn(tmp_path, monkeypatch):
    savemat = pytest.importorskip("scipy.io").savemat
    rng = np.random.default_rng(0)
    path = tmp_path / "test_32x32.mat"
    pixels = rng.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
    savemat(path, {"X": pixels, "y": np.array([[10], [1], [2], [10]])})
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(datasets.SVHN.split_list, "test", ["", path.name, md5])
    data = datasets.SVHN(tmp_path, "test")
    assert data.labels.tolist() == [0, 1, 2, 0] and len(data) == 4
    assert np.array_equal(np.asarray(data[2][0]), pixels[..., 2]) and data[2][1] == 2
    with pytest.raises(RuntimeError, match=r"train_32x32\.mat is missing"):
        datasets.SVHN(tmp_path)
    with pytest.raises(ValueError, match="Unknown value 'all' for argument split"):
        datasets.SVHN(tmp_path, "all")


@pytest.fixture
def folders(tmp_path):
    """Three classes, one of them without images."""
    for i, name in enumerate(["b/2.png", "a/x/1.png", "a/0.PNG", "b/notes.txt"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.lower().endswith("png"):
            image.new("L", (3, 2), 40 * i).save(path, format="PNG")
        else:
            path.write_text("no image")
    return tmp_path


def test_folders_of_images(folders):
    data = datasets.ImageFolder(str(folders), transform=transforms.ToTensor())
    assert data.classes == ["a", "b"] and data.targets == [0, 0, 1]
    assert [path.removeprefix(str(folders)) for path, _ in data.imgs] == [
        "/a/0.PNG",
        "/a/x/1.png",
        "/b/2.png",
    ]
    images, targets = next(iter(DataLoader(data, 3)))
    assert images.shape == (3, 3, 2, 3) and targets.tolist() == [0, 0, 1]
    assert images[:, 0, 0, 0].mul(255).round().tolist() == [80, 40, 0]
    texts = datasets.DatasetFolder(
        str(folders), lambda p: p[-9:], is_valid_file=lambda p: p.endswith("txt"), allow_empty=True
    )
    assert list(texts) == [("notes.txt", 1)]


def test_folders_without_files(folders):
    (folders / "c").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no valid file for the classes c\. Supported"):
        datasets.ImageFolder(str(folders))
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        datasets.ImageFolder(str(folders / "c"))
    with pytest.raises(ValueError, match="cannot be None or not None at the same time"):
        datasets.DatasetFolder(str(folders), str)


def test_random_images():
    data = datasets.FakeData(3, (3, 4, 5), transform=transforms.PILToTensor())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert data[1][0].shape == (3, 4, 5) and torch.equal(data[1][0], data[1][0])
    assert torch.equal(before, torch.get_rng_state())
    # What torchvision gives.
    assert data[1][0][:, 0, 0].tolist() == [123, 220, 228] and data[1][1] == 5
    with pytest.raises(IndexError, match="FakeData index out of range"):
        data[3]
