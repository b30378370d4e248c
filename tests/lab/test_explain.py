"""`explain`: what it says of a loop that repeats, of one run, of what libraries compute."""

from __future__ import annotations

import threading
from typing import Any

import rushlight
from rushlight.lab.explain import Explanation, explain

torch: Any = rushlight


def in_a_new_recorder(program: Any) -> Explanation:
    """What a thread's own recorder has after a program."""
    found: list[Explanation] = []

    def run() -> None:
        program()
        found.append(explain(programs=True, kernels=True))
        found[0].text = str(found[0])  # type: ignore[attr-defined]

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def train(steps: int) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.zeros(5, 4), torch.ones(5, 1)
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()


def test_a_loop_is_one_stretch_of_native_code() -> None:
    said = in_a_new_recorder(lambda: train(9))
    most = said.stretches[0]
    assert most.runs == 8  # the first time the gradients were new
    assert most.compiled
    text: str = said.text  # type: ignore[attr-defined]
    for words in ("linear", "mse_loss", "backward: ", "optimiser step: ", "matrix products",
                  "kernel k0", "return %", "run 8 times, native code"):  # fmt: skip
        assert words in text, text
    assert said.pending == 0


def test_what_runs_once_is_not_compiled() -> None:
    said = in_a_new_recorder(lambda: (torch.ones(3) * 2).tolist())
    (only,) = said.stretches
    assert (only.runs, only.compiled) == (1, False)
    assert "would be compiled at run 2" in only.plan()
    assert [line for line in only.recorded() if "mul(%" in line]


def test_what_libraries_compute_is_said() -> None:
    def program() -> None:
        for _ in range(3):
            torch.ones(3).cumsum(0).add(1).tolist()

    said = in_a_new_recorder(program)
    assert any("cumsum" in line for s in said.stretches for line in s.recorded())


def test_nothing_is_run_by_it() -> None:
    def program() -> None:
        x = torch.ones(3) + 1
        said = explain()
        assert said.pending > 0 and said.flushes == 0
        assert x.tolist() == [2, 2, 2]

    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            program()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    assert not errors, errors
