"""The real programs of `test_programs`: where they are, what they are given, what they need.

Data is small and real where it matters (MNIST's images), made from a seed where it does not.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np

Maker = Callable[[Path, Path], None]  # what is there (the data folder), what is made


@dataclasses.dataclass(frozen=True)
class Program:
    """A program: its repository and path, what runs before it, its arguments and small edits.

    `data`: what is laid beside it, by path from the program's own folder.  `beside`: other folders
    of the repository that it reads, from the program's own.
    """

    id: str
    repository: str
    path: str
    arguments: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    edits: tuple[tuple[str, str], ...] = ()
    data: tuple[tuple[str, Maker], ...] = ()


def mnist(source: Path, target: Path, images: int = 4000) -> None:
    """`target/MNIST/raw`: real images, unpacked, the first ones to train and others to test."""
    raw = target / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for kind, header, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
        packed = source / "mnist-10k" / f"t10k-{kind}-ubyte.gz"
        whole = gzip.decompress(packed.read_bytes())
        for split, start, count in (("train", 0, images), ("t10k", images, images // 4)):
            head = whole[:4] + count.to_bytes(4, "big") + whole[8:header]
            part = whole[header + start * size : header + (start + count) * size]
            (raw / f"{split}-{kind}-ubyte").write_bytes(head + part)


def fashion(source: Path, target: Path) -> None:
    """`target/FashionMNIST/raw`: 900 real images, unpacked."""
    raw = target / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for packed in (source / "fashion-mnist-900").glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))


def shakespeare(source: Path, target: Path) -> None:
    """The text, as `input.txt`."""
    target.write_bytes((source / "text" / "tinyshakespeare.txt").read_bytes())


def cora(source: Path, target: Path) -> None:
    """A graph of Cora's shape made at random: 1,600 papers of seven subjects, 60 words."""
    rng = np.random.default_rng(0)
    papers = rng.permutation(5000)[:1600]
    subjects = rng.integers(0, 7, 1600)
    words = rng.random((1600, 60)) < 0.05 + 0.3 * (np.arange(60)[None] % 7 == subjects[:, None])
    target.mkdir(parents=True, exist_ok=True)
    rows = [
        "\t".join([str(p), *map(str, w.astype(int)), f"subject{s}"])
        for p, w, s in zip(papers, words, subjects, strict=True)
    ]
    (target / "cora.content").write_text("\n".join(rows) + "\n")
    ends = papers[rng.integers(0, 1600, (4000, 2))]
    (target / "cora.cites").write_text("".join(f"{a}\t{b}\n" for a, b in ends))


def picture(seed: int) -> Maker:
    """A picture of coloured waves."""

    def paint(source: Path, target: Path) -> None:
        from PIL import Image

        y, x = np.mgrid[0:96, 0:96] / 96
        waves = np.stack([np.sin((3 + seed + c) * (x * (c + 1) + y * seed)) for c in range(3)], 2)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((127.5 * (waves + 1)).astype(np.uint8)).save(target)

    return paint


_UNSAFE = "weights_only=False)"

PROGRAMS = [
    Program(
        "lin_yunjey", "yunjey/pytorch-tutorial", "tutorials/01-basics/linear_regression/main.py"
    ),
    Program("aut_jc_tensor", "jcjohnson/pytorch-examples", "tensor/two_layer_net_tensor.py"),
    Program("aut_zergtant", "zergtant/pytorch-handbook", "chapter1/2_autograd_tutorial.ipynb"),
    Program("fn_jc", "jcjohnson/pytorch-examples", "autograd/two_layer_net_custom_function.py"),
    Program(
        "mlp_yunjey",
        "yunjey/pytorch-tutorial",
        "tutorials/01-basics/feedforward_neural_network/main.py",
        data=(("../../data", mnist),),
    ),
    Program(
        "gr_gcn",
        "tkipf/pygcn",
        "pygcn/train.py",
        ("--epochs", "20", "--no-cuda"),
        data=(("../data/cora", cora),),
    ),
    Program(
        "cnn_mnist",
        "pytorch/examples",
        "mnist/main.py",
        ("--epochs", "2", "--no-accel"),
        data=(("../data", mnist),),
    ),
    Program(
        "cnn_lecun",
        "karpathy/lecun1989-repro",
        "repro.py",
        first=("prepro.py",),
        edits=(
            ("range(23)", "range(2)"),
            ("7291 if split == 'train' else 2007", "1400 if split == 'train' else 280"),
            # the order of a set of words is another in every process
            ("for split in {'train', 'test'}", "for split in ('train', 'test')"),
        ),
        data=(("data", mnist),),
    ),
    Program(
        "rnn_yunjey",
        "yunjey/pytorch-tutorial",
        "tutorials/02-intermediate/recurrent_neural_network/main.py",
        data=(("../../data", mnist),),
    ),
    Program(
        "rnn_sine",
        "pytorch/examples",
        "time_sequence_prediction/train.py",
        ("--steps", "1"),
        first=("generate_sine_wave.py",),
        edits=(
            ("L = 1000", "L = 200"),
            ("future = 1000", "future = 100"),
            ("torch.load('traindata.pt')", "torch.load('traindata.pt', " + _UNSAFE),
        ),
    ),
    Program(
        "tr_nanogpt",
        "karpathy/nanoGPT",
        "train.py",
        (
            "config/train_shakespeare_char.py",
            *("--device=cpu", "--compile=False", "--eval_iters=2", "--log_interval=1"),
            *("--block_size=32", "--batch_size=8", "--n_layer=2", "--n_head=2", "--n_embd=64"),
            *("--max_iters=20", "--lr_decay_iters=20", "--dropout=0.0", "--dtype=float32"),
        ),
        first=("data/shakespeare_char/prepare.py",),
        data=(("data/shakespeare_char/input.txt", shakespeare),),
    ),
    Program("tr_graykode", "graykode/nlp-tutorial", "5-1.Transformer/Transformer.py"),
    Program("w2v_skip", "graykode/nlp-tutorial", "1-2.Word2Vec/Word2Vec-Skipgram(Softmax).py"),
    Program(
        "vae_ex",
        "pytorch/examples",
        "vae/main.py",
        ("--epochs", "2", "--no-accel"),
        data=(("../data", mnist),),
    ),
    Program(
        "gan_dcgan",
        "eriklindernoren/PyTorch-GAN",
        "implementations/dcgan/dcgan.py",
        ("--n_epochs", "1", "--n_cpu", "0", "--img_size", "16", "--batch_size", "128"),
        data=(("../../data/mnist", mnist),),
    ),
    Program("s2s_gk", "graykode/nlp-tutorial", "4-1.Seq2Seq/Seq2Seq.py"),
    Program(
        "rl_ppo",
        "seungeunrho/minimalRL",
        "ppo.py",
        edits=(("import gym\n", "import gymnasium as gym\n"), ("range(10000)", "range(40)")),
    ),
    Program(
        "style_yunjey",
        "yunjey/pytorch-tutorial",
        "tutorials/03-advanced/neural_style_transfer/main.py",
        ("--max_size", "64", "--total_step", "3", "--log_step", "1", "--sample_step", "3"),
        edits=(("pretrained=True", "pretrained=False"), ("Image.ANTIALIAS", "Image.LANCZOS")),
        data=(("png/content.png", picture(1)), ("png/style.png", picture(2))),
    ),
    Program(
        "opt_advlr",
        "ritchieng/deep-learning-wizard",
        "docs/deep_learning/boosting_models_pytorch/(inc)_adv_lr_optimization.ipynb",
        data=(("data", mnist),),
    ),
    Program(
        "ds_loeber9",
        "patrickloeber/pytorchTutorial",
        "09_dataloader.py",
        data=(("data", mnist),),
    ),
    Program(
        "sl_morvan",
        "MorvanZhou/PyTorch-Tutorial",
        "tutorial-contents/304_save_reload.py",
        edits=(("torch.load('net.pkl')", "torch.load('net.pkl', " + _UNSAFE),),
    ),
    Program(
        "hk_nnft", "PyTorchKorea/tutorials-kr", "beginner_source/former_torchies/nnft_tutorial.py"
    ),
    Program(
        "di_flows",
        "karpathy/pytorch-normalizing-flows",
        "nflib1.ipynb",
        edits=(("range(1000)", "range(60)"),),
    ),
    Program(
        "init_morvan",
        "MorvanZhou/PyTorch-Tutorial",
        "tutorial-contents/504_batch_normalization.py",
    ),
]
