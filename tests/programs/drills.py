# ruff: noqa: E501 - statements of programs stand on one line
"""Short scripts that put the recorder where it is most easily wrong, with random parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import FLOATS

if TYPE_CHECKING:
    from .generate import Generator

USES = (
    "{} * 2",
    "{}.tanh()",
    "{} + {}",
    "{}.sum()",
    "({} > 0).any()",
    "{} - 0.5",
    "-{}",
    "T.relu({})",
)
SMALL = ((3,), (2, 3), (4, 2), (2, 1, 3))


class Drills:
    """Part of `Generator`: each method emits a script."""

    def use(self: Generator, x: str) -> str:
        """An expression that reads ``x``."""
        return self.r.choice(USES).format(x, x)

    def plain(self: Generator, shape: tuple[int, ...] | None = None) -> str:
        """A fresh tensor without history, small; big now and then."""
        s = shape or (self.r.choice(SMALL) if self.r.random() < 0.85 else (130, 130))
        v = self.name()
        k = f"{self.r.randrange(40)}{' + i' if self.loop and self.r.random() < 0.4 else ''}"
        self.emit(f"{v} = T.tensor(A({k}, {s}, {self.main!r}))")
        self.vars[v] = self.var(s, self.main)
        return v

    def looks(self: Generator, *names: str) -> None:
        """Read some of the names, as they are or through an operation."""
        for x in names:
            if self.r.random() < 0.6:
                self.emit(f"R({x})" if self.r.random() < 0.4 else f"R({self.use(x)})")

    def choice_by_turn(self: Generator) -> None:
        """The same place in a loop, another operand, argument, number or mode on some turns."""
        r = self.r
        x = self.some(lambda q: q.rg > 0) if r.random() < 0.5 else None
        x = x or self.floating()
        v = self.vars[x]
        y = self.some(lambda q: q.shape == v.shape and q.dtype == v.dtype) or x
        z = self.some(lambda q: q.shape == v.shape and q.dtype == v.dtype) or x
        if y == z or r.random() < 0.3:  # two values that were made in the same stretch
            y, z = self.name(), self.name()
            self.emit(f"{y} = {x} * {r.choice(('2', 'c'))}; {z} = {x} + {r.choice(('1', 'c'))}")
            self.vars[y] = self.vars[z] = self.var(v.shape, v.dtype, 2 if v.rg else 0)
        when = r.choice(("i % 2", "int(i == 2)", "int(i > 1)", "int(i % 3 == 2)"))
        new = self.name()
        pick = f"({y}, {z})[{when}]"
        forms = [
            f"{new} = {pick}.tanh()",
            f"{new} = {x} + {pick}",
            f"{new} = {pick} - {x}",
            f"{new} = T.exp({pick} * 0.1)",
            f"{new} = {x}.tanh() if {when} else {x}.sin()",
            f"{new} = {x} * ({pick} if {when} else 2)",
            f"{new} = {x} * (3 if {when} else 0.5)",
            # of one value: of two, the operand alone would tell the turns apart
            f"with T.set_grad_enabled(not ({when})): {new} = {r.choice((x, pick))} * 2",
            f"{new} = {x}.clone(); {new} = {new}.to(T.float64 if {when} else T.float32).to({x}.dtype)",
            f"{new} = T.where({pick} > 0, {x}, {pick})",
        ]
        if len(v.shape) >= 2:
            forms += 3 * [
                f"{new} = {x} * {x}.sum({when}, keepdim=True)",
                f"{new} = T.softmax({x}, {when})",
            ]
        self.emit(r.choice(forms))
        self.vars[new] = self.var(
            v.shape, v.dtype, 2 if v.rg or self.vars[y].rg or self.vars[z].rg else 0
        )
        if r.random() < 0.4:
            self.emit(
                f"if {when}: H.append({new} * 1)"
                if r.random() < 0.5
                else f"if {when}: H.append({new})"
            )
            self.held += 1
        if r.random() < 0.5:
            self.emit(f"R({new})")
        self.count("by turn")

    def held_by_turn(self: Generator) -> None:
        """The same operations, but other results held, or those of the turn before used."""
        r = self.r
        x = self.plain()
        self.emit(f"{x} = {x} * c + i")
        a, b, old = self.name(), self.name(), self.name()
        when = r.choice(("i % 2", "i == 2", "i > 1"))
        if r.random() < 0.5:
            self.emit(f"{a} = {x} * 2")
            self.emit(f"{b} = {a}.tanh() + 1")
            self.emit(f"if {when}: H.append({a})")
            self.emit(f"del {a}")
            self.emit(f"R({b})")
            self.emit("for q in H[-2:]: R(q)")
            self.held += 1
        else:
            self.emit(f"{old} = {a} if i else {x}")
            self.emit(f"{a} = {x} * 2")
            self.emit(f"{b} = ({a}, {old})[int({when})].tanh()")
            self.emit(f"R({b})")
        self.count("held by turn")

    def aliases(self: Generator) -> None:
        """Views and aliases of one memory, written and read in turn."""
        r = self.r
        x = (
            self.plain()
            if r.random() < 0.6
            else self.some(
                lambda q: q.rg != 1 and q.dtype in FLOATS and len(q.shape) > 0 and not q.spread
            )
            or self.plain()
        )
        if r.random() < 0.5:
            k = self.name()
            self.emit(f"{k} = {x} * 2")
            self.vars[k] = self.var(self.vars[x].shape, self.vars[x].dtype, self.vars[x].rg)
            x = k
        names = [x]
        for _ in range(r.randrange(1, 4)):
            q = r.choice(names)
            made = (
                self.view_text(q, self.vars[q])
                if r.random() < 0.8
                else (
                    f"{q}.{r.choice(('detach()', 'data', 'view_as(' + q + ')'))}",
                    self.vars[q].shape,
                    "detach",
                )
            )
            if made is None or made[2] == "expand":
                continue
            k = self.name()
            quiet = "with T.no_grad(): " if r.random() < 0.15 else ""
            self.emit(f"{quiet}{k} = {made[0]}")
            self.vars[k] = self.var(
                made[1], self.vars[q].dtype, 0 if quiet or made[2] == "detach" else self.vars[q].rg
            )
            self.vars[k].alias = True
            self.vars[k].memory = self.vars[q].memory
            names.append(k)
        for _ in range(r.randrange(1, 4)):
            self.looks(*r.sample(names, min(2, len(names))))
            t = r.choice(names)
            how = [
                f"{t}.add_({self.number()})",
                f"{t}.mul_(0.5)",
                f"{t}.copy_({self.use(t)})" if r.random() < 0.5 else f"{t}.fill_(c)",
                f"{t}[...] = {self.number()}",
                f"{t}.zero_()",
                f"{t} += 1",
            ]
            s = self.vars[t].shape
            if len(s) == 2:
                how += [
                    f"{t}.copy_({t}.clone().t().contiguous().t() if {t}.shape[0] == {t}.shape[1] else {t} * 2)"
                ]
                w = (
                    self.plain((s[1], s[0]))
                    if all(isinstance(q, int) for q in s) and r.random() < 0.5
                    else None
                )
                if w is not None:
                    how = [f"{t}.copy_({w}.t() * 2)", f"{t}[...] = {w}.t() + 1"]
            if s and isinstance(s[0], int) and s[0] > 1 and r.random() < 0.25:
                how = [
                    f"{t}[1:].copy_({t}[:-1].clone())",
                    f"{t}[:1].copy_({t}[1:2])",
                    f"{t}[-1].copy_({t}[0])",
                ]
            if r.random() < 0.1:
                how = [f"with T.no_grad(): {q}" for q in how]
            self.emit(r.choice(how))
            self.count("alias write", self.vars[t].view)
            self.looks(*r.sample(names, min(3, len(names))))

    def shared(self: Generator) -> None:
        """An array and tensors on it, written from both sides."""
        r = self.r
        a, t = self.name("n"), self.name()
        s = r.choice(SMALL) if r.random() < 0.6 else (130, 70)
        q = r.random()
        if q < 0.6:
            self.emit(f"{a} = A({r.randrange(30)}, {s}, 'float64')")
            self.emit(
                f"{t} = T.from_numpy({a}{r.choice(('', '', '.T', '[:, ::2]' if len(s) == 2 else ''))})"
            )
        else:
            self.emit(f"{t} = T.tensor(A({r.randrange(30)}, {s}, 'float64')) * 2")
            self.emit(f"{a} = {t}.numpy()")
        w = f"T.full({t}.shape, {self.number()}, dtype=T.float64)"
        kept: list[str] = [t]
        for _ in range(r.randrange(3, 8)):
            y = self.name()
            step = r.randrange(11)
            if step == 0:
                self.emit(f"{y} = {r.choice(kept)} * {self.number()}")
            elif step == 1:
                self.emit(f"{y} = {t}.reshape(-1)[1:]")
            elif step == 2:
                self.emit(f"{y} = {t}.clone()" if r.random() < 0.5 else f"{y} = {t}.detach()")
            elif step == 3:
                self.emit(f"{a}[...] = {self.number()}" if r.random() < 0.5 else f"{a} += 1")
                continue
            elif step == 4:
                self.emit(f"{t}.add_(1)" if r.random() < 0.5 else f"{t}.copy_({w})")
                self.looks(a)
                self.emit(f"R({a})")
                continue
            elif step == 5 and r.random() < 0.4:
                if r.random() < 0.7:
                    self.emit(f"{y} = {t} * 2; {a}[...] = {self.number()}")
                self.emit(f"del {a}")
                if r.random() < 0.7:
                    self.emit(f"R({t} * 3)")
                self.emit(f"{a} = {t}.detach().numpy()")
                continue
            elif step == 6 and self.graded:
                g = self.name()
                self.emit(f"{g} = T.ones({t}.shape, dtype=T.float64, requires_grad=True)")
                self.emit(f"{y} = ({t} * {g}).tanh().sum()")
                if r.random() < 0.5:
                    self.emit(f"R({y})")
                self.emit(f"{a} *= 0.5")
                self.emit(f"{y}.backward()")
                self.emit(f"R({g}.grad)")
                continue
            elif step == 7:
                self.emit(f"{y} = {t}[1:] + 1" if len(s) > 0 else f"{y} = {t} + 1")
            elif step == 8:
                self.emit(f"{y} = {t}[:1]; {y}.mul_({self.number()})")
            elif step == 9:
                self.emit(f"{y} = {t} + {t}.sum()")
            else:
                self.emit(f"{y} = {t}.view_as({t})")
            kept.append(y)
            if r.random() < 0.5:
                self.looks(r.choice(kept))
        for k in kept:
            self.emit(f"R({k})")
        self.arrays[a] = (s, "float64")
        self.count("shared array")

    def long_graph(self: Generator) -> None:
        """A graph over several stretches that meets older values again, then backward."""
        r = self.r
        s = r.choice(SMALL)
        x, w = self.name(), self.name()
        for k in (x, w):
            self.emit(
                f"{k} = T.tensor(A({r.randrange(40)}, {s}, {self.main!r}), requires_grad=True)"
            )
            self.vars[k] = self.var(s, self.main, 1)
        values = [x, w]
        hooked = False
        for _ in range(r.randrange(2, 7)):
            y = self.name()
            p, q = r.choice(values), r.choice(values)
            if r.random() < 0.2:
                self.emit(f"with T.no_grad(): {y} = {p}.tanh() * {q}")
            else:
                self.emit(
                    f"{y} = "
                    + r.choice(
                        (
                            f"{p}.tanh() * {q}",
                            f"{p} * {self.number()} + {q}",
                            f"{p}.sigmoid()",
                            f"{p} * {p} - {q}",
                            f"{p}.flip(0)",
                            f"{p}[:]",
                            f"{p}.view_as({p})",
                        )
                    )
                )
            values.append(y)
            self.vars[y] = self.var(s, self.main, 2)
            if self.lines[-1].endswith(("[:]", f"view_as({p})")) and p in self.vars:
                self.vars[y].memory = self.vars[p].memory
            q2 = r.random()
            if q2 < 0.35:
                self.emit(f"R({r.choice(values)})")
            elif q2 < 0.45:
                hooked = True
                self.emit(
                    f"{r.choice(values)}.register_hook({r.choice(('lambda g: g * 2', 'lambda g: g + c', 'lambda g: None'))})"
                )
            elif q2 < 0.52:
                self.emit(f"{y}.mul_({self.number()})")
            elif q2 < 0.58:
                self.emit(f"{y}.data.mul_(0.5)")
            elif q2 < 0.64:
                self.emit(f"{r.choice(values[2:])}.retain_grad()")
        total = " + ".join(
            f"({v}.sum() * {r.choice(('1', '0.5', '2'))})"
            for v in r.sample(values, min(3, len(values)))
        )
        loss = self.name()
        self.emit(f"{loss} = {total}")
        self.vars[loss] = self.var((), self.main, 2)
        if r.random() < 0.3:
            self.emit(f"R({loss})")
        form = r.choice((0, 0, 1, 2, 3, 4, 4)) if self.loop else r.randrange(6)
        if form == 0:
            self.emit(
                f"{loss}.backward(retain_graph=i % 2 == 0)" if self.loop else f"{loss}.backward()"
            )
            self.emit(f"{loss}.backward()")
        elif form == 1 and not hooked:
            a, b = r.choice(values), r.choice(values)
            self.emit(
                f"for g in T.autograd.grad({loss}, [{a}, {b}], allow_unused=True, retain_graph=True): R(g)"
            )
            self.emit(f"{loss}.backward()")
        elif form == 2 and not hooked:
            g = self.name()
            self.emit(
                f"{g} = T.autograd.grad({loss}, [{x}], create_graph=True, allow_unused=True)[0]"
            )
            if r.random() < 0.5:
                self.emit(f"R({g})")
            self.emit(f"({g} * {g}).sum().backward()")
            if r.random() < 0.5:
                self.emit(f"{loss}.backward()")
        elif form == 3:
            self.emit(f"{loss}.backward(retain_graph=True)")
            if r.random() < 0.5:
                self.emit(f"R({x}.grad)")
            self.emit(f"{r.choice(values)}.sum().backward()")
        else:
            self.emit(f"{loss}.backward()")
        for k in (x, w):
            self.emit(f"R({k}.grad)")
        self.count("long graph", "", "hook" if hooked else "")

    def view_nodes(self: Generator) -> None:
        """A view of something with a history: used, looked at, written, hooked, asked for."""
        r = self.r
        x, y, v = self.name(), self.name(), self.name()
        s = r.choice(((3,), (2, 3), (4, 2)))
        if r.random() < 0.3:
            a = self.name("n")
            self.emit(f"{a} = A({r.randrange(40)}, {s}, {self.main!r})")
            self.emit(f"{x} = T.from_numpy({a}).requires_grad_()")
        else:
            self.emit(
                f"{x} = T.tensor(A({r.randrange(40)}, {s}, {self.main!r}), requires_grad=True)"
            )
        leaf = r.random() < 0.4
        self.emit(f"{y} = {x}" if leaf else f"{y} = {x} * {x}")
        view = r.choice(("[1:]", "[:]", ".view(-1)", "[..., ::2]", ".unsqueeze(0)", "[-1]"))
        self.emit(f"{v} = {y}{view}")
        uses: list[str] = []
        hooked = False
        for _ in range(r.randrange(3, 6)):
            q = r.random()
            if q < 0.12 and not hooked:
                hooked = True
                self.emit(f"{v}.register_hook({r.choice(('lambda g: g * 2', 'lambda g: g + c'))})")
            elif q < 0.22 and not leaf and not hooked:  # PyTorch then skips the hook
                self.emit(f"{v}.mul_({self.number()})" if q < 0.18 else f"{y}.mul_(0.5)")
            else:
                u, z = self.name(), r.choice((v, v, y, x))
                self.emit(f"{u} = ({z} * {r.choice(('0.3', '1.7', 'c', z))}).tanh().sum()")
                uses.append(u)
                if r.random() < 0.4:
                    self.emit(f"R({u})")
        self.emit(f"{(u := self.name())} = {' + '.join([*uses, f'({v} * 0.1).sum()'])}")
        if r.random() < 0.4 and not hooked:
            self.emit(
                f"for g in T.autograd.grad({u}, [{v}, {x}], allow_unused=True, "
                f"retain_graph=True, create_graph={r.random() < 0.3}): R(g)"
            )
        self.emit(f"{u}.backward()")
        self.emit(f"R({x}.grad)")
        self.count("view node", view, "hook" if hooked else "")

    def asked(self: Generator) -> None:
        """Gradients at values of older stretches, of two orders; hooks say which values they met."""
        r = self.r
        x, y, w = self.name(), self.name(), self.name()
        s = r.choice(((3,), (2, 3)))
        self.emit(f"{x} = T.tensor(A({r.randrange(40)}, {s}, {self.main!r}), requires_grad=True)")
        self.emit(f"{y} = {x}{r.choice(('.tanh()', ' * 2', '.sin()'))}")
        self.emit(f"{w} = {r.choice((x, x, y))}{r.choice(('.tanh()', '.exp()', ' * c'))}")
        if r.random() < 0.7:
            self.emit(f"R({r.choice((x, y, w))} + 1)")
        if r.random() < 0.5:
            self.emit(f"{r.choice((y, w))}.register_hook(lambda g: (R(g * 1), None)[1])")
        losses = []
        for _ in range(2):
            k = self.name()
            a, b = r.choice((y, w)), r.choice((x, y, w))
            self.emit(
                f"{k} = ({r.choice((f'{a}.sin() * {b}', f'{a} * {a}', f'{a}.exp() + {b}', f'{a} * 3 + {b} * {b}'))}).sum()"
            )
            if r.random() < 0.6:
                self.emit(f"R({k})")
            losses.append(k)
        if r.random() < 0.25:  # one way is used up: nothing may go there
            self.emit(f"{w}.sum().backward()")
        if r.random() < 0.6:
            at, g, h, z = r.choice((x, y, y)), self.name(), self.name(), self.name()
            for q, k in ((g, losses[0]), (h, losses[1])):
                self.emit(
                    f"{q} = T.autograd.grad({k}, [{at}], create_graph=True, allow_unused=True)[0]"
                )
                self.emit(f"{q} = {at} * 0.5 if {q} is None else {q}")
            if r.random() < 0.5:
                self.emit(f"R({g})")
            self.emit(f"{z} = ({g} * {h}).sum()")
            losses.append(z)
        wanted = r.choice((f"[{y}]", f"[{w}]", f"[{y}, {x}]", f"[{w}, {y}]", f"[{x}]"))
        self.emit(
            f"for q in T.autograd.grad({losses[-1]}, {wanted}, retain_graph=True, allow_unused=True): R(q)"
        )
        self.emit(f"{r.choice(losses)}.backward()")
        self.emit(f"R({x}.grad)")
        self.count("asked for")

    def train(self: Generator) -> None:
        """Steps of an optimiser, with the parameters' other names looked at."""
        r = self.r
        w, b, o = self.name(), self.name(), self.name("o")
        self.emit(
            f"{w} = T.tensor(A({r.randrange(40)}, (3, 2), {self.main!r}), requires_grad=True)"
        )
        self.emit(f"{b} = T.zeros(2, dtype=T.{self.main}, requires_grad=True)")
        self.emit(
            f"{o} = T.optim."
            + r.choice(
                (
                    f"SGD([{w}, {b}], lr=0.1)",
                    f"SGD([{w}, {b}], lr=0.05, momentum=0.9)",
                    f"Adam([{w}, {b}], lr=0.01)",
                )
            )
        )
        d, z = self.name(), self.name()
        self.emit(
            f"{d} = "
            + r.choice(
                (f"{w}.detach()", f"{w}.data", f"{w}.detach()[1]", f"{w}.detach().view(-1)[2:]")
            )
        )
        batch, y, loss = self.name(), self.name(), self.name()
        body = [
            f"{batch} = T.tensor(A(q, (4, 3), {self.main!r}))",
            f"{y} = ({batch} @ {w} + {b}).{r.choice(('tanh', 'relu', 'sigmoid'))}()",
            f"{loss} = ({y} * {y}).mean()",
        ]
        zero = r.choice((f"{o}.zero_grad()", f"{o}.zero_grad(set_to_none=False)", ""))
        rate = f"{o}.param_groups[0]['lr'] = 0.1 / (q + 1)" if r.random() < 0.6 else ""
        look = [
            f"R({r.choice((loss, y, w, d, w + '.grad', loss + '.item()'))})"
            for _ in range(r.randrange(0, 3))
        ]
        middle = f"{z} = {r.choice((w, d))} * 2" if r.random() < 0.5 else f"{z} = {y}"
        body += [
            zero,
            middle,
            f"{loss}.backward()",
            *look[:1],
            rate,
            f"{o}.step()",
            f"R({z})" if r.random() < 0.5 else f"R({d} + 1)",
            *look[1:],
        ]
        if r.random() < 0.3:
            body.append(f"H.append({r.choice((y, loss))})")
            self.held += 1
        turns = r.randrange(2, 6)
        self.emit(f"for q in range({turns}):\n    " + "\n    ".join(q for q in body if q))
        self.emit(f"R({w}); R({b}); R({d})")
        self.count("train")
