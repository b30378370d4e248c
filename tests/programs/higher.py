# ruff: noqa: E501 - statements of programs stand on one line
"""Derivatives of up to three orders with values read between them, and flags that change by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import GRAPH, LEAF

if TYPE_CHECKING:
    from .generate import Generator

F = "T.nn.functional"
# Functions whose derivatives stay small wherever their argument is: what PyTorch rounds otherwise
# must not grow.  Each keeps the shape of what it is given.
ALONE = (
    "{x}.sin()",
    "{x}.tanh()",
    "{x}.sigmoid()",
    "({x} * 0.5).exp()",
    "{x} * {x}",
    "{x} * {x}.cos()",
    "({x} * {x} + 1).sqrt()",
    "({x} * {x} + 1).log()",
    "({x} * {x} + 2).reciprocal()",
    "{x} / ({x} * {x} + 1)",
    f"{F}.softplus({{x}})",
    f"{F}.silu({{x}})",
    f"{F}.gelu({{x}})",
)
TOGETHER = (  # every element depends on several
    "T.softmax({x}, -1)",
    "T.log_softmax({x}, 0)",
    "{x} - {x}.mean(-1, keepdim=True)",
    "{x} * {x}.sum() * 0.3",
    "{x} * {x}.square().mean()",
    "{x} / ({x}.norm() + 1)",
    "{x} / ({x}.square().sum(-1, keepdim=True) + 1).sqrt()",
    "{x} / ({x} * {x}).sum(-1, keepdim=True).add(0.5).sqrt().clamp_min(0.1)",
    "{x} * {x}.logsumexp(-1, keepdim=True) * 0.5",
    "{x}.cumsum(0) * 0.4",
    "{x} * ({x}.var(-1, correction=0, keepdim=True) + 1).rsqrt()",
    f"{F}.normalize({{x}} + 3, dim=-1)",
    "({x} - {x}.mean(0, keepdim=True)) * ({x}.var(0, correction=0, keepdim=True) + 0.5).rsqrt()",
    f"{F}.group_norm({{x}}.reshape(1, -1, 2), 1, None, None, 0.5).reshape({{x}}.shape)",
    f"{F}.cosine_similarity({{x}} + 3, {{x}}.sin() + 2, -1).unsqueeze(-1) * {{x}}",
    "T.stack([{x}, {x}.sin()]).sum(0)",
    "T.cat([{x}, {x} * {x}]).reshape(2, *{x}.shape).mean(0)",
)
# PyTorch takes what these kept of their argument for constant in a third derivative, and is wrong.
NORMS = (
    f"{F}.layer_norm({{x}}, {{x}}.shape[-1:], None, None, 0.5)",
    f"{F}.batch_norm({{x}}.reshape(-1, 2), None, None, None, None, True, 0.1, 0.5).reshape({{x}}.shape)",
)
BEYOND = "pass  # PyTorch's third derivative is wrong"
SEEN = (  # through views
    "{x}.transpose(0, -1).sin().transpose(0, -1)",
    "{x}.unsqueeze(-1).expand(*{x}.shape, 3).sin().mean(-1)",
    "({x}.reshape(-1)[None].expand(2, -1) * {x}.reshape(-1)).tanh().sum(0).reshape({x}.shape)",
    "{x}.flip(0) * {x}",
    "{x} * {x}[:1]",
    "{x} + {x}.reshape(-1)[1:].square().sum() * 0.2",
    "{x} * {x}.select(-1, 0).unsqueeze(-1)",
    "{x}.as_strided({x}.shape, {x}.stride()).tanh()",
    "{x}.contiguous().as_strided(({x}.numel() - 1, 2), (1, 1)).sin().mean() * {x}",
    "{x}.roll(1, 0) * {x}",
    "T.where({x} > 0, {x} * {x}, {x}.sin())",
    "{x}.view_as({x}) * {x}[..., -1:]",
)
ENDS = (  # one number
    "{x}.sum()",
    "{x}.mean()",
    "({x} * {x}).sum()",
    "{x}.square().mean()",
    "({x} + 3).norm()",
    "({x} * {x}.flip(0)).sum()",
    "{x}.square().sum() * {x}.reshape(-1)[0]",
    "{x}.square().mean() * {x}.sum()",
    "{x}.exp().mean().log()",
    "{x}.logsumexp(-1).sum()",
    "({x}.square().mean() + 1) ** 2",
)
AGAIN = (  # one number of a gradient
    "({g} * {g}).sum()",
    "({g} * {g}).mean()",
    "({g} * {g} * {g}).mean()",
    "({g} * {x}).sum()",
    "({g}.tanh() * {g}).sum()",
    "{g}.sin().sum()",
    "{g}.reshape(-1)[0] * {g}.sum()",
    "({g} * {g}).sum() * {g}.reshape(-1)[-1]",
    "{g}.square().sum().add(1).sqrt()",
    "({g}[..., :1].expand({g}.shape) * {g}).sum()",
)
READS = (
    "R({}.item() if {}.numel() == 1 else {}.sum().item())",
    "R({}.tolist())",
    "R({}.detach().numpy().copy())",
    "R(len(repr({}.detach())) > 7)",
    "R({})",
    "R(bool(({}.detach() > 0.37).any()))",
    "R({} * 2)",
    "R({}.detach().sum())",
)
TURNS = ("k % 2 == 1", "k == 2", "k > 1", "k % 3 == 2", "k % 2 == 0")


class Higher:
    """Part of `Generator`: each method emits a script."""

    def look(self: Generator, *names: str, often: float = 0.5) -> None:
        """Read one of the names or, seldom, two."""
        while self.r.random() < often:
            x = self.r.choice(names)
            self.emit(self.r.choice(READS).format(x, x, x))
            often *= 0.4

    def differentiable(self: Generator) -> tuple[str, str, list[str], bool]:
        """A leaf, a number that depends on it smoothly, the values on the way, and whether PyTorch
        differentiates it twice at most."""
        r = self.r
        s = r.choice(((4,), (2,), (6,), (2, 2), (3, 2), (4, 2), (2, 3, 2), (5, 3, 2)))
        x = self.name()
        d = "float64" if r.random() < 0.5 else self.main
        turn = " + i" if self.loop and r.random() < 0.4 else ""
        if r.random() < 0.2:
            self.emit(f"{x} = (T.arange({2 * s[0]}, dtype=T.{d}) * 0.2 - 0.7).requires_grad_()")
            s = (2 * s[0],)
        elif r.random() < 0.1:
            self.emit(f"{x} = (T.arange(70, dtype=T.{d}) * 0.37).sin().requires_grad_()")
            s = (70,)
        else:
            self.emit(
                f"{x} = T.tensor(A({r.randrange(40)}{turn}, {s}, {d!r}) * 0.5, requires_grad=True)"
            )
        self.vars[x] = self.var(s, d, LEAF)
        values = [x]
        at = x
        turned = len(s) == 3 and r.random() < 0.6  # dense, but not in the order of the dimensions
        cut = not turned and len(s) > 1 and r.random() < 0.15
        if s == (70,):
            at = self.name()
            self.emit(f"{at} = {x}.as_strided((5, 7, 2), (2, 10, 1), 0)")
            values.append(at)
        elif turned or cut:
            at = self.name()
            views = (".transpose(0, 1)", ".permute(1, 0, 2)", ".transpose(0, -1)")
            self.emit(
                f"{at} = {x}{r.choice(views if turned else ('.transpose(0, -1)', '[1:]', '[..., 1:]'))}"
            )
            values.append(at)
        # a part may have an odd number of elements, which some cannot take
        kinds = (ALONE, SEEN) if cut else (ALONE, TOGETHER, SEEN)
        twice = False
        for _ in range(r.choice((0, 1, 1, 2, 3))):
            y = self.name()
            table = r.choice(kinds)
            if table is TOGETHER and r.random() < 0.15:
                table = NORMS
                twice = True
            self.emit(f"{y} = {r.choice(table).format(x=at)}")
            values.append(y)
            at = y
            self.look(*values, often=0.15)
        y = self.name()
        scale = r.choice(("", "", " * 0.5", " * c"))
        self.emit(f"{y} = {r.choice(ENDS).format(x=at)}{scale}")
        values.append(y)
        return x, y, values, twice

    def orders(self: Generator) -> None:
        """Gradients of gradients, of three orders most of the time."""
        r = self.r
        x, y, values, twice = self.differentiable()
        between = values[1:-1]
        order = r.choices((1, 2, 3), (1, 3, 6))[0]
        once_more = r.random() < 0.3
        if twice and order + once_more > 2:
            if r.random() < 0.4:
                self.emit(BEYOND)
            else:
                order, once_more = 2, False
        read = r.choice((0.0, 0.4, 0.8))
        last = ""
        for k in range(order):
            self.look(*values[1:], often=read)
            g = self.name()
            more = k < order - 1 or r.random() < 0.4
            form = r.random()
            if form < 0.8 or not between:
                self.emit(f"({g},) = T.autograd.grad({y}, {x}, create_graph={more})")
            elif form < 0.9:  # by way of .grad
                self.emit(
                    f"{x}.grad = None; {y}.backward(create_graph={more}); {g} = {x}.grad{r.choice(('', ' * 1', '.clone()'))}"
                )
            else:
                at = r.choice(between)
                self.emit(
                    f"{g}, q = T.autograd.grad({y}, [{x}, {at}], create_graph={more}, retain_graph=True, allow_unused=True)"
                )
                self.emit(
                    f"R(q) if q is not None else None; {g} = {x} * 0.5 if {g} is None else {g}"
                )
            if r.random() < read:
                self.look(g, often=0.7)
            values.append(g)
            last = g
            if k < order - 1:
                y = self.name()
                other = r.choice(values[:-1]) if r.random() < 0.2 else x
                text = r.choice(AGAIN).format(g=g, x=other)
                self.emit(f"{y} = ({text}) * {r.choice(('0.3', '0.5', 'c * 0.4', '0.25'))}")
                values.append(y)
        if once_more:
            self.emit(f"({last} * 0.5).square().sum().backward()")
            self.emit(f"R({x}.grad)")
        for k in r.sample(values[1:], r.randrange(1, len(values))) + [last]:
            self.emit(f"R({k})")
        if twice:
            del self.vars[x]
        else:
            self.vars[last] = self.var(self.vars[x].shape, self.vars[x].dtype, GRAPH)
            self.vars[last].spread = True
        self.count("orders", str(order))

    def flags(self: Generator) -> None:
        """The same graph, differentiated with other flags and inputs on some turns."""
        r = self.r
        k = "i" if self.loop else "q"
        when = f"({r.choice(TURNS)})".replace("k", k)
        x, w, y = self.name(), self.name(), self.name()
        s = r.choice(((3,), (2, 2)))
        leaves = [
            f"{x} = T.tensor(A({r.randrange(40)}, {s}, {self.main!r}), requires_grad=True)",
            f"{w} = T.tensor(A({r.randrange(40)}, {s}, {self.main!r}), requires_grad=True)",
        ]
        kept = r.random() < 0.5  # leaves that live on: gradients add up
        if kept and not self.loop:
            for q in leaves:
                self.emit(q)
        body = [] if kept and not self.loop else list(leaves)
        body.append(
            f"{y} = {r.choice((f'({x} * {w}).tanh().sum()', f'({x}.sin() * {w}.cos()).sum()', f'({x} * {x} + {w}).mean()', f'(({x} + {w}) * c).sigmoid().sum()'))}"
        )
        g = self.name()
        form = r.randrange(8)
        if form == 0:
            body += [f"{y}.backward(retain_graph={when})", f"R({x}.grad)", f"{y}.backward()"]
        elif form == 1:
            body += [
                f"{y}.backward(create_graph={when})",
                f"R({x}.grad.requires_grad)",
                f"({x}.grad * {x}.grad).sum().backward()"
                if r.random() < 0.5
                else f"{y}.backward()",
            ]
        elif form == 2:
            body += [
                f"{g} = T.autograd.grad({y}, [{x}, {w}], create_graph={when})",
                f"R({g}); R({g}[0].requires_grad)",
                f"({g}[0] * {g}[1]).sum().backward()",
            ]
        elif form == 3:
            body += [
                f"{y}.backward(inputs=[({x}, {w})[{when}]], retain_graph={r.random() < 0.5})",
                f"R({x}.grad is None); R({w}.grad is None)",
                f"{y}.backward()",
            ]
        elif form == 4:
            body += [
                f"{g} = T.autograd.grad({y}, [({x}, {w})[{when}]], retain_graph={when})",
                f"R({g})",
                f"{y}.backward()",
            ]
        elif form == 5:
            body += [
                f"{y}.backward()",
                f"{x}.grad = None if {when} else {x}.grad",
                f"R({w}.grad)",
            ]
        elif form == 6:
            body += [
                f"{y}.backward({r.choice(('', 'T.ones_like(' + y + ')'))}) if {when} else {y}.backward(retain_graph=True)",
                f"{y}.backward(retain_graph={when})",
            ]
        else:
            body += [
                f"{g} = T.autograd.grad({y}, [{x}], retain_graph={when}, create_graph={r.random() < 0.3})[0]",
                f"R({g})",
                f"R(T.autograd.grad({y}, [{w}]))",
            ]
        body.append(f"R({x}.grad); R({w}.grad)")
        if self.loop:
            for q in body:
                self.emit(q)
        else:  # what raises ends a turn, not the loop
            inner = "\n    ".join(body)
            self.emit(f"for q in range({r.choice((4, 5))}):\n    {inner}")
        self.vars[x] = self.vars[w] = self.var(s, self.main, LEAF)
        self.count("flags", str(form))


__all__ = ["BEYOND", "Higher"]
