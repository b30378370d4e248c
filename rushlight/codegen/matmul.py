"""Matrix products for one machine: which kernel a shape gets, and the texts that compute it.

The meaning, which every kernel here keeps to the bit: an element of C = A @ B is one chain
`acc = +0; acc = fma(a[i, k], b[k, j], acc)` in ascending k, in the element's own type. Tiling,
packing, blocking of k, vector width and threads therefore never change a result.

`emit_matmul` writes the kernel of one shape, `general_matmul` the one kernel with run-time sizes
for shapes met for the first time, and for large ones (`prefers_general`), where it is as fast.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from rushlight.base.dtype import dtype, float32, float64
from rushlight.base.target import Target
from rushlight.codegen.matmul_blocked import (
    BLOCKED_PARAMETERS,
    Blocking,
    blocking,
    emit_blocked,
)
from rushlight.codegen.matmul_direct import (
    DirectPlan,
    Product,
    emit_direct,
    max_tasks,
    plan_direct,
)
from rushlight.codegen.matmul_pack import PackKind, pack_kind
from rushlight.codegen.matmul_tile import Int, Vector
from rushlight.codegen.text import Emitter, Value, module_text

_ELEMENTS = {float32: "float", float64: "double"}
_SHORT = {float32: "f32", float64: "f64"}

_TASK_STEPS = 1 << 18
"""Multiplications that make a task of its own worth while (about five microseconds)."""


@dataclass(frozen=True)
class MatmulSpec:
    """One product C[m, n] = A[m, k] @ B[k, n]; a batch is the caller's loop.

    Strides are in elements and may be anything (transposed, sliced, negative, 0) for A and B;
    C's columns lie next to each other and its rows do not overlap.

    Raises:
        TypeError: the dtype is not float32 or float64.
        ValueError: a size is negative, or C's rows overlap.
    """

    dtype: dtype
    m: int
    k: int
    n: int
    a_row: int
    a_column: int
    b_row: int
    b_column: int
    c_row: int

    def __post_init__(self) -> None:
        if self.dtype not in _ELEMENTS:
            raise TypeError(f"matmul kernels take float32 or float64, not {self.dtype}")
        if min(self.m, self.k, self.n) < 0:
            raise ValueError(f"matmul sizes are negative: {self.m}x{self.k} @ {self.k}x{self.n}")
        if self.m > 1 and self.c_row < self.n:
            raise ValueError(
                f"matmul result rows of {self.n} elements overlap: stride {self.c_row}"
            )

    def canonical(self) -> "MatmulSpec":
        """The same product with the strides that are never used set to fixed values."""
        m, k, n = self.m, self.k, self.n
        return replace(
            self,
            a_row=self.a_row if m > 1 else k,
            a_column=self.a_column if k > 1 else 1,
            b_row=self.b_row if k > 1 else n,
            b_column=self.b_column if n > 1 else 1,
            c_row=self.c_row if m > 1 else n,
        )

    @property
    def symbol(self) -> str:
        """The kernel's name: equal for products that share a kernel."""
        spec = self.canonical()
        strides = (spec.a_row, spec.a_column, spec.b_row, spec.b_column, spec.c_row)
        words = "_".join(str(stride).replace("-", "n") for stride in strides)
        return f"matmul_{_SHORT[spec.dtype]}_{spec.m}x{spec.k}x{spec.n}_{words}"


@dataclass(frozen=True)
class MatmulCode:
    """The kernel of one product.

    Attributes:
        symbol: `void @symbol(ptr A, ptr B, ptr C, ptr work)`, the whole product on one thread.
        task_symbol: `void @task_symbol(ptr args, i64 index)`, block `index` of C, 0 <= index <
            `tasks`; `args` points to the pointers A, B, C, work. All tasks together, in any order
            or at once, do what `symbol` does.
        tasks: number of tasks; 1 where the product is too small to split.
        workspace: bytes at `work`, for all tasks together; 0 means it is not looked at.
        functions, declarations: the texts; `module_text(functions, declarations)` is a module.
    """

    symbol: str
    task_symbol: str
    tasks: int
    workspace: int
    functions: tuple[str, ...]
    declarations: frozenset[str]

    @property
    def text(self) -> str:
        """A module with nothing but this kernel."""
        return module_text(self.functions, self.declarations)


@dataclass(frozen=True)
class Split:
    """A product cut into `tasks` blocks of at most `rows` x `columns` of C, `across` side by side.

    Each task has `share` bytes of the `workspace`.
    """

    tasks: int
    rows: int
    columns: int
    across: int
    share: int

    @property
    def workspace(self) -> int:
        """Bytes of workspace of all tasks together."""
        return self.tasks * self.share


@dataclass(frozen=True)
class GeneralMatmul:
    """The kernel with run-time sizes.

    `void @symbol(ptr A, i64 am, i64 ak, ptr B, i64 bk, i64 bn, ptr C, i64 cm, i64 m, i64 k, i64 n,
    ptr work)`, strides in elements, any sizes (0 too), `workspace(m, k, n)` bytes at `work`. Each
    block of a `split` is a product of its own.
    """

    dtype: dtype
    symbol: str
    sizes: Blocking
    functions: tuple[str, ...]
    declarations: frozenset[str]

    @property
    def text(self) -> str:
        """A module with nothing but this kernel."""
        return module_text(self.functions, self.declarations)

    @property
    def declaration(self) -> str:
        """The line that a module needs to call the kernel of another one."""
        kinds = ", ".join(parameter.split()[0] for parameter in BLOCKED_PARAMETERS)
        return f"declare void @{self.symbol}({kinds})"

    def workspace(self, m: int, k: int, n: int) -> int:
        """Bytes of workspace for a product of this size."""
        return self.sizes.workspace(m, k, n)

    def split(self, m: int, k: int, n: int, tasks: int) -> Split:
        """Cuts a product into at most `tasks` tasks, fewer if it is small."""
        return _split(MatmulSpec(self.dtype, m, k, n, k, 1, n, 1, n), self.sizes, tasks)


@dataclass(frozen=True)
class Choice:
    """How a product is computed: read in place by `direct`, or packed when that is None."""

    spec: MatmulSpec
    direct: DirectPlan | None
    swapped: bool
    cycles: float


@lru_cache(maxsize=256)
def _choices(spec: MatmulSpec, target: Target) -> tuple[Choice, ...]:
    choices = [_direct(spec, target, swapped=False), _direct(spec, target, swapped=True)]
    if min(spec.m, spec.k, spec.n) > 1:
        choices.append(Choice(spec, None, False, _packed_cycles(spec, _blocking(spec, target))))
    return tuple(choices)


def choose(spec: MatmulSpec, target: Target) -> Choice:
    """The kernel that the estimates favour for `spec`."""
    return min(_choices(spec.canonical(), target), key=lambda choice: choice.cycles)


def prefers_general(spec: MatmulSpec, target: Target) -> bool:
    """Whether `general_matmul` is about as fast for `spec` as any kernel of its own."""
    if spec.m * spec.k * spec.n < 1 << 20:
        return False
    packed = [choice for choice in _choices(spec.canonical(), target) if choice.direct is None]
    return bool(packed) and packed[0].cycles <= 1.05 * choose(spec, target).cycles


@lru_cache(maxsize=8)
def general_matmul(dtype: dtype, target: Target) -> GeneralMatmul:
    """The product with run-time sizes for float32 or float64.

    Raises:
        TypeError: another dtype.
    """
    spec = MatmulSpec(dtype, 1, 1, 1, 1, 1, 1, 1, 1)
    sizes = _blocking(spec, target)
    symbol = f"matmul_{_SHORT[dtype]}"
    code = emit_blocked(symbol, sizes)
    return GeneralMatmul(dtype, symbol, sizes, code.functions, code.declarations)


def general_workspace(dtype: dtype, target: Target, m: int, k: int, n: int) -> int:
    """Bytes of workspace that `general_matmul(dtype, target)` needs for a size.

    With `ceil(x, u)` meaning x rounded up to a multiple of u, and the blocks of `Blocking`:
    `ceil(ceil(min(n, nc), columns) * kb + spill, 64) + ceil(ceil(min(m, mc), rows) * kb + spill,
    64)` elements, where `kb` is the k block, at most `kc`.
    """
    spec = MatmulSpec(dtype, m, k, n, k, 1, n, 1, n)
    return _blocking(spec, target).workspace(m, k, n)


def emit_matmul(spec: MatmulSpec, target: Target, tasks: int = 1) -> MatmulCode:
    """Writes the kernel of `spec`, split into at most `tasks` tasks.

    The symbol depends on the spec and the number of tasks it was split into, on nothing else.
    """
    choice = choose(spec, target)
    spec = choice.spec
    wanted = max(1, min(tasks, spec.m * spec.k * spec.n // _TASK_STEPS))
    if choice.direct is not None:
        wanted = min(wanted, max_tasks(choice.direct))
        symbol = spec.symbol if wanted == 1 else f"{spec.symbol}_t{wanted}"
        functions, declarations = emit_direct(symbol, choice.direct, wanted, choice.swapped)
        return MatmulCode(
            symbol, f"{symbol}_task", wanted, 0, tuple(functions), frozenset(declarations)
        )
    return _emit_packed(spec, _blocking(spec, target), wanted)


def _ceiling(number: int, unit: int) -> int:
    return -(-number // unit)


def _blocking(spec: MatmulSpec, target: Target) -> Blocking:
    return blocking(_vector(spec, target), target.registers)


def _vector(spec: MatmulSpec, target: Target) -> Vector:
    return Vector(_ELEMENTS[spec.dtype], target.lanes(spec.dtype.itemsize))


def _direct(spec: MatmulSpec, target: Target, *, swapped: bool) -> Choice:
    """The product read in place, with B along the lanes, or A if swapped (C is then turned)."""
    vector = _vector(spec, target)
    if swapped:
        # A result of one column with whole rows is a vector along the lanes.
        product = Product(
            vector, target.registers, rows=spec.n, k=spec.k, lanes=spec.m,
            x_row=spec.b_column, x_step=spec.b_row, y_step=spec.a_column, y_lane=spec.a_row,
            out_row=1, out_lane=spec.c_row if spec.m > 1 else 1,
        )  # fmt: skip
    else:
        product = Product(
            vector, target.registers, rows=spec.m, k=spec.k, lanes=spec.n,
            x_row=spec.a_row, x_step=spec.a_column, y_step=spec.b_row, y_lane=spec.b_column,
            out_row=spec.c_row, out_lane=1,
        )  # fmt: skip
    plan = plan_direct(product)
    return Choice(spec, plan, swapped, plan.cycles)


_PACK_CYCLES: dict[PackKind, float] = {"rows": 0.25, "columns": 0.35, "any": 1.5}


def _packing_cycles(kind: PackKind, elements: int, item: int) -> float:
    """The estimate for packing an operand; one beyond the second cache takes longer."""
    far = 0.25 if elements * item > 1 << 18 else 0.0
    return elements * (_PACK_CYCLES[kind] + far)


def _packed_cycles(spec: MatmulSpec, sizes: Blocking) -> float:
    """The estimate for packing both operands, on the scale of `DirectPlan.cycles`."""
    panels = _ceiling(spec.n, sizes.columns)
    vectors = sizes.columns // sizes.vector.lanes
    whole, rest = divmod(spec.m, sizes.rows)
    step = whole * sizes.rows * vectors / 2
    if rest:
        step += max(4.0, sizes.height_for(rest) * vectors / 2)
    tiles = panels * (whole + (rest > 0)) * (2.0 * sizes.rows * vectors + 20)
    if spec.n % sizes.columns:
        tiles += spec.m * (spec.n % sizes.columns) * 1.5
    item = spec.dtype.itemsize
    packing = _packing_cycles(pack_kind(spec.b_row, spec.b_column), spec.k * spec.n, item)
    packing += _packing_cycles(pack_kind(spec.a_column, spec.a_row), spec.m * spec.k, item)
    return panels * step * spec.k + tiles + packing + 300


def _split(spec: MatmulSpec, sizes: Blocking, tasks: int) -> Split:
    """The cut of at most `tasks` blocks that needs the least packing and waiting."""
    tasks = max(1, min(tasks, spec.m * spec.k * spec.n // _TASK_STEPS))

    def block(down: int) -> tuple[int, int]:
        rows = _ceiling(_ceiling(spec.m, down), sizes.rows) * sizes.rows
        columns = _ceiling(_ceiling(spec.n, tasks // down), sizes.columns) * sizes.columns
        return max(1, min(rows, spec.m)), max(1, min(columns, spec.n))

    blocks = [block(down) for down in range(1, tasks + 1) if tasks % down == 0]
    rows, columns = min(
        blocks, key=lambda size: _packed_cycles(replace(spec, m=size[0], n=size[1]), sizes)
    )
    down, across = max(1, _ceiling(spec.m, rows)), max(1, _ceiling(spec.n, columns))
    share = _ceiling(sizes.workspace(rows, spec.k, columns), 64) * 64
    return Split(down * across, rows, columns, across, share)


class _TaskPlace:
    """Where task `%index` of a split works; the split's numbers are known or run-time values."""

    def __init__(
        self, e: Emitter, element: str, item: int, rows: Int, columns: Int, across: Int, share: Int
    ) -> None:
        self.e = e
        self.element = element
        down = e.divide("%index", across)
        self.first_row = e.multiply(down, rows)
        column = e.subtract("%index", e.multiply(down, across))
        self.first_column = e.multiply(column, columns)
        self.work = e.multiply("%index", e.divide(share, item))
        self.rows = rows
        self.columns = columns

    def arguments(
        self, a: Value, am: Int, ak: Int, b: Value, bk: Int, bn: Int, c: Value, cm: Int,
        m: Int, k: Int, n: Int, work: Value,
    ) -> list[tuple[str, Value]]:  # fmt: skip
        """The block's arguments to the blocked product."""
        e = self.e
        row, column = self.first_row, self.first_column
        corner = e.add(e.multiply(row, cm), column)
        values: list[Int] = [
            e.gep(a, e.multiply(row, am), self.element), am, ak,
            e.gep(b, e.multiply(column, bn), self.element), bk, bn,
            e.gep(c, corner, self.element), cm,
            e.minimum(e.subtract(m, row), self.rows), k,
            e.minimum(e.subtract(n, column), self.columns),
            e.gep(work, self.work, self.element),
        ]  # fmt: skip
        kinds = [parameter.split()[0] for parameter in BLOCKED_PARAMETERS]
        return [(kind, str(value)) for kind, value in zip(kinds, values, strict=True)]


def _emit_packed(spec: MatmulSpec, sizes: Blocking, tasks: int) -> MatmulCode:
    """The blocked kernel with this product's sizes, strides and ways of packing."""
    split = _split(spec, sizes, tasks)
    symbol = spec.symbol if split.tasks == 1 else f"{spec.symbol}_t{split.tasks}"
    blocked = f"{symbol}_blocked"
    down = split.tasks // split.across
    tall = {min(split.rows, spec.m - i * split.rows) for i in range(down)} | {spec.m}
    heights = {sizes.height_for(rest) for rest in {size % sizes.rows for size in tall} if rest}
    if max(tall) >= sizes.rows:
        heights.add(sizes.rows)
    code = emit_blocked(
        blocked,
        sizes,
        a_kinds=(pack_kind(spec.a_column, spec.a_row),),
        b_kinds=(pack_kind(spec.b_row, spec.b_column),),
        heights=heights,
        linkage="internal",
    )
    strides_a, strides_b = (spec.a_row, spec.a_column), (spec.b_row, spec.b_column)
    whole = Emitter()
    numbers = [("i64", str(number)) for number in (spec.c_row, spec.m, spec.k, spec.n)]
    a, b = ([("i64", str(stride)) for stride in pair] for pair in (strides_a, strides_b))
    arguments = [("ptr", "%a"), *a, ("ptr", "%b"), *b, ("ptr", "%c"), *numbers, ("ptr", "%work")]
    whole.call(blocked, "void", arguments)
    whole.emit("ret void")
    task = Emitter()
    pointers = [task.load(task.gep("%args", i, "ptr"), "ptr") for i in range(4)]
    place = _TaskPlace(
        task, _ELEMENTS[spec.dtype], spec.dtype.itemsize,
        split.rows, split.columns, split.across, split.share,
    )  # fmt: skip
    arguments = place.arguments(
        pointers[0], *strides_a, pointers[1], *strides_b, pointers[2], spec.c_row,
        spec.m, spec.k, spec.n, pointers[3],
    )  # fmt: skip
    task.call(blocked, "void", arguments)
    task.emit("ret void")
    parameters = ["ptr noalias %a", "ptr noalias %b", "ptr noalias %c", "ptr noalias %work"]
    functions = (
        *code.functions,
        whole.function(symbol, parameters),
        task.function(f"{symbol}_task", ["ptr %args", "i64 %index"]),
    )
    workspace = max(sizes.workspace(spec.m, spec.k, spec.n), split.workspace)
    return MatmulCode(
        symbol, f"{symbol}_task", split.tasks, workspace, functions, code.declarations
    )
