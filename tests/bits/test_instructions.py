"""The instructions chosen for machines that are not here: full width, and nothing contracted."""

from __future__ import annotations

import re
from functools import cache

import pytest

from rushlight.base.target import Isa, elsewhere
from rushlight.codegen.text import MODULE
from rushlight.runtime.jit import assembly
from tests.bits.cases import FULL, GROUPS, group
from tests.bits.texts import text_for

REGISTER: dict[str, str] = {"avx512": r"%zmm\d", "avx2": r"%ymm\d", "neon": r"\bv\d+\.(4s|2d)\b"}
FMA: dict[str, str] = {
    "avx512": r"^\s+vfn?m(add|sub)", "avx2": r"^\s+vfn?m(add|sub)",
    "neon": r"^\s+(fn?m(add|sub)|fml[as])\b",
}  # fmt: skip
LEVELS: list[tuple[Isa, str]] = [("avx512", "x86_64"), ("avx2", "x86_64"), ("neon", "aarch64")]


@cache
def code(name: str, isa: Isa, machine: str) -> list[tuple[str, str]]:
    """The own text and assembly of each case of a group."""
    target = elsewhere(isa, machine)
    out = []
    for case in group(name):
        _, made = text_for(case.program, target)
        own = made.text.split(MODULE)[-1]
        out.append((own, assembly(own, name_hint=case.name, target=target)))
    return out


@pytest.mark.parametrize(("isa", "machine"), LEVELS if FULL else LEVELS[::2])
@pytest.mark.parametrize("name", GROUPS)
def test_instructions(name: str, isa: Isa, machine: str) -> None:
    wide = 0
    for text, made in code(name, isa, machine):
        wide += len(re.findall(REGISTER[isa], made))
        fused = len(re.findall(FMA[isa], made, re.MULTILINE))
        if "llvm.fma" not in text:
            assert not fused, "a product and a sum were contracted"
        assert not re.search(r"\b(fast|contract|reassoc|nnan|ninf|nsz|arcp|afn)\b", text)
        # an approximate reciprocal or root would not be rounded once
        assert not re.search(r"^\s+v?(rcp|rsqrt)|^\s+fr(ecp|sqrt)[esx]", made, re.MULTILINE)
    assert wide, "no vector of the full width"


@pytest.mark.parametrize(("isa", "machine"), LEVELS)
def test_the_pattern_sees_a_fused_instruction(isa: Isa, machine: str) -> None:
    text = """
declare <4 x float> @llvm.fma.v4f32(<4 x float>, <4 x float>, <4 x float>)
define void @f(ptr %x) {
  %a = load <4 x float>, ptr %x, align 4
  %s = call <4 x float> @llvm.fma.v4f32(<4 x float> %a, <4 x float> %a, <4 x float> %a)
  %p = fmul <4 x float> %s, %s
  %q = fadd <4 x float> %p, %a
  store <4 x float> %q, ptr %x, align 4
  ret void
}
"""
    made = assembly(text, target=elsewhere(isa, machine))
    assert len(re.findall(FMA[isa], made, re.MULTILINE)) == 1
