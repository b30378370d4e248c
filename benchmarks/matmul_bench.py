"""Matrix products against PyTorch (its BLAS) and NumPy: `python benchmarks/matmul_bench.py`.

All are timed in turn in one process and the least of many rounds is kept, so that a busy machine
disturbs every side alike. Set OMP_NUM_THREADS and OPENBLAS_NUM_THREADS to 1 for NumPy. "in plan"
is a kernel called from native code, "call" the same through ctypes; "general" is the kernel with
run-time sizes. Ratios are the other side's time over ours through ctypes: above 1 we are faster.
"""

import argparse
import ctypes
import threading
import time
from collections.abc import Callable

import numpy as np

from rushlight.base.dtype import dtype, float32, float64
from rushlight.base.target import host
from rushlight.codegen.matmul import (
    MatmulSpec,
    choose,
    emit_matmul,
    general_matmul,
)
from rushlight.codegen.text import Emitter, module_text
from rushlight.runtime.jit import compile_text

try:
    import torch
except ImportError:
    torch = None

SIZES = [
    (10, 2, 1), (100, 5, 8), (1, 784, 10), (1, 784, 256), (64, 64, 64), (256, 784, 10),
    (256, 784, 256), (64, 4096, 1024), (512, 512, 512), (1024, 1024, 1024),
]  # fmt: skip
Run = Callable[[], object]


def best_times(
    runs: dict[str, tuple[Run, int]], budget: float, settle: float = 0.0
) -> dict[str, float]:
    """Least seconds of each run (which does its work the given number of times), interleaved.

    `settle` seconds pass before each, and it runs once untimed: another library's idle threads
    keep spinning for a while, on the core that ours need.
    """
    best = dict.fromkeys(runs, float("inf"))
    for run, _ in runs.values():
        run()
    start, rounds = time.perf_counter(), 0
    while rounds < 5 or time.perf_counter() - start < budget:
        for name, (run, times) in runs.items():
            if settle:
                time.sleep(settle)
                run()
            begin = time.perf_counter()
            run()
            best[name] = min(best[name], (time.perf_counter() - begin) / times)
        rounds += 1
    return best


def aligned(count: int, kind: str) -> np.ndarray:
    """An array on a cache line."""
    item = np.dtype(kind).itemsize
    raw = np.empty(count * item + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * item].view(kind)


def repeat_text(symbol: str) -> tuple[str, str]:
    """A function that calls a kernel `count` times, as a plan would."""
    e = Emitter()
    pointers = [("ptr", name) for name in ("%a", "%b", "%c", "%w")]
    e.loop(0, "%count", 1, lambda i, _: e.call(symbol, "void", pointers) and None)
    e.emit("ret void")
    name = f"repeat_{symbol}"
    return name, e.function(name, ["ptr %a", "ptr %b", "ptr %c", "ptr %w", "i64 %count"])


class Pair:
    """Two threads that each take every second task, for the two-thread figures."""

    def __init__(self, task: Callable[[object, int], None], args: object, tasks: int) -> None:
        self.task, self.args, self.tasks = task, args, tasks
        self.go, self.done = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            self.go.wait()
            self.go.clear()
            for index in range(1, self.tasks, 2):
                self.task(self.args, index)
            self.done.set()

    def run(self) -> None:
        self.go.set()
        for index in range(0, self.tasks, 2):
            self.task(self.args, index)
        self.done.wait()
        self.done.clear()


def measure(
    size: tuple[int, int, int], layout: str, kind: dtype, threads: int, budget: float
) -> str:
    """One line of the table."""
    m, k, n = size
    rng = np.random.default_rng(0)
    a, b, c = (aligned(count, kind.name) for count in (m * k, k * n, m * n))
    a[:], b[:] = rng.standard_normal(a.size), rng.standard_normal(b.size)
    a_view = a.reshape(k, m).T if layout[0] == "T" else a.reshape(m, k)
    b_view = b.reshape(n, k).T if layout[1] == "T" else b.reshape(k, n)
    strides = [s // kind.itemsize for s in a_view.strides + b_view.strides]
    target = host()
    spec = MatmulSpec(kind, m, k, n, *strides, n)
    begin = time.thread_time()
    code = emit_matmul(spec, target, threads)
    emitted = time.thread_time()
    compile_text(code.text, name_hint=code.symbol)
    compiled = time.thread_time()
    repeat_name, repeat = repeat_text(code.symbol)
    text = module_text([*code.functions, repeat], code.declarations)
    library = compile_text(text, name_hint=code.symbol)
    general = general_matmul(kind, target)
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    call = ctypes.CFUNCTYPE(None, *[pointer] * 4)(library.address(code.symbol))
    many = ctypes.CFUNCTYPE(None, *[pointer] * 4, number)(library.address(repeat_name))
    task = ctypes.CFUNCTYPE(None, pointer, number)(library.address(code.task_symbol))
    general_library = compile_text(general.text, name_hint=general.symbol)
    types = [pointer, number, number] * 2 + [pointer] + [number] * 4 + [pointer]
    any_size = ctypes.CFUNCTYPE(None, *types)(general_library.address(general.symbol))
    work = aligned(max(code.workspace, general.workspace(m, k, n), 64), "uint8")
    pa, pb, pc, pw = (x.ctypes.data for x in (a, b, c, work))
    arguments = (pa, *strides[:2], pb, *strides[2:], pc, n, m, k, n, pw)
    times = max(1, int(2e6 / (m * k * n + 20_000)))
    c_view = c.reshape(m, n)

    def repeated(function: Run) -> tuple[Run, int]:
        if times == 1:
            return function, 1
        rounds = range(times)

        def run() -> None:
            for _ in rounds:
                function()

        return run, times

    runs: dict[str, tuple[Run, int]] = {}
    if threads == 1:
        runs["ours"] = repeated(lambda: call(pa, pb, pc, pw))
        runs["plan"] = (lambda: many(pa, pb, pc, pw, times), times)
        runs["general"] = repeated(lambda: any_size(*arguments))
    else:
        pointers = (ctypes.c_void_p * 4)(pa, pb, pc, pw)
        pair = Pair(task, ctypes.addressof(pointers), code.tasks)
        runs["ours"] = repeated(pair.run)
    if torch is not None:
        torch.set_num_threads(threads)
        ta, tb, tc = (torch.from_numpy(x) for x in (a_view, b_view, c_view.copy()))
        runs["torch"] = repeated(lambda: torch.mm(ta, tb, out=tc))
    if threads == 1:
        out = c_view.copy()
        runs["numpy"] = repeated(lambda: np.matmul(a_view, b_view, out=out))
    best = best_times(runs, budget, settle=0.02 if threads > 1 else 0.0)
    work_done = 2 * m * k * n / 1e9
    parts = [f"{'x'.join(map(str, size)):>15} {layout} {kind.name}"]
    parts.append(f"{best['ours'] * 1e6:10.2f} us {work_done / best['ours']:7.1f} GFLOP/s")
    if threads == 1:
        parts.append(f"in plan {best['plan'] * 1e6:9.3f} us")
        parts.append(f"general {best['ours'] / best['general']:5.2f}")
    for other in ("torch", "numpy"):
        if other in best:
            parts.append(f"{other} {best[other] / best['ours']:5.2f}")
            if threads == 1:
                parts.append(f"(in plan {best[other] / best['plan']:6.2f})")
    way = "packed" if choose(spec, target).direct is None else "direct"
    parts.append(f"{way} {code.tasks} tasks, emit {(emitted - begin) * 1e3:.1f} ms")
    if compiled - emitted > 1e-3:
        parts.append(f"compile {(compiled - emitted) * 1e3:.0f} ms")
    return "  ".join(parts)


def main() -> None:
    """Prints a line for each size and layout (N: row-major, T: transposed operand)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, choices=(1, 2))
    parser.add_argument("--budget", type=float, default=0.5, help="seconds a line")
    parser.add_argument("--double", action="store_true", help="float64 instead of float32")
    parser.add_argument("--size", action="append", help="m,k,n instead of the usual sizes")
    options = parser.parse_args()
    sizes = SIZES
    if options.size:
        sizes = [tuple(int(part) for part in text.split(",")) for text in options.size]
    if torch is not None:
        torch.set_num_threads(options.threads)
    for size in sizes:
        for layout in ("NN", "NT", "TN"):
            kind = float64 if options.double else float32
            print(measure(size, layout, kind, options.threads, options.budget), flush=True)


if __name__ == "__main__":
    main()
