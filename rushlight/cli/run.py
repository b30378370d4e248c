"""`rushlight run`: an unmodified PyTorch program, with Rushlight under the names it imports.

What the program sees is what `python` shows: its `sys.argv`, `sys.path[0]`, `__main__`, tracebacks
that begin in its own file, and its exit status.  Child processes find the names too.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import linecache
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final

from rushlight.base import device
from rushlight.cli import alias, notebook

SHIM: Final = Path(__file__).with_name("shim")
_OWN: Final = frozenset({__file__, runpy.__file__, "<frozen runpy>"})

PLOTS: Final = "module://rushlight.cli.plots"
INTERRUPTED: Final = 130
_REMEMBERED: Final[list[str]] = []  # names under which `linecache` has programs of no file


def run_script(path: str, arguments: list[str]) -> int:
    """Run a file, a notebook, a folder or zip archive with a `__main__.py`, or "-" for stdin."""
    sys.argv[:] = [path, *arguments]
    if path == "-":
        _set_path("")
        return _guarded(lambda: _execute(sys.stdin.read(), "<stdin>", None))
    if os.path.isdir(path) or _is_archive(path):
        _set_path(None)
        return _guarded(lambda: runpy.run_path(path, run_name="__main__"))
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        print(f"rushlight run: can't open file {path!r}: {error.strerror}", file=sys.stderr)
        return 2
    _set_path(os.path.dirname(os.path.realpath(path)))
    if notebook.is_notebook(path):
        return _run_notebook(path)
    return _guarded(lambda: _execute(source, path, path))


def _run_notebook(path: str) -> int:
    """Run the code cells of a notebook, in order, as one program."""
    try:
        cells = notebook.read(path)
    except ValueError as error:
        print(f"rushlight run: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("MPLBACKEND", PLOTS)
    dropped = [(cell.number, line) for cell in cells for line in cell.dropped]
    if dropped:
        number, line = dropped[0]
        more = f" and {len(dropped) - 1} more" if len(dropped) > 1 else ""
        print(f"rushlight run: left out {line!r} of cell {number}{more}", file=sys.stderr)

    def program() -> None:
        main = _fresh_main(path)
        main.__dict__["display"] = print
        for cell in cells:
            name = f"{path}[cell {cell.number}]"
            _remember(name, cell.source)
            exec(compile(cell.source, name, "exec", dont_inherit=True), main.__dict__)

    return _guarded(program)


def map_cuda() -> None:
    """Let `cuda` mean the CPU in this process and its children."""
    os.environ[device.CUDA_VARIABLE] = "cpu"
    device.Chosen.cuda_is_cpu = True


def save_plots(folder: str) -> None:
    """Let `plt.show()` save figures into a folder, in this process and its children."""
    os.environ["RUSHLIGHT_PLOTS"] = os.path.abspath(folder)
    os.environ["MPLBACKEND"] = PLOTS


def _is_archive(path: str) -> bool:
    if path.endswith(".py"):
        return False
    import zipfile  # slow to import

    return zipfile.is_zipfile(path)


def run_module(name: str, arguments: list[str]) -> int:
    """Run a module as `python -m` does."""
    sys.argv[:] = ["-m", *arguments]  # runpy puts the module's file there
    _set_path(os.getcwd())
    return _guarded(lambda: runpy.run_module(name, run_name="__main__", alter_sys=True))


def run_code(code: str, arguments: list[str]) -> int:
    """Run a string as `python -c` does."""
    sys.argv[:] = ["-c", *arguments]
    _set_path("")
    _remember("<string>", code)
    return _guarded(lambda: _execute(code, "<string>", None))


def offer_names() -> None:
    """Put the folder of `torch` and `torchvision` on the path of this process and its children."""
    shim = str(SHIM)
    if shim not in sys.path:
        sys.path.insert(1, shim)
    inherited = os.environ.get("PYTHONPATH", "")
    if shim not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = shim + os.pathsep + inherited if inherited else shim


def _set_path(first: str | None) -> None:
    """Begin the module path with the program's folder; None: runpy will see to it."""
    command = sys.path[0] if sys.path else None
    if command is not None and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the folder of the `rushlight` command, or the current one
        if command not in sys.path and _holds_rushlight(command):
            sys.path.append(command)
    if first is not None:
        sys.path.insert(0, first)
    else:
        sys.path.insert(0, str(SHIM))
    offer_names()


def _holds_rushlight(folder: str) -> bool:
    return os.path.realpath(folder or os.getcwd()) == str(SHIM.resolve().parents[2])


def _remember(name: str, text: str) -> None:
    """Let tracebacks show the lines of what is in no file."""
    _REMEMBERED.append(name)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def _execute(source: str | bytes, filename: str, file: str | None) -> None:
    """Run source as a fresh `__main__`."""
    main = _fresh_main(file)
    exec(compile(source, filename, "exec", dont_inherit=True), main.__dict__)


def _fresh_main(file: str | None) -> ModuleType:
    """A new `__main__`, which stays (threads and exit handlers may use it)."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    main.__annotations__ = {}
    if file is not None:
        main.__file__ = file
        main.__loader__ = importlib.machinery.SourceFileLoader("__main__", file)
        main.__dict__["__cached__"] = None
    sys.modules["__main__"] = main
    return main


def _guarded(program: Callable[[], object]) -> int:
    """Run, and report what escapes as the interpreter does; the exit status.

    SystemExit passes through: the interpreter knows what its argument means.
    """
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        _report(error)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _report(error: BaseException) -> None:
    trace = _without_us(error.__traceback__)
    error.__traceback__ = trace
    if _REMEMBERED and sys.excepthook is sys.__excepthook__:
        import traceback

        traceback.print_exception(error)  # the interpreter's own way looks for lines in files only
        return
    sys.excepthook(type(error), error, trace)


def _without_us(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames that start the program and that look up its imports."""
    while trace is not None and _file(trace) in _OWN:
        trace = trace.tb_next
    last = trace
    while last is not None:
        if last.tb_next is not None and _file(last.tb_next) == alias.__file__:
            last.tb_next = None
        last = last.tb_next
    return trace


def _file(trace: TracebackType) -> str:
    return trace.tb_frame.f_code.co_filename
