"""The example programs run under the name torch, and print the figures of the articles."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")

# What the article prints of its ten epochs with each learning rate.
LOSSES = [
    1763.884644, 10424.541016, 76423.132812, 579046.562500, 4406547.0, 33552814.0, 255500272.0,
    1945619584.0, 14815792128.0, 112821534720.0,
    1763.884644, 1667.137939, 1577.523560, 1494.515503, 1417.625854, 1346.403809, 1280.430786,
    1219.319702, 1162.712036, 1110.275269,
    2806.242188, 2534.330811, 2289.593994, 2069.307129, 1871.018311, 1692.521973, 1531.833618,
    1387.168457, 1256.919678, 1139.642456,
]  # fmt: skip


def output(path, *arguments, cwd=None):
    """What a program prints under Rushlight."""
    run = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", str(path), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def example(name, *arguments, cwd=None):
    """The text that an example prints, and the numbers in it."""
    text = output(ROOT / "examples" / f"{name}.py", *arguments, cwd=cwd)
    return text, [float(n) for n in NUMBER.findall(text)]


def test_there_are_examples():
    assert {p.stem for p in EXAMPLES} >= {"regression_by_hand", "numpy_to_torch", "classifier"}


def test_regression_by_hand_prints_the_figures_of_the_article():
    text = output(ROOT / "examples" / "regression_by_hand.py")
    losses = [float(n) for n in re.findall(r"Loss (\S+)", text)]
    assert losses == pytest.approx(LOSSES, rel=2e-6)
    numbers = [float(n) for n in NUMBER.findall(text)]
    for figure in (
        1763.8846,
        -989.5273,
        -82.6000,
        -67495.0859,
        -3787.7676,
        1.8376,
        0.0741,
        11.4749,
        8.2523,
    ):
        assert any(n == pytest.approx(figure, rel=2e-6, abs=6e-5) for n in numbers), figure


def test_all_ways_from_numpy_to_torch_agree():
    lines = output(ROOT / "examples" / "numpy_to_torch.py").splitlines()
    found = [tuple(float(n) for n in NUMBER.findall(line)[-2:]) for line in lines]
    assert len(found) == 7
    assert all(pair == pytest.approx((1.5131, 0.5019), abs=2e-4) for pair in found)


def test_the_classifier_learns():
    text = output(ROOT / "examples" / "classifier.py")
    assert "(hidden1): Linear(in_features=5, out_features=8, bias=True)" in text
    losses = [float(n) for n in re.findall(r"Epoch - \d+, Loss - ([\d.]+)", text)]
    assert losses[:2] == pytest.approx([0.6858, 0.6820], abs=2e-4)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.02
    assert float(re.findall(r"two activations.* ([\d.]+), accuracy", text)[0]) < 0.05


def test_four_optimisers_from_one_start():
    text, _ = example("regression_optimisers")
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert list(lines) == ["SGD", "Adagrad", "RMSprop", "Adam"]
    for name, words in (
        ("SGD", "w = 2.519  b = 1.016  loss 0.0732, below 0.2 after 5 steps"),
        ("RMSprop", "w = 2.519  b = 1.016  loss 0.0732, below 0.2 after 7 steps"),
        ("Adam", "loss 0.0732, below 0.2 after 28 steps"),
        ("Adagrad", "loss 3.0399, never below 0.2"),
    ):
        assert words in lines[name]


def test_a_curve_needs_an_activation():
    _, numbers = example("curve")
    none, relu, tanh = numbers[:3], numbers[3:6], numbers[6:9]
    assert none == pytest.approx([0.4086, 0.46, 0.46], abs=0.01)  # a straight line
    assert relu[0] < 0.01 and tanh[0] < 0.01
    assert relu[1] < -1 < 1 < relu[2]


def test_linear_regression_finds_the_numbers_again():
    _, numbers = example("linear_regression")
    assert numbers[:3] == pytest.approx([0.000220, 0.000095, 0.000096], abs=3e-6)
    assert numbers[3:6] == pytest.approx([2.0, -3.4, 4.2], abs=5e-3)


def fashion(root):
    """Made-up clothes in Fashion-MNIST's files: each kind has a bright row of its own."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 600), ("t10k", 200)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 90, (count, 28, 28)).astype(np.uint8)
        images[np.arange(count), 2 * labels + 4] += 120
        shape = b"".join(n.to_bytes(4, "big") for n in images.shape)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + shape + images.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes()
        )


def test_softmax_regression(tmp_path):
    fashion(tmp_path)
    text, numbers = example("softmax_regression", "--root", str(tmp_path), "--epochs", "8")
    assert numbers[0] > 2 and numbers[-1] > 0.9, text


def test_word_vectors_find_the_kinds():
    text, numbers = example("word_vectors")
    assert "nearest of the same kind: 12 of 12" in text
    assert numbers[2] < 1.95


def test_an_autoencoder_takes_noise_away():
    _, numbers = example("autoencoder", "--epochs", "20")
    before, mean_picture, after, noise, left = numbers[:5]
    assert after < 0.5 * mean_picture < before and left < 0.8 * noise


def test_translation():
    text, numbers = example("translation", "--epochs", "15")
    assert numbers[-1] < 0.15
    assert int(re.findall(r"right: (\d+) of 100", text)[0]) > 75


def test_a_gan_learns_the_ring():
    text, numbers = example("gan", "--steps", "300")
    assert text.splitlines()[-1].endswith("16/16 sectors")
    assert numbers[-2] == pytest.approx(2.0, abs=0.4)


def test_a_policy_finds_the_door():
    _, numbers = example("policy_gradient", "--episodes", "100")
    assert numbers[0] > 8 and numbers[4] < 6.5
    assert min(numbers[5:]) > 0.9


def test_plots(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("curve", "classifier"):
        example(name, "--plot", cwd=tmp_path)
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_digits():
    text, numbers = example("digits_cnn", "--epochs", "4", "--images", "900")
    assert text.startswith("3730 weights")
    assert numbers[:4] == sorted(numbers[:4], reverse=True) and numbers[-1] > 0.9


def test_style_transfer():
    _, numbers = example("style_transfer", "--steps", "20", "--size", "24")
    contents, styles = numbers[::2], numbers[1::2]
    assert contents[0] == 0 < contents[-1] < 0.01
    assert styles[-1] < 0.5 * styles[0]
