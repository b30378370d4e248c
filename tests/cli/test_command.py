"""The commands that are not `run`."""

from pathlib import Path

import pytest

from rushlight.cli import command, info, main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rushlight {command.package_version()}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ("run", "check", "info", "demo", "--version"))
    assert main(["run", "--help"]) == 0
    assert "usage: rushlight run [--cuda=cpu]" in capsys.readouterr().out


def test_info(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path / "kernels"))
    assert main(["info"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == [name for name, _ in info.report("1.0")]
    assert lines["cache"].startswith(f"{tmp_path / 'kernels'}, 0 kernels")
    assert "numpy" in lines["libraries"]
    monkeypatch.setenv("RUSHLIGHT_CACHE", "0")
    assert dict(info.report("1.0"))["cache"] == "off"


def test_demo_wants_a_positive_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--epochs", "0"])
    assert stop.value.code == 2
    assert "not positive" in capsys.readouterr().err
