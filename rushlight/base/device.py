"""Devices: where a tensor's memory lives.  Part of every record, so that plans never mix them."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar, Final

from mypy_extensions import mypyc_attr

# What PyTorch knows by name, in the order its error lists them.
NAMES: Final = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
    "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip

# Devices with memory for tensors, and how many there are of each kind.
USABLE: Final[dict[str, int]] = {"cpu": 1}


@mypyc_attr(acyclic=True)  # tuples that hold it are none that the collector has to walk
class device:
    """A type and an optional index.

    ``device('cpu')``, ``device('cuda', 1)``, ``device('cuda:1')``.  In a ``with`` block new
    tensors go there.

    Raises:
        RuntimeError: for a text that names no device.
    """

    __slots__ = ("_hash", "index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        self._hash = 0
        if isinstance(type, device):
            self.type: str = type.type
            self.index: int | None = type.index if index is None else index
            return
        if isinstance(type, int):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(
                f"device(): argument 'type' must be str or torch.device, not {type.__class__!r}"
            )
        name, colon, number = type.partition(":")
        if not type:
            raise RuntimeError("Device string must not be empty")
        if colon and not number.isdigit():
            raise RuntimeError(f"Invalid device string: '{type}'")
        if name not in NAMES and name not in USABLE:
            raise RuntimeError(
                f"Expected one of {', '.join(NAMES)} device type at start of device string: {name}"
            )
        if number and index is not None:
            raise RuntimeError(
                "type (string) must not include an index because index was passed explicitly: "
                f"{type}"
            )
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (
            f", index={self.index})" if self.index is not None else ")"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        known = self._hash
        if known == 0:
            known = self._hash = hash((self.type, self.index))
        return known

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        OUTER.append(Chosen.device)
        Chosen.device = located(self)
        return self

    def __exit__(self, *what: Any) -> None:
        Chosen.device = OUTER.pop()


CPU: Final = device("cpu")
OUTER: Final[list[device]] = []  # what was chosen outside of the `with` blocks that are open


# `rushlight run --cuda=cpu` sets it to "cpu", for child processes; "told": the notice was given.
CUDA_VARIABLE: Final = "RUSHLIGHT_CUDA"


class Chosen:
    """Where new tensors go when nothing is said (`torch.set_default_device`); what `cuda` means."""

    device: ClassVar[device] = CPU
    cuda_is_cpu: ClassVar[bool] = os.environ.get(CUDA_VARIABLE) in ("cpu", "told")


def need_cuda() -> None:
    """PyTorch's `AssertionError` where CUDA is asked for, unless it is mapped to the CPU.

    The first time that the mapping takes effect, it is told.
    """
    if not Chosen.cuda_is_cpu:
        raise AssertionError(
            "Torch not compiled with CUDA enabled (`rushlight run --cuda=cpu` runs a program that "
            "asks for cuda on the CPU)"
        )
    if os.environ.get(CUDA_VARIABLE) != "told":
        os.environ[CUDA_VARIABLE] = "told"
        print("rushlight: cuda is the CPU in this run (--cuda=cpu)", file=sys.stderr)


def located(where: device) -> device:
    """A device that tensors can live on, with the index PyTorch gives it (none for the CPU).

    Raises:
        AssertionError: for CUDA; RuntimeError: for other devices without memory for tensors.
    """
    if where.type == "cpu":
        return CPU
    count = USABLE.get(where.type)
    if count is None:
        if where.type == "cuda":
            need_cuda()
            return CPU
        raise RuntimeError(
            f"device {str(where)!r} is not supported by this build; tensors live on 'cpu'"
        )
    if where.index is None:
        return device(where.type, 0)
    if where.index >= count:
        raise RuntimeError(
            f"{where}: invalid device ordinal; there {'is' if count == 1 else 'are'} {count} "
            f"of type {where.type!r}"
        )
    return where


def register(name: str, count: int = 1) -> None:
    """Make devices ``name:0 ... name:count-1`` known: their memory is ordinary memory, and nothing
    but copies connects them with other devices."""
    if name in NAMES:
        raise ValueError(f"device {name!r} is PyTorch's: choose another name")
    USABLE[name] = count


def unregister(name: str) -> None:
    """Forget a registered device; tensors that live there stay usable."""
    if name != "cpu":
        USABLE.pop(name, None)
