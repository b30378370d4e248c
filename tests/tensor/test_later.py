"""Families that load when first used: the table of their names is what their files enter."""

import subprocess
import sys

import pytest

import rushlight as torch

FAMILIES = sys.modules["rushlight.tensor.later"].FAMILIES

SCRIPT = """
import sys
import rushlight
from rushlight.engine import Tensor
later = sys.modules["rushlight.tensor.later"]
functions = sys.modules["rushlight.tensor.install"].FUNCTIONS
marks = {n for n, f in vars(Tensor).items() if isinstance(f, later.Mark)}
known, methods = set(functions), set(vars(Tensor))
for family, (own, attached) in later.FAMILIES.items():
    assert f"rushlight.tensor.{family}" not in sys.modules, f"{family} is loaded at the start"
assert marks == {n for _, (_, names) in later.FAMILIES.items() for n in names.split()}, marks
assert marks <= methods
for family in later.FAMILIES:
    later.load(family)
left = {n for n, f in vars(Tensor).items() if isinstance(f, later.Mark)}
assert not left, f"marks without a method: {left}"
named = set(later.LATER)
assert set(functions) - known == named, (set(functions) - known) ^ named
assert set(vars(Tensor)) == methods, f"methods without a mark: {set(vars(Tensor)) - methods}"
"""


def run(text: str) -> None:
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_table_is_what_the_files_enter() -> None:
    run(SCRIPT)


def test_the_last_names_of_all_load_too() -> None:
    asked = [names for family in reversed(FAMILIES) for names in map(str.split, FAMILIES[family])]
    text = "import rushlight as torch\n"
    text += "".join(
        f"assert getattr(torch, {n[-1]!r}, None) or getattr(torch.Tensor, {n[-1]!r})\n"
        for n in asked
        if n
    )
    run(text)


def test_a_method_is_found_through_a_tensor_and_through_the_class() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 2.0]])
    assert torch.equal(x.cov(), torch.Tensor.cov(x))
    assert torch.equal(x.cov(), torch.cov(x))


def test_names_are_known_before_they_load() -> None:
    assert {name for f, _ in FAMILIES.values() for name in f.split()} <= set(torch.__all__)
    assert {name for _, m in FAMILIES.values() for name in m.split()} <= set(dir(torch.Tensor))


def test_unknown_functions_are_key_errors() -> None:
    with pytest.raises(KeyError):
        sys.modules["rushlight.tensor.install"].FUNCTIONS["no_such_function"]
