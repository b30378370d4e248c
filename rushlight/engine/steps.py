"""Writing native programs of general kernels: memory, copies, rows and reductions.

A `Steps` holds the program as it grows (``codegen/general.py`` says what its words are) and the
memory that it works in.  Each method writes the words of one operation, or says that no kernel
does it.  Compiled by mypyc: plain typed code.
"""

from __future__ import annotations

from struct import pack_into
from typing import Any, Final

import numpy as np
from mypy_extensions import i64, mypyc_attr

from ..base import dtype as dt
from ..base.lazy import later
from ..graph.op import Spec
from ..runtime.buffer import Buffer
from ..runtime.native import Table

eager_steps: Final[Any] = later("rushlight.engine.eager_steps")

FILL: Final = 4095  # in an operation's place: convert to the result's type
WORDS: Final = 1 << 13  # words of a program that is run in one call
NUMBERS: Final = 1 << 9  # Python numbers a stretch may have
SMALL: Final = 1 << 15  # bytes up to which a value that does not leave lies in the arena
ARENA: Final = 1 << 18
SHORT: Final = 16  # rows with fewer elements, and at least so many of them, are not called one by
MANY: Final = 16  # one: their operands are copied as the result lies
IDLE: Final = 1 << 18  # bytes that may wait for the next call before they are free again
DEEP: Final = 24  # dimensions that `nest` walks


Ints = tuple[int, ...]
UNKNOWN: Final = Spec((), dt.bool_, ())


PLAIN: Final[i64] = dt.float64.code  # types up to here have kernels


@mypyc_attr(acyclic=True)
class Cell:
    """A value: where it starts, what keeps its memory, and its spec, in whose strides it lies."""

    def __init__(self) -> None:
        self.at: i64 = 0
        self.mem: Any = None  # a Buffer or what stands for one; None: nothing to keep
        self.spec: Spec = UNKNOWN
        self.whole: bool = False  # `mem` is a Buffer that holds this value and no other
        self.mode: i64 = 0  # of a Python number: how kernels read it
        self.number: Any = None
        # of a record of the stretch that is being run, see `first.run`
        self.slot: i64 = -1  # whose value it is
        self.kind: i64 = 0  # what that record is
        self.last: i64 = -1  # who reads it as the last; the number of records: it leaves
        self.made: bool = False


def count(shape: Ints) -> i64:
    """Elements of a shape."""
    n: i64 = 1
    for d in shape:
        k: i64 = d
        n *= k
    return n


def row_major(shape: Ints, strides: Ints) -> bool:
    """Row-major without gaps; dimensions of size 1 do not count."""
    want: i64 = 1
    for i in range(len(shape) - 1, -1, -1):
        n: i64 = shape[i]
        if n == 0:
            return True
        if n != 1:
            s: i64 = strides[i]
            if s != want:
                return False
            want *= n
    return True


@mypyc_attr(acyclic=True)
class Near:
    """The kernel that an operation took last; never changed: other threads may look."""

    def __init__(self, key: i64, address: Any) -> None:
        self.key: i64 = key
        self.address: Any = address


class Rows:
    """Kernels of elementwise rows under one default float type."""

    def __init__(self) -> None:
        self.known: dict[i64, int] = {}
        self.near: list[Near] = [Near(-1, None)] * NEAR


NEAR: Final = 128  # a power of two
ROWS: Final = Rows()
OTHER_ROWS: Final = Rows()  # where float64 is the default type


class Steps:
    """Memory for one native program at a time, and the program as it grows."""

    def __init__(self) -> None:
        table = Table(WORDS + NUMBERS)
        addresses = eager_steps.program()
        self.memory: Any = table.q
        self.doubles: Any = table.d
        self.base: i64 = table.address
        self.numbers_at: i64 = table.address + 8 * WORDS
        self.call: Any = table.callable(addresses[0], keep=table)
        self.write_call: Any = table.writer(addresses[0], WORDS, keep=table)
        self.nest: int = addresses[1]
        self.copy_bytes: int = addresses[2]
        self.copy_strided: list[int] = [0] * 17
        for k in range(5):
            self.copy_strided[1 << k] = addresses[3 + k]
        self.words: list[Any] = []  # integers
        self.arena: Buffer = Buffer(ARENA)
        self.used: i64 = 0
        self.waiting: list[Any] = []  # memory that the program may use and nobody else needs
        self.idle: i64 = 0
        # kernels for the default float type of this run; None: there are none
        self.rows_of: Rows | None = ROWS

    # ------------------------------------------------------------ the program
    def flush(self) -> None:
        """Run what has been written."""
        words = self.words
        if words:
            words.append(0)
            self.words = []
            done = self.write_call(words)
            if done is False:
                pack_into(f"{len(words)}q", self.memory, 0, *words)
                done = self.call()
            if done is None:
                self.passed()
            else:
                self.stopped()
        if self.waiting:
            self.waiting = []
            self.idle = 0

    def passed(self) -> None:
        """The program ran to its end."""

    def stopped(self) -> None:
        """The program was ended by a value that is not allowed."""
        raise AssertionError("a program without checks was stopped")

    def room(self) -> None:
        """Make room for one more step."""
        if len(self.words) > WORDS - 400 or self.idle > IDLE:
            self.flush()

    # ------------------------------------------------------------ memory
    def place(self, out: Cell, spec: Spec, leaves: bool) -> i64:
        """Memory for a value in its spec's (dense) strides; how many elements it has."""
        n = count(spec.shape)
        nbytes = n * spec.dtype.itemsize
        out.spec = spec
        if not leaves and nbytes <= SMALL and self.used + nbytes + 64 <= ARENA:
            out.at = self.arena.address + self.used
            self.used += (nbytes + 63) & -64
            out.mem = self.arena
            out.whole = False
            return n
        b = Buffer(nbytes)
        out.at = b.address
        out.mem = b
        out.whole = True
        return n

    def let_go(self, c: Cell) -> None:
        """Nothing after this reads the value."""
        m = c.mem
        if m is not None and m is not self.arena:
            self.waiting.append(m)
            if isinstance(m, Buffer):
                self.idle += m.nbytes
            else:
                n: i64 = m.nbytes
                self.idle += n
        c.mem = None

    def reach(self, c: Cell) -> int:
        """Where a value starts, for the program: its memory is kept until that has run, whether
        its cell is kept or not."""
        m = c.mem
        if m is not None and m is not self.arena:
            self.waiting.append(m)
        return int(c.at)

    def array(self, c: Cell) -> Any:
        """A value as an array of NumPy's."""
        s = c.spec
        d = s.dtype
        if count(s.shape) == 0:
            return EMPTY(s.shape, dt.array_type(d))
        size = d.itemsize
        m = c.mem
        return m.array(
            dt.array_type(d), s.shape, tuple([k * size for k in s.strides]), int(c.at) - m.address
        )

    # ------------------------------------------------------------ copies
    def copy(self, to: i64, strides: Ints, shape: Ints, x: Cell) -> None:
        """Write ``x``, broadcast to ``shape``, to memory at ``to`` in ``strides`` (elements)."""
        self.room()
        spec = x.spec
        size: i64 = spec.dtype.itemsize
        have = spec.strides
        from_shape = spec.shape
        if from_shape == shape and row_major(shape, have) and row_major(shape, strides):
            nbytes = count(shape) * size
            if nbytes:
                self.words.extend([self.copy_bytes, int(nbytes), int(to), self.reach(x)])
            return
        k = len(shape) - len(from_shape)
        sizes: list[i64] = []
        outs: list[i64] = []
        ins: list[i64] = []
        for d in range(len(shape)):
            n: i64 = shape[d]
            if n == 0:
                return
            if n == 1:
                continue
            o: i64 = strides[d]
            i: i64 = 0
            if d >= k and from_shape[d - k] != 1:
                i = have[d - k]
            if sizes and outs[-1] == o * n and ins[-1] == i * n:
                sizes[-1] *= n
                outs[-1] = o
                ins[-1] = i
            else:
                sizes.append(n)
                outs.append(o)
                ins.append(i)
        words = self.words
        rank = len(sizes)
        if rank > DEEP:
            part = Cell()
            part.mem = x.mem
            part.spec = Spec(
                tuple([int(n) for n in sizes[1:]]), spec.dtype, tuple([int(i) for i in ins[1:]])
            )
            further = tuple([int(o) for o in outs[1:]])
            part.at = x.at
            for _ in range(int(sizes[0])):
                self.copy(to, further, part.spec.shape, part)
                part.at += ins[0] * size
                to += outs[0] * size
            return
        if rank == 0:
            words.extend([self.copy_bytes, int(size), int(to), self.reach(x)])
            return
        last = rank - 1
        even = outs[last] == 1 and ins[last] == 1
        if even and rank == 1:
            words.extend([self.copy_bytes, int(sizes[0] * size), int(to), self.reach(x)])
            return
        best = last
        if not even:  # the longest dimension is walked by the kernel
            for d in range(rank):
                if sizes[d] > sizes[best]:
                    best = d
        if even:
            words.extend([self.nest, self.copy_bytes, int(sizes[last] * size), 2, 0])
            words.extend([rank - 1, int(to), self.reach(x)])
        else:
            words.extend([self.nest, self.copy_strided[size], int(sizes[best]), 2, 2])
            words.extend([rank - 1, int(to), self.reach(x)])
            words.extend([int(outs[best] * size), int(ins[best] * size)])
        for d in range(last, -1, -1):
            if d != best:
                words.extend([int(sizes[d]), int(outs[d] * size), int(ins[d] * size)])

    def laid(self, x: Cell, shape: Ints, strides: Ints) -> Cell:
        """``x`` read as ``shape`` and ``strides`` in row-major memory of its own."""
        view = Cell()
        view.at = x.at
        view.mem = x.mem
        view.spec = Spec(shape, x.spec.dtype, strides)
        out = Cell()
        self.place(out, Spec(shape, x.spec.dtype), False)
        self.copy(out.at, out.spec.strides, shape, view)
        self.reach(out)  # now: to write the copy may have taken a new program
        return out

    def contiguous(self, x: Cell) -> Cell:
        """``x``, or a row-major copy of it."""
        s = x.spec
        if row_major(s.shape, s.strides):
            return x
        return self.laid(x, s.shape, s.strides)

    # ------------------------------------------------------------ elementwise
    def row(self, code: i64, xs: list[Cell], spec: Spec, leaves: bool, out: Cell) -> bool:
        """An elementwise operation; False when there is no kernel for it (yet)."""
        shape = spec.shape
        strides = spec.strides
        flat = True
        if len(xs) > 4 or spec.dtype.code > PLAIN:
            return False
        key: i64 = (code << 5) | spec.dtype.code
        for x in xs:
            s = x.spec
            if x.mode:
                key = key << 8 | x.mode
                continue
            c: i64 = s.dtype.code
            if c > PLAIN:
                return False
            if s is not spec and (
                (s.shape is not shape and s.shape != shape)
                or (s.strides is not strides and s.strides != strides)
            ):
                if count(s.shape) == 1:
                    key = key << 8 | c << 3 | (1 if s.shape else 2)
                    continue
                if s.shape != shape or not (
                    row_major(s.shape, s.strides) and row_major(shape, strides)
                ):
                    flat = False
                    break
            key = key << 8 | c << 3 | (0 if shape else 2)
        if not flat:
            return self.rows(code, xs, spec, leaves, out)
        address = self.kernel(code, key, xs, spec)
        if address is None:
            return False
        self.room()
        n = self.place(out, spec, leaves)
        if n:
            words = self.words
            words.append(address)
            words.append(int(n))
            words.append(self.reach(out))
            for x in xs:
                words.append(self.reach(x))
        return True

    def kernel(self, code: i64, key: i64, xs: list[Cell], spec: Spec) -> Any:
        """The address of an elementwise kernel, None when there is none."""
        rows = self.rows_of
        if rows is None:
            return None
        at = (key ^ key >> 5 ^ key >> 11) & (NEAR - 1)
        near = rows.near[at]
        if near.key == key:
            return near.address
        address = rows.known.get(key, 0)
        if address == 0:
            modes: list[int] = []
            k = key
            for _ in xs:
                modes.insert(0, int(k & 7))
                k = k >> 8
            specs = [x.spec for x in xs]
            address = eager_steps.elementwise(
                int(code), modes, specs, spec.dtype, (int(key), dt.Defaults.float.code)
            )
            if not address:
                return None
            rows.known[key] = address
        rows.near[at] = Near(key, address)
        return address

    def rows(self, code: i64, xs: list[Cell], spec: Spec, leaves: bool, out: Cell) -> bool:
        """An elementwise operation on operands of different layouts: row by row."""
        shape = spec.shape
        rank = len(shape)
        if count(shape) == 0:
            self.place(out, spec, leaves)
            return True
        order = [d for d in range(rank) if shape[d] != 1]
        order.sort(key=lambda d: -spec.strides[d])
        if not order or spec.strides[order[-1]] != 1:
            return False
        for again in range(2):
            sizes: list[i64] = []
            steps: list[list[i64]] = []  # of the result and every operand that is no number
            for d in order:
                n: i64 = shape[d]
                line: list[i64] = [spec.strides[d]]
                for x in xs:
                    if x.mode == 0:
                        s = x.spec
                        k = d - rank + len(s.shape)
                        line.append(0 if k < 0 or s.shape[k] == 1 else s.strides[k])
                if sizes:
                    merges = True
                    before = steps[-1]
                    for i in range(len(line)):
                        if before[i] != line[i] * n:
                            merges = False
                            break
                    if merges:
                        sizes[-1] *= n
                        steps[-1] = line
                        continue
                sizes.append(n)
                steps.append(line)
            inner = steps[-1]
            if again:
                break
            if sizes[-1] < SHORT and count(shape) >= sizes[-1] * MANY:
                return self.row(code, [self.spread(x, spec) for x in xs], spec, leaves, out)
            uneven = False
            k = 0
            fresh: list[Cell] = []
            for x in xs:
                if x.mode == 0:
                    k += 1
                    if inner[k] != 0 and inner[k] != 1:
                        x = self.turned(x, order, rank)
                        uneven = True
                fresh.append(x)
            if not uneven:
                break
            xs = fresh
        key: i64 = (code << 5) | spec.dtype.code
        k = 0
        for x in xs:
            if x.mode:
                key = key << 8 | x.mode
            else:
                k += 1
                if inner[k] != 0 and inner[k] != 1:
                    return False
                c: i64 = x.spec.dtype.code
                key = key << 8 | c << 3 | (2 if not x.spec.shape else 1 - inner[k])
        address = self.kernel(code, key, xs, spec) if len(sizes) <= DEEP else None
        if address is None:
            return False
        self.room()
        self.place(out, spec, leaves)
        words = self.words
        last = len(sizes) - 1
        words.extend([self.nest, address, int(sizes[last]), 1 + len(xs), 0, last, self.reach(out)])
        for x in xs:
            words.append(self.reach(x))
        for d in range(last - 1, -1, -1):
            words.append(int(sizes[d]))
            line = steps[d]
            words.append(int(line[0]) * spec.dtype.itemsize)
            k = 0
            for x in xs:
                if x.mode:
                    words.append(0)
                else:
                    k += 1
                    words.append(int(line[k]) * x.spec.dtype.itemsize)
        return True

    def spread(self, x: Cell, spec: Spec) -> Cell:
        """An operand as the result lies: repeated where it is broadcast, unless it is one
        element."""
        s = x.spec
        if x.mode or (s.shape == spec.shape and s.strides == spec.strides) or count(s.shape) == 1:
            return x
        out = Cell()
        self.place(out, Spec(spec.shape, s.dtype, spec.strides), False)
        self.copy(self.reach(out), spec.strides, spec.shape, x)
        return out

    def turned(self, x: Cell, order: list[int], rank: i64) -> Cell:
        """A copy of an operand that lies in the result's order of dimensions."""
        s = x.spec
        k = len(s.shape) - rank
        strides = [0] * len(s.shape)
        step = 1
        for d in reversed(order):
            if d + k >= 0:
                strides[d + k] = step
                step *= s.shape[d + k]
        spec = Spec(s.shape, s.dtype, tuple(strides))
        out = Cell()
        self.place(out, spec, False)
        self.copy(out.at, spec.strides, s.shape, x)
        self.reach(out)
        return out

    # ------------------------------------------------------------ reductions
    def fold(self, name: str, x: Cell, dims: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
        """``sum``, ``prod``, ``amax`` or ``amin`` of floats."""
        s = x.spec
        if s.dtype is not dt.float32 and s.dtype is not dt.float64:
            return False
        shape = s.shape
        k: i64 = 1
        outer: i64 = 1
        inner: i64 = 1
        state = 0  # 0: kept dimensions, 1: reduced ones, 2: kept ones again, 3: reduced again
        for d in range(len(shape)):
            n: i64 = shape[d]
            if n == 1:
                continue
            if d in dims:
                k *= n
                state = 3 if state >= 2 else 1
            elif state == 0:
                outer *= n
            else:
                inner *= n
                state = 2 if state < 3 else 4
        if k == 0 or outer * inner == 0:
            return False
        if state == 3:  # along the last dimension, with kept ones between: lanes
            x = self.permuted(x, [d for d in range(len(shape)) if d not in dims], dims)
            outer *= inner
            state = 1
        elif state == 4:
            x = self.permuted(x, dims, [d for d in range(len(shape)) if d not in dims])
            inner *= outer
            outer = 1
            state = 2
        else:
            x = self.contiguous(x)
        lanes = state == 1
        key = (name, s.dtype.code, lanes)
        address = FOLDS.get(key, 0)
        if address == 0:
            address = eager_steps.fold(name, s.dtype.code, lanes)
            if address == 0:
                return False
            FOLDS[key] = address
        self.room()
        self.place(out, spec, leaves)
        words = self.words
        words.extend([address, 0, self.reach(out), self.reach(x), int(outer), int(k)])
        if not lanes:
            words.append(int(inner))
        return True

    def permuted(self, x: Cell, first: Any, then: Any) -> Cell:
        """A row-major copy with the dimensions in another order."""
        s = x.spec
        order = [*first, *then]
        return self.laid(
            x, tuple([s.shape[d] for d in order]), tuple([s.strides[d] for d in order])
        )


EMPTY: Final[Any] = np.empty
FOLDS: Final[dict[tuple[str, int, bool], int]] = {}
