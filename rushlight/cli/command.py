"""The commands: run, check, info, demo."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from rushlight.cli import info, run

_DESCRIPTION: Final = "PyTorch's API, recorded and run as native code."
_RUN: Final = """\
usage: rushlight run [--cuda=cpu] [--plots=folder] script.py [argument ...]
       rushlight run [...] notebook.ipynb [argument ...]
       rushlight run [...] -m module [argument ...]
       rushlight run [...] -c code [argument ...]

Run an unmodified PyTorch program: Rushlight answers to `torch` and `torchvision`.
A folder or zip archive with a __main__.py may be run too; "-" reads standard input.

  --cuda=cpu      run on the CPU what asks for cuda
  --plots=folder  save there the figures that the program shows
"""


def package_version() -> str:
    """The installed package's version; "unknown" in a source tree that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("rushlight")
    except PackageNotFoundError:
        return "unknown"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.  `argv` without the program's name, else `sys.argv`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:  # all that follows the script is the script's own
        return _run(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.version:
        print(f"rushlight {package_version()}")
        return 0
    if options.command is None:
        parser.error("a command is needed: run, check, info or demo")
    if options.command == "info":
        return info.show(package_version())
    if options.command == "check":
        # By name: it loads all that programs may ask for.
        checked: int = importlib.import_module("rushlight.cli.check").main(
            options.paths, options.json
        )
        return checked
    # By name: the demo loads all of the package, and `run` and `info` should not wait for that.
    status: int = importlib.import_module("rushlight.lab.demo").main(options.epochs)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rushlight", description=_DESCRIPTION)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="run an unmodified PyTorch program", add_help=False)
    looked = commands.add_parser("check", help="list what a program needs and Rushlight lacks")
    looked.add_argument("paths", nargs="+", help="programs, notebooks or folders of them")
    looked.add_argument("--json", action="store_true", help="print the findings as JSON")
    commands.add_parser("info", help="say what this machine and installation offer")
    shown = commands.add_parser("demo", help="train a small network on the digits that come along")
    shown.add_argument("--epochs", type=_positive, default=20, help="passes over the data (20)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def _run(arguments: list[str]) -> int:
    while arguments and arguments[0].startswith(("--cuda", "--plots")):
        option, _, value = arguments[0].partition("=")
        if option == "--cuda" and value == "cpu":
            run.map_cuda()
        elif option == "--plots" and value:
            run.save_plots(value)
        else:
            return _usage(f"unknown option {arguments[0]}; there are --cuda=cpu and --plots=folder")
        arguments = arguments[1:]
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        print(_RUN, end="")
        return 0
    if first == "--":
        arguments = arguments[1:]
        first = ""
    for flag, runner in (("-m", run.run_module), ("-c", run.run_code)):
        if first.startswith(flag):
            given = [first[2:], *arguments[1:]] if first != flag else arguments[1:]
            if not given:
                return _usage(f"argument expected for {flag}")
            return runner(given[0], given[1:])
    if not arguments:
        return _usage("no program given")
    if first.startswith("-") and first != "-":
        return _usage(f"unknown option {first}; options of the program follow its name")
    return run.run_script(arguments[0], arguments[1:])


def _usage(complaint: str) -> int:
    print(f"{_RUN}\nrushlight run: {complaint}", file=sys.stderr)
    return 2
