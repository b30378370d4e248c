"""`rushlight run`: programs as subprocesses, under the names and with the manners of `python`."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import rushlight
from rushlight.cli import alias, run

ROOT = Path(rushlight.__file__).resolve().parents[1]


def start(*arguments: str, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "rushlight", *arguments],
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def script(folder: Path, text: str, name: str = "program.py") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(textwrap.dedent(text))
    return str(folder / name)


def test_a_script_sees_what_python_shows(tmp_path: Path) -> None:
    script(tmp_path / "src", "value = 7\n", "beside.py")
    path = script(
        tmp_path / "src",
        """
        import sys, beside, threading
        here = __file__.rpartition("/")[0]
        assert sys.argv == [__file__, "--lr", "-m", "1"], sys.argv
        assert sys.path[0] == here, sys.path
        assert __name__ == "__main__" and __spec__ is None and not __package__
        assert sys.modules["__main__"].beside is beside
        assert __builtins__ is __import__("builtins")
        def late():  # the module outlives the last line
            threading.main_thread().join()
            print("late", beside.value)
        threading.Thread(target=late).start()
        """,
    )
    done = start("run", path, "--lr", "-m", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "late 7\n"


def test_the_names_are_ours(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import importlib, pickle, sys
        import torch
        import torch.random as by_name
        from torch.random import Generator
        from torch import random
        import rushlight, rushlight.random
        assert torch is rushlight is sys.modules["torch"]
        assert by_name is random is torch.random is rushlight.random
        assert rushlight.random.__spec__.name == rushlight.random.__name__ == "rushlight.random"
        assert Generator is rushlight.random.Generator
        assert importlib.import_module("torch.random.generator").Generator is Generator
        assert tuple(map(int, torch.__version__.split("+")[0].split("."))) >= (2, 13, 0)
        data = pickle.dumps(Generator)
        assert b"torch" in data and b"rushlight" not in data, data
        assert pickle.loads(data) is Generator
        assert torch.random.__spec__.name == "rushlight.random"
        """,
    )
    done = start("run", path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_missing_raises_where_it_is_asked_for(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import torch, torch.random
        try:
            import torch.randon
        except ModuleNotFoundError as error:
            assert error.name == "torch.randon"
            print(error)
        try:
            torch.random.manual_sead
        except AttributeError as error:
            print(error)
        assert not hasattr(torch.random, "no_such_thing")
        assert not hasattr(torch.random, "__wrapped__")
        try:
            from torch.random import no_such_thing
        except ImportError as error:
            assert "no_such_thing" in str(error)
        torch.taken = lambda: None  # a function, like torch.tensor, is no module
        try:
            import torch.taken
        except ModuleNotFoundError:
            print(torch.taken.__name__)
        def ask():
            import torch.nowhere.at_all
        ask()
        """,
    )
    done = start("run", path, cwd=tmp_path)
    first, second, third = done.stdout.splitlines()
    assert first.startswith("No module named 'torch.randon': it is not in Rushlight yet; nearest: ")
    assert "torch.random" in first
    assert "torch.random.manual_sead is not in Rushlight yet; nearest: " in second
    assert "torch.random.manual_seed" in second
    assert third == "<lambda>"
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert lines[1].startswith(f'  File "{path}"')
    assert "import torch.nowhere.at_all" in lines[-2]
    assert lines[-1].startswith("ModuleNotFoundError: No module named 'torch.nowhere'")


EXITS = {
    "raise SystemExit(3)": (3, ""),
    "raise SystemExit": (0, ""),
    "import sys; sys.exit('words')": (1, "words\n"),
    "import os; os._exit(9)": (9, ""),
    "raise KeyboardInterrupt": (130, "KeyboardInterrupt\n"),
    "1 / 0": (1, "ZeroDivisionError: division by zero\n"),
    "import sys; sys.excepthook = lambda *a: print('mine', file=sys.stderr); 1 / 0": (1, "mine\n"),
}


@pytest.mark.parametrize("code", EXITS)
def test_exit_status(code: str, tmp_path: Path) -> None:
    status, ending = EXITS[code]
    done = start("run", "-c", code, cwd=tmp_path)
    assert done.returncode == status
    assert done.stderr.endswith(ending)
    assert "rushlight" not in done.stderr
    if done.stderr.startswith("Traceback"):
        assert done.stderr.splitlines()[1].startswith('  File "<string>", line 1')


def test_ctrl_c(tmp_path: Path) -> None:
    path = script(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "rushlight", "run", path]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    # Jobs in the background ignore SIGINT, and children would inherit that; handlers they do not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("KeyboardInterrupt\n")


def test_tracebacks_begin_in_the_users_file(tmp_path: Path) -> None:
    path = script(tmp_path, "def f():\n    raise ValueError('here')\n\nf()\n")
    done = start("run", path, cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{path}", line 4, in <module>'
    assert lines[2] == "    f()"
    assert lines[-1] == "ValueError: here"
    script(tmp_path, "def f(:\n")
    done = start("run", path, cwd=tmp_path)
    assert done.stderr.splitlines()[0] == f'  File "{path}", line 1'
    assert done.returncode == 1


def test_missing_names_are_named_wherever_their_module_was_loaded(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import torch
        import torch.compiler

        for name in ("nn", "optim", "utils", "utils.data", "cuda", "compiler", "nn.functional"):
            module = torch
            for part in name.split("."):
                module = getattr(module, part)
            try:
                module.nothing
            except AttributeError as error:
                assert f"torch.{name}.nothing is not in Rushlight yet" in str(error), error
            else:
                raise AssertionError(name)
        assert torch.compiler.is_compiling() is False
        """,
    )
    done = start("run", path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_modules_folders_and_standard_input(tmp_path: Path) -> None:
    script(tmp_path / "pack", "", "__init__.py")
    script(
        tmp_path / "pack",
        "import sys, torch; from . import here\nprint(__name__, here.x, *sys.argv[1:])\n",
        "train.py",
    )
    script(tmp_path / "pack", "x = 5\n", "here.py")
    script(tmp_path / "pack", "import torch, here; print('folder', here.x)\n", "__main__.py")
    assert start("run", "-m", "pack.train", "-x", cwd=tmp_path).stdout == "__main__ 5 -x\n"
    assert start("run", "pack", cwd=tmp_path).stdout == "folder 5\n"
    done = start("run", "-", "a", cwd=tmp_path, stdin="import sys, torch; print(sys.argv)")
    assert done.stdout == "['-', 'a']\n"


def notebook(folder: Path, *cells: str) -> str:
    book = {"cells": [{"cell_type": "code", "source": textwrap.dedent(c)} for c in cells]}
    path = folder / "book.ipynb"
    path.write_text(json.dumps(book))
    return str(path)


def test_notebooks(tmp_path: Path) -> None:
    script(tmp_path, "value = 7\n", "beside.py")
    path = notebook(
        tmp_path,
        "%matplotlib inline\nimport torch, beside, sys",
        "!pip install nothing\nx = torch.tensor([beside.value])\ndisplay(x)",
        "def f():\n    return 1 / 0\n",
        "print(sys.argv[1:])\nf()",
    )
    done = start("run", path, "--lr", "1", cwd=tmp_path)
    assert done.stdout == "tensor([7])\n['--lr', '1']\n"
    lines = done.stderr.splitlines()
    assert lines[0] == "rushlight run: left out '%matplotlib inline' of cell 1 and 1 more"
    assert lines[2] == f'  File "{path}[cell 4]", line 2, in <module>'
    assert lines[3] == "    f()"
    assert f'  File "{path}[cell 3]", line 2, in f' in lines
    assert (done.returncode, lines[-1]) == (1, "ZeroDivisionError: division by zero")
    (tmp_path / "no.ipynb").write_text("[]")
    done = start("run", "no.ipynb", cwd=tmp_path)
    assert (done.returncode, "no.ipynb is not a notebook" in done.stderr) == (2, True)


def test_plots_are_saved_or_skipped(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = """
        import matplotlib.pyplot as plt
        for i in range(2):
            plt.plot([0, i])
            plt.show()
        assert not plt.get_fignums()
        """
    path = notebook(tmp_path, text)
    done = start("run", path, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("figures are not shown here")) == (0, 1)
    for program, folder in ((path, "a"), (script(tmp_path, text), "b")):
        done = start("run", f"--plots={folder}", program, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        pictures = sorted((tmp_path / folder).iterdir())
        assert [p.name for p in pictures] == ["figure-1.png", "figure-2.png"]
        assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_cuda_is_refused_with_a_hint(tmp_path: Path) -> None:
    for code in (
        "torch.ones(2).cuda()",
        "torch.ones(2, device='cuda:0')",
        "torch.nn.Linear(1, 1).to(torch.device('cuda'))",
        "torch.cuda.set_device(0)",
        "torch.cuda.synchronize()",
        "torch.set_default_device('cuda')",
    ):
        done = start("run", "-c", "import torch; " + code, cwd=tmp_path)
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1
        assert last.startswith("AssertionError: Torch not compiled with CUDA enabled (`rushlight")
        assert "rushlight run --cuda=cpu" in last


def test_cuda_mapped_to_the_cpu(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import os, sys, torch
        assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
        x = torch.ones(2, device="cuda:0") + torch.ones(2).cuda() + torch.ones(2).to("cuda")
        model = torch.nn.Linear(2, 1).cuda()
        print(x.tolist(), x.device, model(x).device, torch.cuda.current_device())
        torch.cuda.set_device(0), torch.cuda.synchronize()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record(), end.record()
        assert start.elapsed_time(end) >= 0
        print(torch.cuda.FloatTensor([1, 2]).type())
        if not sys.argv[1:]:
            os.execv(sys.executable, [sys.executable, __file__, "again"])
        """,
    )
    done = start("run", "--cuda=cpu", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[3.0, 3.0] cpu cpu 0", "torch.FloatTensor"]
    assert done.stderr == "rushlight: cuda is the CPU in this run (--cuda=cpu)\n"
    done = start("run", "--cuda=gpu", path, cwd=tmp_path)
    assert (done.returncode, "unknown option --cuda=gpu" in done.stderr) == (2, True)


def test_children_have_the_names(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import multiprocessing, subprocess, sys
        import torch, torch.random

        def work(queue):
            queue.put((torch.__name__, torch.random.Generator.__module__))

        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                context = multiprocessing.get_context(method)
                queue = context.Queue()
                process = context.Process(target=work, args=(queue,))
                process.start()
                print(method, *queue.get(timeout=20))
                process.join()
            code = "import torch.random; print('other', torch.random.__name__)"
            subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
        """,
    )
    done = start("run", path, cwd=tmp_path)
    assert done.stderr == ""
    fork, spawn, other = done.stdout.splitlines()
    assert fork.split()[:2] == ["fork", "rushlight"]
    assert spawn.split()[:2] == ["spawn", "rushlight"]
    assert fork.split()[2] == spawn.split()[2]
    assert other == "other rushlight.random"


def test_types_are_where_pytorch_has_them(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import importlib, pickle, sys, types
        import torch, torchvision
        import torch.nn.functional as F
        import torch.nn.utils.weight_norm
        from torch.utils.data import DataLoader
        layer = torch.nn.Linear(2, 2)
        print(type(layer), type(layer.weight), type(torch.optim.SGD(layer.parameters(), 0.1)))
        print(torch.optim.AdamW, torch.optim.lr_scheduler.StepLR, DataLoader, torch.nn.LSTM)
        print(F.relu.__module__, torch.save.__module__, torch.autograd.grad.__module__)
        print(torch.nn.utils.weight_norm.__name__, torchvision.transforms.ToTensor)
        data = pickle.dumps(layer)
        print(b"torch.nn.modules.linear" in data, pickle.loads(data))
        import torch.nn.modules, torchvision.models, torchvision.transforms
        lost = []
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] != "rushlight":
                continue
            for value in list(vars(module).values()):
                if not isinstance(value, type | types.FunctionType):
                    continue
                home, word = value.__module__, value.__qualname__
                if not str(home).startswith(("torch.nn", "torch.optim", "torch.utils.data")):
                    continue
                found = importlib.import_module(home)
                for part in word.split("."):
                    found = getattr(found, part, None)
                if found is not value and not word.startswith("_"):
                    lost.append((home, word))
        print(lost)
        """,
    )
    done = start("run", path, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "<class 'torch.nn.modules.linear.Linear'> <class 'torch.nn.parameter.Parameter'> "
        "<class 'torch.optim.sgd.SGD'>",
        "<class 'torch.optim.adamw.AdamW'> <class 'torch.optim.lr_scheduler.StepLR'> "
        "<class 'torch.utils.data.dataloader.DataLoader'> <class 'torch.nn.modules.rnn.LSTM'>",
        "torch.nn.functional torch.serialization torch.autograd",
        "weight_norm <class 'torchvision.transforms.transforms.ToTensor'>",
        "True Linear(in_features=2, out_features=2, bias=True)",
        "[]",
    ]


def test_wrong_use(tmp_path: Path) -> None:
    for arguments, words in (
        (("run",), "no program given"),
        (("run", "-m"), "argument expected for -m"),
        (("run", "--fast", "x.py"), "unknown option --fast"),
        (("run", "absent.py"), "can't open file 'absent.py'"),
        ((), "command"),
    ):
        done = start(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr


def test_names_and_their_homes() -> None:
    assert alias.home_of("torch.nn.functional") == "rushlight.nn.functional"
    assert alias.home_of("torchvision.transforms") == "rushlight.vision.transforms"
    assert alias.home_of("torchaudio") is None
    assert alias.alias_of("rushlight.vision.ops") == "torchvision.ops"
    assert alias.alias_of("rushlight.visionary") == "torch.visionary"
    assert alias.alias_of("rushlights") is None


def test_the_shim_offers_these_names_alone() -> None:
    offered = {p.name for p in run.SHIM.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert offered == set(alias.ALIASES) == set(alias.VERSIONS)
