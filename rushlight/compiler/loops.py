"""The loop form: what a plan is made of before it is spelled for a target.

A kernel runs over rows (`outer`) and, inside a row, over `inner`. Its stages follow one another in
every row: straight-line code once a row, or once for each inner index. Everything here is plain
data with a deterministic text; a code generator only spells it. Strides and offsets are in
elements, over the outer dimensions followed by the inner ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from ..base import dtype as dt
from ..base.shape import Ints
from ..graph.op import Op
from ..graph.ops.convolve import Conv
from ..graph.ops.window import Windows
from .cost import special_steps

InstrKind = Literal[
    "load", "number", "const", "iota", "row", "reduce", "dot", "store", "index", "check"
]
Over = Literal["once", "row", "inner"]


class Access(NamedTuple):
    """An element of a parameter's memory as an affine function of the kernel's index."""

    param: int
    strides: Ints
    offset: int

    def __str__(self) -> str:
        return f"p{self.param}[{','.join(map(str, self.strides))}+{self.offset}]"


@dataclass(frozen=True)
class Instr:
    """One step. `id` names its value; `row` evaluates `op.lower` on operands converted to `ctype`.

    `index` loads, and a `store` with more than one operand writes, at an address to which indices
    add: `arg` has (stride, size, whether negative ones count from the end) for each. `check` sets
    the plan's status where an element fails the test `arg`.
    """

    id: int
    kind: InstrKind
    dtype: dt.dtype
    srcs: Ints = ()
    op: Op | None = None
    arg: Any = None
    ctype: dt.dtype | None = None
    access: Access | None = None

    @property
    def cost(self) -> int:
        """How many special functions the step takes."""
        return special_steps(self.op, len(self.srcs)) if self.kind == "row" and self.op else 0

    def at(self, access: Access) -> Instr:
        """The same step at another place: `dataclasses.replace` takes several times as long."""
        return Instr(
            self.id, self.kind, self.dtype, self.srcs, self.op, self.arg, self.ctype, access
        )

    def access_of(self, param: int, rank: int) -> Access:
        """An access to a row's scratch, which needs no strides."""
        return Access(param, (0,) * rank, 0)

    def __str__(self) -> str:
        name = self.op.name if self.op is not None else self.kind
        if self.kind == "reduce":
            name = f"reduce {name}"
        words = [name, *(f"%{s}" for s in self.srcs)]
        if self.access is not None:
            words.append(str(self.access) if self.kind != "iota" else str(self.access)[2:])
        if self.arg is not None:
            words.append(repr(self.arg))
        if self.kind == "store":
            return " ".join(words)
        inside = f" in {self.ctype.name}" if self.ctype not in (None, self.dtype) else ""
        return f"%{self.id} = {' '.join(words)} : {self.dtype.name}{inside}"


@dataclass(frozen=True)
class Stage:
    """Steps run once a kernel, once a row, or for every inner index."""

    over: Over
    body: tuple[Instr, ...]


class Param(NamedTuple):
    """Memory that a kernel reads or writes.

    `local`: not memory of the plan but a row's scratch, one element for each inner index.
    """

    dtype: dt.dtype
    written: bool
    local: bool = False


@dataclass
class Kernel:
    """One function.

    `lanes`: vectors lie along the inner index (reductions then have 32 virtual lanes) or along the
    last outer dimension (reductions have one). `span`: rows are pieces of this many elements of
    one long line of `extent`; the last one is moved back so that it ends with the line.
    `checks`: indices or values are checked; a bad one sets the plan's status. `ordered`: rows and
    inner indices run in order, on one thread, since several may write one place.
    `partial`: a reduction's 32 lanes are stored without being combined.
    """

    kind: ClassVar[Literal["loops"]] = "loops"

    outer: Ints
    inner: Ints
    lanes: Literal["inner", "outer"]
    params: list[Param]
    numbers: list[str]
    stages: list[Stage]
    span: int = 0
    extent: int = 0
    partial: bool = False
    tasks: int = 1
    checks: bool = False
    ordered: bool = False

    def __str__(self) -> str:
        head = f"outer {list(self.outer)} inner {list(self.inner)} lanes {self.lanes}"
        if self.span:
            head += f" span {self.span} of {self.extent}"
        if self.partial:
            head += " partial"
        if self.tasks > 1:
            head += f" tasks {self.tasks}"
        head += " ordered" if self.ordered else ""
        params = ", ".join(
            f"p{i} {p.dtype.name}{' local' if p.local else ' out' if p.written else ''}"
            for i, p in enumerate(self.params)
        )
        lines = [head, f"  ({params}) numbers {''.join(self.numbers) or '-'}"]
        for s in self.stages:
            lines.append(f"  {s.over}:")
            lines += [f"    {i}" for i in s.body]
        return "\n".join(lines)


@dataclass
class Product:
    """Matrix products c[m, n] = a[m, k] @ b[k, n] over a batch; parameters a, b, c.

    `a`, `b`, `c`: (row stride, column stride, offset, *batch strides) of each, in elements.
    """

    kind: ClassVar[Literal["product"]] = "product"

    dtype: dt.dtype
    m: int
    k: int
    n: int
    batch: Ints
    a: Ints
    b: Ints
    c: Ints
    tasks: int = 1

    def __str__(self) -> str:
        head = f"product {self.dtype.name} {self.m}x{self.k}x{self.n} batch {list(self.batch)}"
        if self.tasks > 1:
            head += f" tasks {self.tasks}"
        sides = (("a", self.a), ("b", self.b), ("c", self.c))
        return head + "".join(
            f"\n  {name} [{','.join(map(str, x[3:] + x[:2]))}+{x[2]}]" for name, x in sides
        )


@dataclass
class Convolution:
    """A convolution of x and w, or the weight's gradient of x and g; parameters x, the other, out.

    All are row-major.
    """

    kind: ClassVar[Literal["convolution"]] = "convolution"

    dtype: dt.dtype
    conv: Conv
    weight: bool
    tasks: int = 1

    def __str__(self) -> str:
        words = [f"{name} {value}" for name, value in self.conv._asdict().items()]
        head = f"convolution{' weight' if self.weight else ''} {self.dtype.name}"
        if self.tasks > 1:
            head += f" tasks {self.tasks}"
        return "\n  ".join([head, ", ".join(words)])


@dataclass
class Pooling:
    """Greatest elements of windows: parameters x and out, or g, x and out; all row-major."""

    kind: ClassVar[Literal["pooling"]] = "pooling"

    dtype: dt.dtype
    windows: Windows
    planes: int
    job: Literal["value", "index", "back"]
    tasks: int = 1

    def __str__(self) -> str:
        words = [f"{name} {value}" for name, value in self.windows._asdict().items()]
        head = f"pooling {self.job} {self.dtype.name} planes {self.planes}"
        if self.tasks > 1:
            head += f" tasks {self.tasks}"
        return "\n  ".join([head, ", ".join(words)])


AnyKernel = Kernel | Product | Convolution | Pooling


class Place(NamedTuple):
    """Where memory is: leaf `n`, output `n`, or byte `n` of the workspace, and `start` bytes on."""

    kind: Literal["leaf", "out", "work"]
    n: int
    start: int = 0

    def __str__(self) -> str:
        return f"{self.kind}{self.n}" + (f"+{self.start}" if self.start else "")


class Call(NamedTuple):
    """A kernel applied to memory and run-time numbers."""

    kernel: int
    places: tuple[Place, ...]
    numbers: Ints


class Output(NamedTuple):
    """What an output's memory holds."""

    shape: Ints
    strides: Ints
    dtype: dt.dtype


@dataclass
class LoopProgram:
    """Kernels and the calls that make a plan. Equal kernels are one.

    `status`: the byte of the workspace where kernels say that a value was refused, or -1.
    """

    leaves: int
    numbers: list[str]
    outputs: list[Output]
    kernels: list[AnyKernel] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    workspace: int = 0
    status: int = -1

    def __str__(self) -> str:
        lines = [f"leaves {self.leaves} numbers {''.join(self.numbers) or '-'}"]
        for k, kernel in enumerate(self.kernels):
            lines.append(f"kernel k{k} {kernel}")
        for c in self.calls:
            places = ", ".join(map(str, c.places))
            numbers = "".join(f", #{n}" for n in c.numbers)
            lines.append(f"k{c.kernel}({places}{numbers})")
        lines.append(f"workspace {self.workspace}")
        return "\n".join(lines)
