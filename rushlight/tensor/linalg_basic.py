"""Products of vectors and matrices: matmul and its kin, einsum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.base.shape import Ints, broadcast_shapes, numel, wrap_dim
from rushlight.engine import Tensor
from rushlight.engine.core import record2, scaled
from rushlight.graph.ops import complexes as cx
from rushlight.graph.ops import contract, movement
from rushlight.graph.ops.elementwise import add, mul
from rushlight.graph.ops.join import cat as CAT
from rushlight.graph.ops.reduce import sum_
from rushlight.graph.shaping import NAMES
from rushlight.tensor import shape as sh
from rushlight.tensor.install import (
    both,
    function,
    give,
    let_write,
    method,
    named,
    need_tensor,
    refuse,
)

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


# ---------------------------------------------------------------- matmul
MATMUL: Final[int] = contract.matmul.code


def product(x: Tensor, y: Tensor) -> Tensor:
    """`x @ y`: vectors are rows left and columns right, leading dimensions broadcast."""
    a, b = len(x.shape), len(y.shape)
    if a >= 2 and b >= 2:
        return record2(MATMUL, x, y, None)
    if not a or not b:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D"
        )
    if (a == 1 or b == 1) and x.dtype is not y.dtype:
        x, y = engine.lowered(x, y)
    if a == 1 and b == 1:
        return _inner(x, y, "inconsistent tensor size, expected tensor "
                      f"[{x.shape[0]}] and src [{y.shape[0]}] to have the same number of elements, "
                      f"but got {x.shape[0]} and {y.shape[0]} elements respectively")  # fmt: skip
    if a == 1:
        made = apply(contract.matmul, look(movement.unsqueeze, x, 0), y)
        return sh.reshaped(made, (*made.shape[:-2], made.shape[-1]))
    if x.shape[-1] != y.shape[0]:
        rows = numel(tuple(x.shape[:-1]))
        raise RuntimeError(
            f"size mismatch, got input ({rows}), mat ({rows}x{x.shape[-1]}), vec ({y.shape[0]})"
        )
    if x.dtype is not y.dtype:
        _need_one_type("addmv", y, x, y)
    made = apply(contract.matmul, x, look(movement.unsqueeze, y, 1))
    return sh.reshaped(made, tuple(made.shape[:-1]))


def _inner(x: Tensor, y: Tensor, words: str) -> Tensor:
    if x.dtype is not y.dtype:
        raise RuntimeError(
            "dot : expected both vectors to have same dtype, but found "
            f"{x.dtype.typename} and {y.dtype.typename}"
        )
    if x.shape[0] != y.shape[0]:
        raise RuntimeError(words)
    made = apply(contract.matmul, look(movement.unsqueeze, x, 0), look(movement.unsqueeze, y, 1))
    return sh.reshaped(made, ())


@both()
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product of vectors, matrices or batches of them."""
    need_tensor(input, "matmul")
    need_tensor(other, "matmul", "other", 2)
    if isinstance(input, engine.Scattered) or isinstance(other, engine.Scattered):
        return input @ other  # type: ignore[no-any-return]
    made = product(input, other)
    return made if out is None else give(made, out, "matmul")


engine.set_matmul(product)


def _reflected(self: Tensor, other: Any) -> Any:
    return product(other, self) if isinstance(other, Tensor) else NotImplemented


setattr(Tensor, "__rmatmul__", named(_reflected, "__rmatmul__", "Tensor."))


@both()
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices."""
    if type(input) is not Tensor:
        if isinstance(input, engine.Scattered):
            return input @ mat2  # type: ignore[no-any-return]
        need_tensor(input, "mm")
    if not isinstance(mat2, Tensor):
        need_tensor(mat2, "mm", "mat2", 2)
    if len(input.shape) != 2:
        raise RuntimeError("self must be a matrix")
    if len(mat2.shape) != 2:
        raise RuntimeError("mat2 must be a matrix")
    made = record2(MATMUL, input, mat2, None)
    return made if out is None else give(made, out, "mm")


@both()
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of two batches of matrices of one length."""
    need_tensor(input, "bmm")
    need_tensor(mat2, "bmm", "mat2", 2)
    for name, x in (("batch1", input), ("batch2", mat2)):
        if len(x.shape) != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    (b, _, k), (c, m, _) = input.shape, mat2.shape
    if b != c or k != m:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {k}] but got: "
            f"[{c}, {m}]."
        )
    return give(apply(contract.matmul, input, mat2), out, "bmm")


@both()
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A matrix times a vector."""
    need_tensor(input, "mv")
    need_tensor(vec, "mv", "vec", 2)
    if len(input.shape) != 2 or len(vec.shape) != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {1}, {len(input.shape)}, {len(vec.shape)}"
        )
    return give(product(input, vec), out, "mv")


@both("dot")
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of products of two vectors."""
    need_tensor(input, "dot")
    need_tensor(tensor, "dot", "tensor", 2)
    if len(input.shape) != 1 or len(tensor.shape) != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {len(input.shape)}D and {len(tensor.shape)}D tensors"
        )
    a, b = input.shape[0], tensor.shape[0]
    words = (
        f"inconsistent tensor size, expected tensor [{a}] and src [{b}] to have the same number of "
        f"elements, but got {a} and {b} elements respectively"
    )
    return give(_inner(input, tensor, words), out, "dot")


@both("vdot")
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of products of two vectors, the first one conjugated."""
    need_tensor(input, "vdot")
    if input.dtype.kind == "c":
        input = apply(cx.conj, input)
    return dot(input, other, out=out)


@both("inner")
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions."""
    need_tensor(input, "inner")
    need_tensor(other, "inner", "other", 2)
    if not input.shape or not other.shape:
        return apply(mul, input, other)
    if input.dtype is not other.dtype:
        raise RuntimeError("both inputs should have same dtype")
    return tensordot(input, other, ([-1], [-1]))


@both("outer", "ger")
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of elements of two vectors."""
    need_tensor(input, "outer")
    need_tensor(vec2, "outer", "vec2", 2)
    for name, x in (("self", input), ("vec2", vec2)):
        if len(x.shape) != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {len(x.shape)}-D")
    made = apply(mul, look(movement.unsqueeze, input, 1), vec2)
    return made if out is None else give(made, out, "outer")


# ---------------------------------------------------------------- sums of products
def _need_one_type(name: str, *operands: Tensor) -> None:
    """`RuntimeError`, in PyTorch's words, unless the three operands are of one type."""
    a, b, c = (x.dtype for x in operands)
    if a is b is c:
        return
    if name == "addmv":
        words = "addmv input tensors must have the same dtype, but got "
        raise RuntimeError(words + f"{a.typename}, {b.typename}, and {c.typename}")
    if name == "baddbmm":
        if a is b:
            raise RuntimeError(f"expected scalar type {b.typename} but found {c.typename}")
        names = [NAMES.get(k.name, k.name) for k in (a, b, c)]
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {names[0]}, batch1: {names[1]}, batch2: "
            f"{names[2]}"
        )
    first, kind = ("mat1", b) if a is c else ("self", a)
    raise RuntimeError(
        f"{first} and mat2 must have the same dtype, but got {kind.typename} and {c.typename}"
    )


def _added(name: str, ranks: tuple[int, int], fold: bool) -> None:
    def f(
        input: Tensor,
        first: Tensor,
        second: Tensor,
        *,
        beta: Any = 1,
        alpha: Any = 1,
        out: Tensor | None = None,
    ) -> Tensor:
        need_tensor(input, name)
        need_tensor(first, name, "mat1", 2)
        need_tensor(second, name, "mat2", 3)
        if (len(first.shape), len(second.shape)) != ranks:
            raise RuntimeError(
                f"{name}: expected operands of {ranks[0]} and {ranks[1]} dimensions, but got "
                f"{len(first.shape)}D and {len(second.shape)}D"
            )
        if not (input.dtype is first.dtype is second.dtype):
            if name != "addmv":
                input, first, second = engine.lowered(input, first, second)
            _need_one_type(name, input, first, second)
        if input.dtype.rank < 2 and first.dtype.rank < 2 and second.dtype.rank < 2:
            beta, alpha = int(beta), int(alpha)  # integers are scaled by integers
        if name == "addmm" and beta == 1 and alpha == 1:
            return give(apply(contract.addmm, input, first, second), out, name)
        made = product(first, second)
        if fold:
            made = apply(sum_, made, arg=((0,), False))
        made = made if alpha == 1 else scaled(made, alpha)
        if beta == 0:
            made = look(
                movement.expand, made, broadcast_shapes(tuple(input.shape), tuple(made.shape))
            )
            return give(made, out, name)
        return give(made + (input if beta == 1 else scaled(input, beta)), out, name)

    f.__doc__ = f"`{name}`: `beta * input + alpha * (first @ second)`."
    both(name)(f)

    def write(
        self: Tensor, first: Tensor, second: Tensor, *, beta: Any = 1, alpha: Any = 1
    ) -> Tensor:
        engine.check_inplace(self)
        return engine.settle(name, self, f(self, first, second, beta=beta, alpha=alpha))

    write.__doc__ = f"`{name}`, written into the tensor."
    method(name + "_")(write)


for _name, _ranks, _fold in (
    ("addmm", (2, 2), False), ("addmv", (2, 1), False), ("baddbmm", (3, 3), False),
    ("addbmm", (3, 3), True),
):  # fmt: skip
    _added(_name, _ranks, _fold)


@both()
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * outer(vec1, vec2)`."""
    made = outer(vec1, vec2)
    if input.dtype.rank < 2 and made.dtype.rank < 2:
        beta, alpha = int(beta), int(alpha)  # integers are scaled by integers
        if input.dtype.kind == made.dtype.kind == "b":
            beta, alpha = bool(beta), bool(alpha)
    made = made if alpha == 1 else scaled(made, alpha)
    return apply(add, made, input if beta == 1 else scaled(input, beta))


@method()
def addr_(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`addr`, written into the tensor."""
    engine.check_inplace(self)
    return engine.settle("addr_", self, addr(self, vec1, vec2, beta=beta, alpha=alpha))


@function("chain_matmul")
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, from the left."""
    made = matrices[0]
    for x in matrices[1:]:
        made = product(made, x)
    return made


@function("tensordot")
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sums of products over pairs of dimensions: last of `a` with first of `b`, or listed."""
    n, m = len(a.shape), len(b.shape)
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(n, m):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = list(range(n - dims, n)), list(range(dims))
    else:
        left, right = ([int(d) for d in side] for side in dims)
    left, right = [wrap_dim(d, n) for d in left], [wrap_dim(d, m) for d in right]
    for i, j in zip(left, right):
        if a.shape[i] == 1 != b.shape[j]:  # one element for all: the other's are added up first
            b = apply(sum_, b, arg=((j,), True))
        elif b.shape[j] == 1 != a.shape[i]:
            a = apply(sum_, a, arg=((i,), True))
        if a.shape[i] != b.shape[j]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} "
                f"and second has size {b.shape[j]} in dim {j}"
            )
    free_a = [d for d in range(n) if d not in left]
    free_b = [d for d in range(m) if d not in right]
    k = numel(tuple(a.shape[d] for d in left))
    rows, columns = (tuple(x.shape[d] for d in free) for x, free in ((a, free_a), (b, free_b)))
    x = sh.reshaped(sh.permuted(a, tuple(free_a + left)), (numel(rows), k))
    y = sh.reshaped(sh.permuted(b, tuple(right + free_b)), (k, numel(columns)))
    return give(sh.reshaped(apply(contract.matmul, x, y), rows + columns), out, "tensordot")


@both()
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product."""
    need_tensor(input, "kron")
    need_tensor(other, "kron", "other", 2)
    n = max(len(input.shape), len(other.shape))
    a = (1,) * (n - len(input.shape)) + tuple(input.shape)
    b = (1,) * (n - len(other.shape)) + tuple(other.shape)
    x = sh.reshaped(input, tuple(v for d in a for v in (d, 1)))
    y = sh.reshaped(other, tuple(v for d in b for v in (1, d)))
    return sh.reshaped(x * y, tuple(p * q for p, q in zip(a, b)))


@both("cross")
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of size 3."""
    need_tensor(input, "cross")
    need_tensor(other, "cross", "other", 2)
    if dim is None and 3 not in input.shape:
        raise RuntimeError("no dimension of size 3 in input")
    if len(input.shape) != len(other.shape):
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.typename} but found {other.dtype.typename}"
        )
    refuse(input, "b", "\"cross\" not implemented for '{type}'")
    shape = broadcast_shapes(tuple(input.shape), tuple(other.shape))
    if dim is None:
        dim = next((d for d, n in enumerate(shape) if n == 3), -1)
    if shape[dim] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3.")
    x, y = look(movement.expand, input, shape), look(movement.expand, other, shape)
    a = [sh.narrow(x, dim, i, 1) for i in range(3)]
    b = [sh.narrow(y, dim, i, 1) for i in range(3)]
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return apply(CAT, *parts, arg=dim % len(shape))


# ---------------------------------------------------------------- einsum
@function()
def einsum(*args: Any) -> Tensor:
    """Sums of products over named dimensions: `einsum("bij,bjk->bik", x, y)`."""
    text, operands = _equation(args)
    inputs, output = _parsed(text, operands)
    terms = [_diagonals(x, list(names)) for x, names in zip(operands, inputs)]
    made, names = terms[0]
    for k, (y, other) in enumerate(terms[1:], 1):
        later = set(output).union(*[set(n) for _, n in terms[k + 1 :]])
        made, names = _pair(made, names, y, other, later)
    made, names = _summed(made, names, set(output))
    return sh.permuted(made, tuple(names.index(n) for n in output))


def _equation(args: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    if not args:
        raise ValueError("einsum(): must specify the equation string and at least one operand")
    if isinstance(args[0], str):
        rest = args[1:]
        if len(rest) == 1 and isinstance(rest[0], tuple | list):
            rest = tuple(rest[0])
        return args[0].replace(" ", ""), list(rest)

    # operands beside lists of integers
    def letters(sub: Any) -> str:
        return "".join(
            "..." if s is Ellipsis else chr(ord("A") + s if s < 26 else ord("a") + s - 26)
            for s in sub
        )

    pairs = len(args) // 2
    text = ",".join(letters(args[2 * i + 1]) for i in range(pairs))
    if len(args) % 2:
        text += "->" + letters(args[-1])
    return text, [args[2 * i] for i in range(pairs)]


def _parsed(text: str, operands: list[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The names of each operand's dimensions and of the result's; `...` gets names of its own."""
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum(): {'more' if len(operands) > len(terms) else 'fewer'} operands were provided "
            "than specified in the equation"
        )
    rest = 0
    for i, (term, x) in enumerate(zip(terms, operands)):
        need_tensor(x, "einsum", "operands", i + 2)
        named_dims = len(term.replace("...", ""))
        if "..." in term:
            rest = max(rest, len(x.shape) - named_dims)
        elif named_dims != len(x.shape):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named_dims}) does not match "
                f"the number of dimensions ({len(x.shape)}) for operand {i} and no ellipsis was "
                "given"
            )
    dots = [f"...{i}" for i in range(rest)]
    inputs = []
    for term, x in zip(terms, operands):
        before, found, after = term.partition("...")
        k = len(x.shape) - len(before) - len(after) if found else 0
        inputs.append([*before, *(dots[rest - k :] if k else []), *after])
    if arrow:
        before, found, after = right.partition("...")
        output = [*before, *(dots if found else []), *after]
    else:
        counts = "".join(terms).replace(".", "")
        output = dots + sorted(c for c in set(counts) if counts.count(c) == 1)
    known = {n for names in inputs for n in names}
    for n in output:
        if n not in known:
            raise RuntimeError(
                f"einsum(): output subscript {n} does not appear in the equation for any input "
                "operand"
            )
    _check_sizes(inputs, operands)
    return inputs, output


def _check_sizes(inputs: list[list[str]], operands: list[Tensor]) -> None:
    sizes: dict[str, int] = {}
    for i, (names, x) in enumerate(zip(inputs, operands)):
        for n, d in zip(names, x.shape):
            if sizes.setdefault(n, d) not in (d, 1) and d != 1:
                raise RuntimeError(
                    f"einsum(): subscript {n} has size {d} for operand {i} which does not "
                    f"broadcast with previously seen size {sizes[n]}"
                )
            sizes[n] = max(sizes[n], d) if d else d


def _diagonals(x: Tensor, names: list[str]) -> tuple[Tensor, list[str]]:
    """Repeated names of one operand become a diagonal."""
    while len(set(names)) < len(names):
        name = next(n for n in names if names.count(n) > 1)
        i = names.index(name)
        j = names.index(name, i + 1)
        x = sh.diagonal(x, 0, i, j)
        names = [n for k, n in enumerate(names) if k not in (i, j)] + [name]
    return x, names


def _summed(x: Tensor, names: list[str], keep: set[str]) -> tuple[Tensor, list[str]]:
    gone = tuple(i for i, n in enumerate(names) if n not in keep)
    if not gone:
        return x, names
    return apply(sum_, x, arg=(gone, False)), [n for n in names if n in keep]


def _pair(
    x: Tensor, names: list[str], y: Tensor, other: list[str], later: set[str]
) -> tuple[Tensor, list[str]]:
    """Two operands as one batched matrix product; names that nobody else needs are summed."""
    x, names = _summed(x, names, later | set(other))
    y, other = _summed(y, other, later | set(names))
    shared = [n for n in names if n in other]
    batch = [n for n in shared if n in later]
    inner_ = [n for n in shared if n not in later]
    left = [n for n in names if n not in other]
    right = [n for n in other if n not in names]
    size = dict(zip(names, x.shape))
    for n, d in zip(other, y.shape):
        size[n] = max(size.get(n, 1), d)

    def shaped(t: Tensor, have: list[str], groups: list[list[str]]) -> Tensor:
        order = [n for g in groups for n in g]
        t = sh.permuted(t, tuple(have.index(n) for n in order))
        t = look(movement.expand, t, tuple(size[n] for n in order))
        shape: Ints = tuple(size[n] for n in batch)
        tail = tuple(numel(tuple(size[n] for n in g)) for g in groups[1:])
        return sh.reshaped(t, shape + tail)

    a = shaped(x, names, [batch, left, inner_])
    b = shaped(y, other, [batch, inner_, right])
    made = apply(contract.matmul, a, b)
    result = batch + left + right
    return sh.reshaped(made, tuple(size[n] for n in result)), result


let_write("addr", "chain_matmul", "cross", "inner", "kron")
