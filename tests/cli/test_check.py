"""`rushlight check`: what it finds in programs, what it leaves alone, and how it says so."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rushlight
from rushlight.cli import check, notebook
from rushlight.cli.check import known

ROOT = Path(rushlight.__file__).resolve().parents[1]


def found(folder: Path, text: str) -> list[tuple[int, str, str]]:
    """(line, name, kind) of the findings that count; optional and unsure ones have a mark."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text).lstrip("\n"))
    report = check.check([str(path)])
    assert not report.unreadable
    return [
        (line.finding.line, line.finding.name, line.finding.kind + "?" * line.finding.optional)
        for line in report.lines
    ]


def test_imports_aliases_and_chains(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        """
        import torch
        import torch as th, os
        import torch.nn.functional as F
        from torch import nn, lost
        from torch.nn import Linear, Lost as L
        from torch.lost.deep import thing
        import torch.nn.lost
        th.lost_function(1)
        F.relu, F.lost
        nn.functional.lost2
        x = torch.nn.init.lost_(Linear(1, 2).weight)
        short = torch.nn.functional
        short.lost3()
        os.lost
        """,
    ) == [
        (4, "torch.lost", "name"),
        (5, "torch.nn.Lost", "name"),
        (6, "torch.lost", "name"),
        (7, "torch.nn.lost", "module"),
        (8, "torch.lost_function", "name"),
        (9, "torch.nn.functional.lost", "name"),
        (10, "torch.nn.functional.lost2", "name"),
        (11, "torch.nn.init.lost_", "name"),
        (13, "torch.nn.functional.lost3", "name"),
    ]


def test_names_that_mean_something_else(tmp_path: Path) -> None:
    assert not found(
        tmp_path,
        """
        import torch
        from torch import nn

        def f(torch, x):
            return torch.nothing + x.lost

        def g():
            nn = object()
            return nn.nothing

        class A(nn.Module):
            def lost(self):
                return self.lost().lost2
        """,
    )


def test_the_shadow_ends_with_its_scope(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        """
        import torch
        def f(torch):
            return torch.nothing
        torch.nothing
        """,
    ) == [(4, "torch.nothing", "name")]


def test_an_imported_name_that_is_given_something_else(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        """
        from torch import optim
        optim.lost
        optim = optim.SGD([], lr=1)
        optim.lost2()
        """,
    ) == [(2, "torch.optim.lost", "name")]


def test_what_a_program_can_do_without(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        """
        import torch
        try:
            from torch.lost import f
        except ImportError:
            f = None
        if hasattr(torch, "lost2"):
            torch.lost2()
        getattr(torch, "lost3", None)
        getattr(torch, "lost4")
        try:
            torch.lost5()
        except ValueError:
            torch.lost6()
        """,
    ) == [
        (3, "torch.lost", "module?"),
        (7, "torch.lost2", "name?"),
        (8, "torch.lost3", "name?"),
        (9, "torch.lost4", "name"),
        (11, "torch.lost5", "name"),
        (13, "torch.lost6", "name"),
    ]


def test_methods_of_what_is_certainly_a_tensor(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        """
        import torch
        x = torch.randn(3)
        x.lost()
        (x + 1).exp().lost2
        y = x[0]
        y.lost3()
        z = x if y else []
        z.lost4()
        w = x.tolist()
        w.lost5()
        def f(a: torch.Tensor, b):
            a.lost6(), b.lost7()
        x.mine = 1
        print(x.mine)
        """,
    ) == [
        (3, "torch.Tensor.lost", "method"),
        (4, "torch.Tensor.lost2", "method"),
        (6, "torch.Tensor.lost3", "method"),
        (12, "torch.Tensor.lost6", "method"),
    ]


def test_methods_that_only_tensors_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def f(a, np):\n    return a.addmm_(1), a.append(2), np.addmm_\n"
    assert not found(tmp_path, text)
    had = known.has_attribute
    monkeypatch.setattr(known, "has_attribute", lambda name: name != "addmm_" and had(name))
    assert found(tmp_path, text) == [(2, "torch.Tensor.addmm_", "perhaps")]
    assert check.check([str(tmp_path)]).status == 0


def test_keywords(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        """
        import torch
        from torch import nn
        nn.Linear(in_features=1, out_features=2, bias=False, colour="red")
        torch.optim.SGD([], lr=0.1, speed=3)
        torch.tensor(2, lost=1)
        nn.Linear(1, 2, **{})
        """,
    ) == [
        (3, "torch.nn.Linear(colour=)", "keyword"),
        (4, "torch.optim.SGD(speed=)", "keyword"),
        (5, "torch.tensor(lost=)", "keyword"),
    ]


def test_other_packages_of_the_family(tmp_path: Path) -> None:
    assert found(tmp_path, "from torchtext.data import Field\nimport torchaudio, numpy\n") == [
        (1, "torchtext", "name"),
        (2, "torchaudio", "module"),
    ]


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["import torch.nowhere"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch\n", "!ls\n"]},
        {"cell_type": "code", "source": ["%%bash\n", "rm nothing\n"]},
        {
            "cell_type": "code",
            "source": "for i in range(1):\n    !ls\nfiles = !ls\n%time x = torch.ones(2)\nx.lost\n",
        },
    ]
}


def test_notebooks(tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps(NOTEBOOK))
    cells = notebook.read(path)
    assert [cell.number for cell in cells] == [2, 3, 4]
    assert cells[0].source == "\nimport torch\n\n"
    assert cells[0].dropped == ("%matplotlib inline", "!ls")
    assert not cells[1].source.strip() and cells[1].dropped == ("%%bash",)
    assert cells[2].source.splitlines()[1:4] == ["    pass", "files = None", "x = torch.ones(2)"]
    report = check.check([str(path)])
    assert [(line.cell, line.finding.line, line.finding.name) for line in report.lines] == [
        (4, 5, "torch.Tensor.lost")
    ]
    path.write_text('{"no": "cells"}')
    with pytest.raises(ValueError, match="is not a notebook"):
        notebook.read(path)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rushlight", "check", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "a.py").write_text("import torch\n\ntorch.randon(3)\n")
    (tmp_path / "pack" / "b.py").write_text("import torch\nraise SystemExit('was run')\n")
    (tmp_path / "pack" / ".hidden").mkdir()
    (tmp_path / "pack" / ".hidden" / "c.py").write_text("import torch.nowhere")
    done = command("pack", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    first, last = done.stdout.splitlines()
    place = os.path.join("pack", "a.py") + ":3: "
    assert first.startswith(place + "torch.randon is not in Rushlight yet (nearest: torch.rand")
    assert last == "2 files read, 2 names of PyTorch's used, 1 lacking: torch.randon"
    done = command("--json", "pack", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.returncode, data["files"], data["missing"][0]["line"]) == (1, 2, 3)
    done = command("pack/b.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 file read, 1 name of PyTorch's used: nothing is lacking\n"
    (tmp_path / "bad.py").write_text("def f(:\n")
    done = command("bad.py", "absent.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad.py: invalid syntax" in done.stderr and "can't open 'absent.py'" in done.stderr


def test_what_is_known() -> None:
    assert known.look_up("torch.nn.Linear").value is rushlight.nn.Linear
    assert known.look_up("torch.nn.Linear.lost").missing == "torch.nn.Linear.lost"
    assert known.look_up("torch.backends.cudnn.benchmark").missing is None
    assert known.look_up("torch.version.cuda").missing is None
    assert known.look_up("torch.backends.cudnn.lost").missing == "torch.backends.cudnn.lost"
    assert known.keywords(rushlight.nn.Linear) >= {"in_features", "bias"}
    assert known.keywords(print) is None or "sep" in known.keywords(print)
    assert known.gives_tensor(rushlight.randn) and not known.gives_tensor(rushlight.manual_seed)
