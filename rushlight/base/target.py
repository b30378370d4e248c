"""Facts about the machine that code is generated for, as data.

Owns `Target` and its detection. Nothing here may change a result's bits: a target decides how
wide vectors are and which instructions may be used, never what is computed.
"""

import os
import platform
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Literal, NamedTuple, get_args

Isa = Literal["avx512", "avx2", "sse2", "neon", "scalar"]

_VECTOR_BITS: dict[Isa, int] = {"avx512": 512, "avx2": 256, "sse2": 128, "neon": 128, "scalar": 0}

_AVX2 = ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "xsave")
_AVX512 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

# LLVM's processor and features for each level. Named explicitly: its guess for a processor newer
# than itself can be an older one with other instructions and preferences. The x86-64-v* levels
# prefer 256-bit vectors, which would halve every 512-bit one.
_CODE: dict[Isa, tuple[str, str, str]] = {
    "avx512": ("x86-64-v4", "-prefer-256-bit", "sapphirerapids"),
    "avx2": ("x86-64-v3", "", "x86-64-v3"),
    "sse2": ("x86-64", "", "x86-64"),
    "neon": ("generic", "+neon", "generic"),
    "scalar": ("", "", ""),  # the machine's baseline, filled in by `host`
}


class Target(NamedTuple):
    """What generated code may use, and the machine's sizes.

    Attributes:
        isa: the instruction level.
        triple, cpu, features: LLVM's names for it. `tune` is the processor to schedule for.
        vector_bits: bits of a vector register; 0 at the scalar level.
        l1, l2: data cache bytes of one core.
        cores: physical cores that this process may use.
    """

    isa: Isa
    triple: str
    cpu: str
    features: str
    tune: str
    vector_bits: int
    l1: int
    l2: int
    cores: int

    @property
    def code_key(self) -> str:
        """What compiled code depends on: equal keys may share object code."""
        return f"{self.triple}|{self.cpu}|{self.features}|{self.tune}"

    @property
    def registers(self) -> int:
        """Vector registers."""
        return 32 if self.isa in ("avx512", "neon") else 16

    @property
    def has_fma(self) -> bool:
        """Whether `llvm.fma` is one instruction (otherwise it is a call, with the same bits)."""
        return self.isa in ("avx512", "avx2", "neon") or self.triple.startswith("aarch64")

    def lanes(self, item_bytes: int) -> int:
        """Elements of `item_bytes` in one vector register; 1 at the scalar level."""
        return max(1, self.vector_bits // (8 * item_bytes))


@cache
def host() -> Target:
    """This machine's target; `RUSHLIGHT_ISA` lowers the level.

    Raises:
        ValueError: `RUSHLIGHT_ISA` names no level.
    """
    best = _best_isa()
    isa = _requested_isa(best, os.environ.get("RUSHLIGHT_ISA", ""))
    return at_level(isa)


def at_level(isa: Isa) -> Target:
    """This machine's target at `isa`, which must be one of `levels()`."""
    if isa not in levels():
        raise ValueError(f"this machine does not offer {isa!r}; it offers {', '.join(levels())}")
    cpu, features, tune = _CODE[isa]
    if isa == "scalar":
        cpu, features, tune = _CODE["neon" if _machine() == "aarch64" else "sse2"]
        if _machine() not in ("x86_64", "aarch64"):
            cpu, features, tune = "", "", ""
    l1, l2 = _cache_sizes()
    return Target(isa, _triple(), cpu, features, tune, _VECTOR_BITS[isa], l1, l2, physical_cores())


def elsewhere(isa: Isa, machine: str = "") -> Target:
    """A target of another machine, to look at its code or to run it under an emulator.

    `machine`: `"x86_64"` or `"aarch64"`; where absent, the one that has the level. Sizes are common
    ones: they change no bit.
    """
    machine = machine or ("aarch64" if isa == "neon" else "x86_64")
    cpu, features, tune = _CODE[isa]
    if isa == "scalar":
        cpu, features, tune = _CODE["neon" if machine == "aarch64" else "sse2"]
    triple = f"{machine}-unknown-linux-gnu"
    return Target(isa, triple, cpu, features, tune, _VECTOR_BITS[isa], 32 << 10, 512 << 10, 4)


@cache
def levels() -> tuple[Isa, ...]:
    """The levels that this machine offers, best first; the last is always `scalar`."""
    best = _best_isa()
    if best in ("neon", "scalar"):
        return ("neon", "scalar") if best == "neon" else ("scalar",)
    order: tuple[Isa, ...] = ("avx512", "avx2", "sse2", "scalar")
    return order[order.index(best) :]


def _requested_isa(best: Isa, wanted: str) -> Isa:
    wanted = wanted.strip().lower()
    if not wanted:
        return best
    if wanted not in get_args(Isa):
        raise ValueError(
            f"RUSHLIGHT_ISA={wanted!r} is not a level; choose one of {', '.join(get_args(Isa))}"
        )
    for isa in levels():
        if isa == wanted:
            return isa
    return best  # a level that the machine lacks: the best it has


def _machine() -> str:
    name = platform.machine().lower()
    return {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}.get(name, name)


def _triple() -> str:
    machine = _machine()
    if sys.platform == "darwin":
        return f"{'arm64' if machine == 'aarch64' else machine}-apple-darwin"
    if sys.platform == "win32":
        return f"{machine}-pc-windows-msvc"
    return f"{machine}-unknown-linux-gnu"


@cache
def _best_isa() -> Isa:
    machine = _machine()
    if machine == "aarch64":
        return "neon"
    if machine != "x86_64" or sys.maxsize < 2**32:
        return "scalar"
    flags = _x86_flags()
    if not flags.issuperset(_AVX2):
        return "sse2"
    return "avx512" if flags.issuperset(_AVX512) else "avx2"


def _x86_flags() -> frozenset[str]:
    """Instruction sets of the processor that the operating system enables, in LLVM's spelling."""
    if sys.platform == "linux":
        flags = _linux_flags()
        if flags:
            return flags
    # NumPy has asked the processor already and looks at what the system enables.
    try:
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return frozenset()
    names = {name.lower().replace("_", "") for name, present in found.items() if present}
    if {"avx2", "fma3"} <= names:  # every processor with both has the rest of the level
        names |= set(_AVX2)
    return frozenset(names)


def _linux_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            text = file.read(1 << 14)  # the first processor is enough; the file may be long
    except OSError:
        return frozenset()
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    for kernel, llvm in (("abm", "lzcnt"), ("bmi1", "bmi")):
        if kernel in flags:
            flags.add(llvm)
    return frozenset(flags)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _cache_sizes() -> tuple[int, int]:
    """Bytes of the first processor's level-1 data cache and level-2 cache, or common sizes."""
    found = {1: 32 << 10, 2: 512 << 10}
    base = "/sys/devices/system/cpu/cpu0/cache"
    for index in range(4):
        level, kind = _read(f"{base}/index{index}/level"), _read(f"{base}/index{index}/type")
        size = re.fullmatch(r"(\d+)([KM]?)", _read(f"{base}/index{index}/size"))
        if size and level in ("1", "2") and kind in ("Data", "Unified"):
            found[int(level)] = int(size[1]) << {"": 0, "K": 10, "M": 20}[size[2]]
    return found[1], found[2]


def usable_cpus() -> frozenset[int]:
    """The logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def physical_cores() -> int:
    """Physical cores among `usable_cpus`, at most what a container's quota allows; at least 1."""
    cpus = usable_cpus()
    if len(cpus) == 1:
        return 1
    return max(1, min(_distinct_cores(cpus), _quota()))


def _distinct_cores(cpus: Iterable[int]) -> int:
    cores = set()
    for cpu in cpus:
        siblings = _read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings or str(cpu))
    return len(cores)


def _quota() -> int:
    """Processors that the control group's time quota amounts to, rounded up."""
    words = _read("/sys/fs/cgroup/cpu.max").split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
        return max(1, -(-int(words[0]) // int(words[1])))
    return 1 << 16
