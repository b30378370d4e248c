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
from rushlight.codegen.matmul_tile import Vector
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
class GeneralMatmul:
    """The kernel with run-time sizes.

    `void @symbol(ptr A, i64 am, i64 ak, ptr B, i64 bk, i64 bn, ptr C, i64 cm, i64 m, i64 k, i64 n,
    ptr work)`, strides in elements, any sizes (0 too), `workspace(m, k, n)` bytes at `work`.
    """

    symbol: str
    sizes: Blocking
    functions: tuple[str, ...]
    declarations: frozenset[str]

    @property
    def text(self) -> str:
        """A module with nothing but this kernel."""
        return module_text(self.functions, self.declarations)

    def workspace(self, m: int, k: int, n: int) -> int:
        """Bytes of workspace for a product of this size."""
        return self.sizes.workspace(m, k, n)


@dataclass(frozen=True)
class Choice:
    """How a product is computed: read in place by `direct`, or packed when that is None."""

    spec: MatmulSpec
    direct: DirectPlan | None
    swapped: bool
    cycles: float


def choose(spec: MatmulSpec, target: Target) -> Choice:
    """The kernel that the estimates favour for `spec`."""
    spec = spec.canonical()
    choices = [_direct(spec, target, swapped=False), _direct(spec, target, swapped=True)]
    if min(spec.m, spec.k, spec.n) > 1:
        choices.append(Choice(spec, None, False, _packed_cycles(spec, _blocking(spec, target))))
    return min(choices, key=lambda choice: choice.cycles)


def prefers_general(spec: MatmulSpec, target: Target) -> bool:
    """Whether `general_matmul` is as fast for `spec` as a kernel of its own (packed, large)."""
    return choose(spec, target).direct is None and spec.m * spec.k * spec.n >= 1 << 20


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
    return GeneralMatmul(symbol, sizes, code.functions, code.declarations)


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
    b = _PACK_CYCLES[pack_kind(spec.b_row, spec.b_column)]
    a = _PACK_CYCLES[pack_kind(spec.a_column, spec.a_row)]
    packing = spec.k * (spec.n * b + spec.m * a)
    return panels * step * spec.k + tiles + packing + 300


def _grid(spec: MatmulSpec, sizes: Blocking, tasks: int) -> tuple[int, int]:
    """Rows and columns of the block of C that each task gets: the least packing and waiting."""

    def block(down: int) -> tuple[int, int]:
        rows = _ceiling(_ceiling(spec.m, down), sizes.rows) * sizes.rows
        columns = _ceiling(_ceiling(spec.n, tasks // down), sizes.columns) * sizes.columns
        return min(rows, spec.m), min(columns, spec.n)

    downs = [down for down in range(1, tasks + 1) if tasks % down == 0]
    blocks = [block(down) for down in downs]
    return min(
        blocks,
        key=lambda size: _packed_cycles(replace(spec, m=size[0], n=size[1]), sizes),
    )


def _emit_packed(spec: MatmulSpec, sizes: Blocking, tasks: int) -> MatmulCode:
    """The blocked kernel with this product's sizes, strides and ways of packing."""
    rows, columns = _grid(spec, sizes, tasks)
    down, across = _ceiling(spec.m, rows), _ceiling(spec.n, columns)
    tasks = down * across
    symbol = spec.symbol if tasks == 1 else f"{spec.symbol}_t{tasks}"
    tall = {min(rows, spec.m - i * rows) for i in range(down)} | {spec.m}
    heights = {sizes.height_for(rest) for rest in {size % sizes.rows for size in tall} if rest}
    if max(tall) >= sizes.rows:
        heights.add(sizes.rows)
    code = emit_blocked(
        f"{symbol}_blocked",
        sizes,
        a_kinds=(pack_kind(spec.a_column, spec.a_row),),
        b_kinds=(pack_kind(spec.b_row, spec.b_column),),
        heights=heights,
        linkage="internal",
    )
    item = spec.dtype.itemsize
    share = _ceiling(sizes.workspace(rows, spec.k, columns), 64) * 64

    def call(e: Emitter, pointers: list[Value], m: Value, n: Value) -> None:
        a, b, c, work = pointers
        values = [("ptr", a), ("i64", str(spec.a_row)), ("i64", str(spec.a_column)), ("ptr", b)]
        values += [("i64", str(spec.b_row)), ("i64", str(spec.b_column)), ("ptr", c)]
        values += [("i64", str(spec.c_row)), ("i64", m), ("i64", str(spec.k)), ("i64", n)]
        e.call(f"{symbol}_blocked", "void", [*values, ("ptr", work)])
        e.emit("ret void")

    whole = Emitter()
    call(whole, ["%a", "%b", "%c", "%work"], str(spec.m), str(spec.n))
    task = Emitter()
    a, b, c, work = (task.load(task.gep("%args", i, "ptr"), "ptr") for i in range(4))
    first_row = task.multiply(task.divide("%index", across), rows)
    first_column = task.multiply(task.value(f"urem i64 %index, {across}"), columns)
    element = _ELEMENTS[spec.dtype]
    corner = task.add(task.multiply(first_row, spec.c_row), first_column)
    pointers = [
        task.gep(a, task.multiply(first_row, spec.a_row), element),
        task.gep(b, task.multiply(first_column, spec.b_column), element),
        task.gep(c, corner, element),
        task.gep(work, task.multiply("%index", share // item), element),
    ]
    height = task.minimum(task.subtract(spec.m, first_row), rows)
    width = task.minimum(task.subtract(spec.n, first_column), columns)
    call(task, pointers, height, width)
    parameters = ["ptr noalias %a", "ptr noalias %b", "ptr noalias %c", "ptr noalias %work"]
    functions = [
        *code.functions,
        whole.function(symbol, parameters),
        task.function(f"{symbol}_task", ["ptr %args", "i64 %index"]),
    ]
    workspace = max(sizes.workspace(spec.m, spec.k, spec.n), tasks * share)
    return MatmulCode(
        symbol, f"{symbol}_task", tasks, workspace, tuple(functions), code.declarations
    )
