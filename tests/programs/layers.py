# ruff: noqa: E501 - statements of programs stand on one line
"""Programs of layers: what `Generator` lacks, on values of every layout, some of them large.

Convolutions, pooling, normalisation, recurrent layers, attention, losses, sorting, scattering,
optimisers, and chains of so many small operations that a first run's native program is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from .names import FLOATS, GRAPH, NO, Var
from .placed import F, Placed
from .program import Program


class Layers(Placed):
    """Makes one program."""

    def step(self) -> None:
        table: list[tuple[int, Callable[[], Any]]] = [
            (9, self.convolution),
            (5, self.transposed_convolution),
            (7, self.pooling),
            (6, self.normalisation),
            (4, self.recurrent),
            (3, self.attention),
            (5, self.losses),
            (4, self.softmax),
            (5, self.ordered),
            (6, self.placed),
            (6, self.chain),
            (5, self.long_sum),
            (8, self.product),
            (5, self.odd_rows),
            (3, self.padded),
            (3, self.training),
            (12, self.backward if self.graded else self.read),
            (4, self.read),
        ]
        if self.r.random() < 0.3:
            super().step()
            return
        f = self.r.choices([k for _, k in table], [w for w, _ in table])[0]
        f()

    # ------------------------------------------------------------ layers
    def convolution(self) -> None:
        r = self.r
        rank = r.choice((1, 1, 2, 2, 2, 3))
        x = self.image(rank)
        n, c, *space = self.shape_of(x)
        given = (
            f"{x}.contiguous()" if self.vars[x].alias else x
        )  # PyTorch reads beside strided views
        groups = r.choice([g for g in range(1, c + 1) if c % g == 0])
        out = groups * r.choice((1, 2, 3, 8))
        kernel, stride, padding, dilation, made = [], [], [], [], []
        for size in space:
            k = r.choice((1, 2, 3, 3, 5))
            d = r.choice((1, 1, 2))
            p = r.choice((0, 1, 2))
            s = r.choice((1, 1, 2, 3))
            if size + 2 * p - d * (k - 1) < 1:
                k, d = 1, 1
            kernel.append(k)
            stride.append(s)
            padding.append(p)
            dilation.append(d)
            made.append((size + 2 * p - d * (k - 1) - 1) // s + 1)
        w, leaf = self.weight((out, c // groups, *kernel))
        b, leaf_b = self.weight((out,)) if r.random() < 0.6 else ("None", False)
        self.result(
            f"{F}.conv{rank}d({given}, {w}, {b}, {tuple(stride)}, {tuple(padding)}, {tuple(dilation)}, {groups})",
            (n, out, *made),
            f"conv{rank}d" + (" groups" if groups > 1 else ""),
            x,
            grad=leaf or leaf_b,
        )

    def transposed_convolution(self) -> None:
        r = self.r
        rank = r.choice((1, 2, 2, 3))
        x = self.image(rank)
        n, c, *space = self.shape_of(x)
        groups = r.choice([g for g in range(1, c + 1) if c % g == 0])
        out = groups * r.choice((1, 2, 4))
        kernel, stride, padding, more, dilation, made = [], [], [], [], [], []
        for size in space:
            k, s, d = r.choice((1, 2, 3, 4)), r.choice((1, 2, 3)), r.choice((1, 1, 2))
            p, o = r.choice((0, 0, 1)), r.choice((0, 0, 1))
            o = o if o < max(s, d) else 0
            length = (size - 1) * s - 2 * p + d * (k - 1) + o + 1
            if length < 1:
                p, o, length = 0, 0, (size - 1) * s + d * (k - 1) + 1
            kernel.append(k)
            stride.append(s)
            padding.append(p)
            more.append(o)
            dilation.append(d)
            made.append(length)
        w, leaf = self.weight((c, out // groups, *kernel))
        b, leaf_b = self.weight((out,)) if r.random() < 0.5 else ("None", False)
        self.result(
            f"{F}.conv_transpose{rank}d({x}, {w}, {b}, {tuple(stride)}, {tuple(padding)}, {tuple(more)}, {groups}, {tuple(dilation)})",
            (n, out, *made),
            f"conv_transpose{rank}d",
            x,
            grad=leaf or leaf_b,
        )

    def pooling(self) -> None:
        r = self.r
        rank = r.choice((1, 2, 2, 3))
        x = self.image(rank)
        n, c, *space = self.shape_of(x)
        if r.random() < 0.3:
            to = tuple(r.choice((1, 2, 3, 4)) for _ in space)
            kind = r.choice(("avg", "max"))
            self.result(
                f"{F}.adaptive_{kind}_pool{rank}d({x}, {to})",
                (n, c, *to),
                f"adaptive_{kind}_pool{rank}d",
                x,
            )
            return
        kernel = tuple(r.choice([k for k in (1, 2, 3, 4) if k <= size]) for size in space)
        stride = tuple(r.choice((1, 2, 3)) for _ in space)
        padding = tuple(r.choice((0, k // 2)) for k in kernel)
        made = tuple((s + 2 * p - k) // t + 1 for s, p, k, t in zip(space, padding, kernel, stride))
        if r.random() < 0.55:
            self.result(
                f"{F}.max_pool{rank}d({x}, {kernel}, {stride}, {padding})",
                (n, c, *made),
                f"max_pool{rank}d",
                x,
            )
        else:
            more = "" if rank == 1 or r.random() < 0.5 else f", divisor_override={r.choice((2, 3))}"
            self.result(
                f"{F}.avg_pool{rank}d({x}, {kernel}, {stride}, {padding}, count_include_pad={r.random() < 0.5}{more})",
                (n, c, *made),
                f"avg_pool{rank}d",
                x,
            )

    def normalisation(self) -> None:
        r = self.r
        form = r.randrange(4)
        x = self.value(r.choice((2, 3, 4)), lambda v: int(v.shape[0]) * int(v.shape[-1]) > 3)
        s = self.shape_of(x)
        c = s[1]
        if form == 0:
            w, leaf = self.weight((c,))
            b, leaf_b = self.weight((c,))
            mean, var = self.name("m"), self.name("m")
            self.emit(
                f"{mean}, {var} = T.zeros({c}, dtype=T.{self.main}), T.ones({c}, dtype=T.{self.main})"
            )
            training = r.random() < 0.7
            self.result(
                f"{F}.batch_norm({x}, {mean}, {var}, {w}, {b}, {training}, 0.1, 1e-2)",
                s,
                "batch_norm",
                x,
                grad=leaf or leaf_b,
            )
            self.emit(f"R({mean}); R({var})")
        elif form == 1:
            k = r.randrange(1, len(s))
            w, leaf = self.weight(s[k:])
            b, leaf_b = self.weight(s[k:])
            self.result(
                f"{F}.layer_norm({x}, {s[k:]}, {w}, {b}, 1e-2)",
                s,
                "layer_norm",
                x,
                grad=leaf or leaf_b,
            )
        elif form == 2:
            groups = r.choice([g for g in range(1, c + 1) if c % g == 0])
            w, leaf = self.weight((c,))
            b, leaf_b = self.weight((c,))
            self.result(
                f"{F}.group_norm({x}, {groups}, {w}, {b}, 1e-2)",
                s,
                "group_norm",
                x,
                grad=leaf or leaf_b,
            )
        else:
            d = r.randrange(len(s))
            self.result(f"{F}.normalize({x}, dim={d}, eps=1e-2)", s, "normalize", x)

    def recurrent(self) -> None:
        r = self.r
        size, hidden = r.choice((1, 3, 5, 16)), r.choice((1, 2, 4, 7, 16))
        kind = r.choice(("LSTM", "GRU", "RNN"))
        m, y, h = self.name("l"), self.name(), self.name()
        seed = r.randrange(1000)
        if r.random() < 0.35:
            x = self.value(2, lambda v: v.shape[1] == size)
            if self.shape_of(x)[1] != size:
                x = self.laid((r.choice((1, 2, 5)), size))
            n = self.shape_of(x)[0]
            self.emit(
                f"T.manual_seed({seed}); {m} = T.nn.{kind}Cell({size}, {hidden}, bias={r.random() < 0.8}, dtype=T.{self.main})"
            )
            self.emit(f"{h} = {m}({x}){'[0]' if kind == 'LSTM' else ''}")
            turns = r.randrange(1, 6)
            if kind == "LSTM":
                self.emit(
                    f"q = {m}({x})\nfor _ in range({turns}): q = {m}({x}, q)\n{y} = q[0] + q[1]"
                )
            else:
                self.emit(f"{y} = {h}\nfor _ in range({turns}): {y} = {m}({x}, {y})")
            self.vars[y] = Var((n, hidden), self.main, GRAPH)
            self.vars[h] = Var((n, hidden), self.main, GRAPH)
        else:
            x = self.value(3, lambda v: v.shape[2] == size and int(v.shape[0]) < 20)
            if self.shape_of(x)[2] != size:
                x = self.laid((r.choice((1, 3, 6)), r.choice((1, 2, 5)), size))
            s = self.shape_of(x)
            layers, both, first = r.choice((1, 1, 2)), r.random() < 0.3, r.random() < 0.4
            self.emit(
                f"T.manual_seed({seed}); {m} = T.nn.{kind}({size}, {hidden}, {layers}, batch_first={first}, bidirectional={both}, dtype=T.{self.main})"
            )
            self.emit(
                f"{y}, {h} = {m}({x})" + (f"; {h} = {h}[0] * {h}[1]" if kind == "LSTM" else "")
            )
            two = 2 if both else 1
            self.vars[y] = Var((s[0], s[1], two * hidden), self.main, GRAPH)
            self.vars[h] = Var((two * layers, s[0] if first else s[1], hidden), self.main, GRAPH)
        if r.random() < 0.6:
            self.emit(f"({y} * {y}).sum().backward()")
            self.emit(f"for q in {m}.parameters(): R(q.grad)")
            self.vars[y].rg = self.vars[h].rg = NO  # its graph is used up
            self.emit(f"{y}, {h} = {y}.detach(), {h}.detach()")
        self.count(kind)

    def attention(self) -> None:
        r = self.r
        lead = r.choice(((), (2,), (2, 3)))
        queries, keys, size, out = (r.choice((1, 2, 3, 5, 8, 17)) for _ in range(4))
        q = self.laid((*lead, queries, size))
        k = self.laid((*lead, keys, size))
        v = self.laid((*lead, keys, out))
        more = r.choice(
            (
                "",
                ", is_causal=True",
                f", T.tensor(A(3, ({queries}, {keys}), 'bool')) | (T.arange({keys}) == 0)",
                f", T.tensor(A(4, ({queries}, {keys}), {self.main!r}))",
                ", scale=0.3",
            )
        )
        self.result(
            f"{F}.scaled_dot_product_attention({q}, {k}, {v}{more})",
            (*lead, queries, out),
            "attention",
            q,
            k,
            v,
        )

    def losses(self) -> None:
        r = self.r
        form = r.randrange(7)
        if form == 0:
            rows, size = r.choice((1, 2, 5, 40)), r.choice((1, 3, 8, 65))
            w, leaf = self.weight((rows, size))
            s = r.choice(((3,), (2, 4), (1,), (70,)))
            more = r.choice(("", f", padding_idx={r.randrange(rows)}"))
            self.result(
                f"{F}.embedding({self.integers(s, rows)}, {w}{more})",
                (*s, size),
                "embedding",
                grad=leaf,
            )
            return
        if form == 1:
            x = self.value()
            y = self.same(self.vars[x])
            f = r.choice(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"))
            self.result(f"{F}.{f}({x}, {y}, reduction={r.choice(('mean', 'sum'))!r})", (), f, x, y)
            return
        if form == 2:
            x = self.value()
            self.result(
                f"{F}.binary_cross_entropy_with_logits({x}, ({x}.detach() > 0.1).to({x}.dtype))",
                (),
                "bce",
                x,
            )
            return
        x = self.value(r.choice((2, 2, 3, 4)))
        s = self.shape_of(x)
        target = self.integers((s[0], *s[2:]), s[1])
        more = [f"reduction={r.choice(('mean', 'sum', 'none'))!r}"]
        if r.random() < 0.4:
            more.append(f"weight=T.tensor(A(5, ({s[1]},), {self.main!r})).abs() + 0.1")
        if r.random() < 0.3:
            more.append(f"ignore_index={r.randrange(s[1])}")
        if r.random() < 0.3 and form < 6:
            more.append(f"label_smoothing={r.choice((0.1, 0.3))}")
        out = (s[0], *s[2:]) if "none" in more[0] else ()
        call = (
            f"{F}.cross_entropy({x}, {target}"
            if form < 6
            else f"{F}.nll_loss({F}.log_softmax({x}, 1), {target}"
        )
        self.result(f"{call}, {', '.join(more)})", out, "cross_entropy", x)

    def softmax(self) -> None:
        x = self.value()
        s = self.shape_of(x)
        d = self.r.randrange(len(s))
        f = self.r.choice(
            ("softmax", "log_softmax", "logsumexp", "gelu", "silu", "softplus", "elu", "glu")
        )
        if f == "logsumexp":
            self.result(f"T.logsumexp({x}, {d})", s[:d] + s[d + 1 :], f, x)
        elif f == "glu":
            if s[d] % 2 == 0:
                self.result(f"{F}.glu({x}, {d})", (*s[:d], s[d] // 2, *s[d + 1 :]), f, x)
        elif f in ("softmax", "log_softmax"):
            self.result(f"T.{f}({x}, {d})", s, f"{f} of rank {len(s)}", x)
        else:
            # of infinity, PyTorch's gelu for AVX-512 is NaN
            of = f"{x}.clamp(max=1e4)" if f == "gelu" else x
            self.result(f"{F}.{f}({of})", s, f, x)

    # ------------------------------------------------------------ chains
    def chain(self) -> None:
        """Dozens of operations in one stretch, on values that have to live on."""
        r = self.r
        x = self.value(r.choice((1, 2, 2, 3)))
        s = self.shape_of(x)
        y = self.laid(tuple(n if r.random() < 0.6 else 1 for n in s))
        v, kept = self.name(), self.name()
        turns = r.choices((5, 20, 60, 150), (8, 6, 3, 1))[0]
        body = r.choice(
            (
                f"{v} = ({v} * 0.9 + {y} * c).tanh()",
                f"{v} = {v} - {v}.mean(0, keepdim=True) + {y}",
                f"{v} = T.where({v} > 0, {v} * 0.5, {v} + {y} * 0.1); {kept}.append({v})",
                f"{v} = T.softmax({v} + {y}, -1); {kept}.append({v}.sum())",
                f"{v} = {v}.flip(0) * 0.5 + {x}; {kept}.append({v})",
                f"{v} = ({v}.transpose(0, -1).contiguous() * 0.5).transpose(0, -1) + {y}",
                f"{v} = T.maximum({v} * 0.3, {y}) + {x}[..., :1]; {kept}.append({v}[..., :1])",
            )
        )
        self.emit(f"{v} = {x} * 0.5\n{kept} = []\nfor q in range({turns}): {body}")
        rg = GRAPH if self.vars[x].rg or self.vars[y].rg else NO
        self.vars[v] = Var(s, self.main, rg, old=self.vars[x].old or self.vars[y].old)
        if r.random() < 0.7:
            self.emit(f"if {kept}: R({kept}[0]); R({kept}[-1]); R(sum(k.sum() for k in {kept}))")
        self.emit(f"del {kept}")
        self.count("chain", str(turns))

    def long_sum(self) -> None:
        """Reductions along any set of dimensions."""
        r = self.r
        x = self.value(r.choice((2, 3, 3, 4)))
        s = self.shape_of(x)
        dims = sorted(r.sample(range(len(s)), r.randrange(1, len(s) + 1)))
        keep = r.random() < 0.4
        f = r.choice(("sum", "mean", "amax", "amin", "var", "prod"))
        text = f"{x}.{f}({tuple(dims)}, keepdim={keep})"
        if f == "prod":
            d = dims[0]
            dims = [d]
            text = f"({x} * 0.1 + 1).prod({d}, keepdim={keep})"
        if f == "var":
            text = f"{x}.var({tuple(dims)}, correction=0, keepdim={keep})"
        out = tuple(1 if d in dims else n for d, n in enumerate(s) if keep or d not in dims)
        self.result(text, out, f"{f} of {len(dims)} in {len(s)}", x)

    def product(self) -> None:
        """Products of matrices of every layout, with one row, one column or one of both."""
        r = self.r
        x = self.value(r.choice((2, 2, 3, 4)))
        s = self.shape_of(x)
        n = r.choice((1, 1, 2, 5, 33))
        form = r.randrange(6)
        if form == 0:
            w, leaf = self.weight((n, s[-1]))
            b, leaf_b = self.weight((n,)) if r.random() < 0.6 else ("None", False)
            self.result(
                f"{F}.linear({x}, {w}, {b})", (*s[:-1], n), "linear", x, grad=leaf or leaf_b
            )
        elif form == 1:
            y = self.laid((s[-1], n))
            self.result(f"{x} @ {y}", (*s[:-1], n), "matmul", x, y)
        elif form == 2:
            lead = tuple(q if r.random() < 0.7 else 1 for q in s[:-2])
            y = self.laid((*lead, s[-1], n))
            self.result(f"T.matmul({x}, {y})", (*s[:-1], n), "batched matmul", x, y)
        elif form == 3:
            y = self.laid((*s[:-2], n, s[-1]))
            self.result(f"{x} @ {y}.transpose(-1, -2)", (*s[:-1], n), "matmul turned", x, y)
        elif form == 4:
            y = self.laid((*s[:-2], s[-2], n))
            self.result(f"{x}.transpose(-1, -2) @ {y}", (*s[:-2], s[-1], n), "matmul turned", x, y)
        else:
            y = self.laid((s[-1], n))
            b = self.laid(r.choice(((n,), (1, n), (s[-2], n), (s[-2], 1))))
            if len(s) == 2:
                self.result(f"T.addmm({b}, {x}, {y})", (s[0], n), "addmm", x, y, b)

    def odd_rows(self) -> None:
        """Elementwise operations of operands with one row or column, in strides of all kinds."""
        r = self.r
        x = self.value(r.choice((1, 2, 2, 3)))
        s = self.shape_of(x)
        shapes = [tuple(n if r.random() < 0.6 else 1 for n in s) for _ in range(2)]
        y, z = (self.laid(t[r.randrange(len(t)) :] if r.random() < 0.2 else t) for t in shapes)
        self.result(
            r.choice(
                (
                    f"{x} * {y} + {z}",
                    f"T.where({y} > 0, {x}, {z})",
                    f"T.addcmul({x}, {y}, {z}, value=0.3)",
                    f"T.lerp({x}, {y}, 0.3) - {z}",
                    f"({x} - {y}).abs() / ({z}.abs() + 1)",
                    f"T.maximum({x}, {y}).to(T.float64).to({x}.dtype) * {z}",
                    f"({x} > {y}).to({x}.dtype) * {z}",
                )
            ),
            s,
            "odd rows",
            x,
            y,
            z,
        )

    def training(self) -> None:
        """A network, an optimiser, some steps."""
        r = self.r
        m, o, x = self.name("l"), self.name("o"), self.name()
        d = self.main
        a, b = r.choice((1, 3, 8, 20)), r.choice((1, 4, 16))
        nets = (
            (f"T.nn.Linear({a}, {b}), T.nn.Tanh(), T.nn.Linear({b}, 2)", (5, a)),
            (f"T.nn.Linear({a}, {b} + 1), T.nn.LayerNorm({b} + 1), T.nn.GELU(), T.nn.Linear({b} + 1, 1)", (3, a)),
            (f"T.nn.Conv2d(2, {b}, 3, padding=1, bias=False), T.nn.BatchNorm2d({b}), T.nn.ReLU(), T.nn.MaxPool2d(2), T.nn.Flatten(), T.nn.Linear({b} * 9, 2)", (2, 2, 6, 6)),
            (f"T.nn.Conv1d({a}, {b}, 2, stride=2, bias=False), T.nn.ReLU(), T.nn.AdaptiveAvgPool1d(2), T.nn.Flatten(), T.nn.Linear(2 * {b}, 3)", (2, a, 9)),
        )  # fmt: skip
        net, shape = r.choice(nets)
        rule = r.choice(
            (
                "SGD({}, lr=0.05)",
                "SGD({}, lr=0.01, momentum=0.9, nesterov=True)",
                "Adam({}, lr=0.01, eps=0.01)",
                "AdamW({}, lr=0.01, amsgrad=True, eps=0.01)",
                "RMSprop({}, lr=0.01, centered=True, eps=0.01)",
                "Adagrad({}, lr=0.05, eps=0.01)",
                "Adamax({}, lr=0.01, eps=0.01)",
                "NAdam({}, lr=0.01, eps=0.01)",
                "Rprop({}, lr=0.01)",
            )
        )
        self.emit(f"T.manual_seed({r.randrange(1000)}); {m} = T.nn.Sequential({net}).to(T.{d})")
        self.emit(f"{o} = T.optim.{rule.format(m + '.parameters()')}")
        clip = (
            f"\n    T.nn.utils.clip_grad_norm_({m}.parameters(), 1.0)" if r.random() < 0.3 else ""
        )
        look = "\n    R(k)" if r.random() < 0.4 else ""
        self.emit(
            f"for q in range({r.choice((1, 3, 6))}):\n    {x} = T.tensor(A(q, {shape}, {d!r}))\n"
            f"    {o}.zero_grad()\n    k = ({m}({x}) ** 2).mean()\n    k.backward(){clip}\n    {o}.step(){look}"
        )
        self.emit(f"for q in {m}.parameters(): R(q)")
        self.count("training", "", rule.split("(")[0])


def generate_layers(
    seed: int, coverage: Counter[tuple[str, str, str]] | None = None, scale: float = 1.0
) -> Program:
    """The program of layers of a seed."""
    return Layers(seed, coverage).program(scale)


__all__ = ["FLOATS", "Layers", "generate_layers"]
