"""Plans of another machine, linked into a small program and run by an emulator.

Needs a C compiler for that machine and QEMU's user mode (Debian: `qemu-user`,
`gcc-aarch64-linux-gnu`, `libc6-dev-arm64-cross`).
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rushlight.base.target import Target
from rushlight.codegen.text import MODULE
from rushlight.compiler import LoopProgram
from rushlight.runtime import pool
from rushlight.runtime.jit import object_code
from tests.bits.cases import Case
from tests.bits.texts import shaped, sizes, text_for
from tests.compiler.conftest import fresh

THREADS = 3


@dataclass(frozen=True)
class Machine:
    """How code for a processor is linked and run here."""

    name: str
    compiler: str
    emulator: tuple[str, ...]

    @property
    def missing(self) -> str:
        """What this computer lacks to link and run it; empty when nothing."""
        needs = [self.compiler, *self.emulator[:1]]
        return ", ".join(n for n in needs if shutil.which(n) is None)


AARCH64 = Machine("aarch64", "aarch64-linux-gnu-gcc", ("qemu-aarch64",))
X86_64 = Machine("x86_64", "gcc", ("qemu-x86_64", "-cpu", "max"))


class Program:
    """The plans of some cases in one executable."""

    def __init__(
        self, cases: Sequence[Case], target: Target, machine: Machine, folder: Path
    ) -> None:
        self.cases, self.machine = cases, machine
        self.workers = 0  # threads that were there at the end of the last run
        self.loops: list[LoopProgram] = []
        self.work: list[int] = []
        modules: dict[str, str] = {pool.text_for(machine.name, "linux"): "pool"}
        for i, case in enumerate(cases):
            loops, code = text_for(case.program, target)
            *before, own = code.text.split(MODULE)
            modules.update((m, "module") for m in before if m not in modules)
            own = re.sub(r"^define void", "define internal void", own, flags=re.MULTILINE)
            modules[re.sub(r"@plan\b", f"@plan_{i}", own)] = f"plan_{i}"
            self.loops.append(loops)
            self.work.append(code.workspace)
        objects = []
        for n, (text, name) in enumerate(modules.items()):
            path = folder / f"{n}.o"
            path.write_bytes(object_code(text, name_hint=name, target=target))
            objects.append(str(path))
        self.path = folder / "cases"
        table = folder / "plans.c"
        names = [f"plan_{i}" for i in range(len(cases))]
        table.write_text(
            "#include <stdint.h>\n"
            + "".join(f"extern int64_t {n}(void *);\n" for n in names)
            + f"int64_t (*const plans[])(void *) = {{{', '.join(names)}}};\n"
        )
        words = {
            "WORDS": pool._WORDS, "STATE": pool._STATE, "START": pool._START, "SPIN": pool._SPIN,
            "ALIVE": pool._ALIVE,
        }  # fmt: skip
        defined = [f"-DPOOL_{k}={v}" for k, v in words.items()]
        command = [machine.compiler, "-O1", "-static", "-pthread", f"-DTHREADS={THREADS}"]
        harness = str(Path(__file__).with_name("harness.c"))
        links = ["-o", str(self.path), harness, str(table), *objects, "-lm"]
        subprocess.run([*command, *defined, *links], check=True, capture_output=True, text=True)

    def run(self, timeout: float = 300.0) -> list[list[np.ndarray]]:
        """What each case gives under the emulator."""
        given = b"".join(self.packed(i) for i in range(len(self.cases)))
        command = [*self.machine.emulator, str(self.path)]
        done = subprocess.run(
            command, input=given, check=False, capture_output=True, timeout=timeout
        )
        if done.returncode:
            words = done.stderr.decode(errors="replace")
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {words[-500:]}")
        self.workers = int(done.stderr.split()[-1])
        out, at = [], 0
        for case, loops in zip(self.cases, self.loops):
            assert done.stdout[at : at + 8] == bytes(8), f"{case.name}: refused its values"
            at += 8
            flat = []
            for size, o in zip(sizes(loops), loops.outputs):
                x = fresh(size)
                x[:] = np.frombuffer(done.stdout, np.uint8, size, at)
                flat.append(x.view(o.dtype.numpy))
                at += size
            out.append(shaped(loops, flat))
        assert at == len(done.stdout)
        return out

    def packed(self, i: int) -> bytes:
        """One case as the program reads it."""
        case, outs = self.cases[i], sizes(self.loops[i])
        head = (i, len(case.leaves), len(case.numbers), len(outs), self.work[i])
        kinds = case.program.numbers
        return b"".join([
            struct.pack("<5q", *head),
            *[struct.pack("<q", x.nbytes) for x in case.leaves],
            *[struct.pack(f"<{k}", n) for k, n in zip(kinds, case.numbers, strict=True)],
            struct.pack(f"<{len(outs)}q", *outs),
            *[x.tobytes() for x in case.leaves],
        ])  # fmt: skip
