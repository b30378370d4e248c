# ruff: noqa: E501 - statements of programs stand on one line
"""Random backwards, updates and hooks."""

from __future__ import annotations

from .names import FLOATS, GRAPH, LEAF, NO, Names, Var


class Gradients(Names):
    """Everything about histories."""

    def scalar(self) -> str | None:
        """A loss: made of a name that has a history."""
        x = self.some(lambda q: q.rg == GRAPH and q.dtype in FLOATS) or self.some(
            lambda q: q.rg > 0
        )
        if x is None:
            return None
        v = self.vars[x]
        if not v.shape and self.r.random() < 0.6:
            return x
        form = self.r.choice(
            ("{}.sum()", "({} * {}).sum()", "{}.mean()", "({} * 0.5).tanh().sum()")
        )
        return self.make(form.format(x, x), Var((), v.dtype, GRAPH, old=v.old), "loss")

    def backward(self) -> None:
        q = self.r.random()
        if q < 0.12:
            x = self.some(lambda k: k.rg == GRAPH)
            if x is not None:
                keep = ", retain_graph=True" if self.vars[x].old and self.r.random() < 0.9 else ""
                self.emit(f"{x}.backward(T.ones_like({x}) * {self.number()}{keep})")
                self.count("backward gradient")
            return
        loss = self.scalar()
        if loss is None:
            return
        leaves = [k for k, v in self.vars.items() if v.rg == LEAF]
        keep = self.vars[loss].old and self.r.random() < 0.9
        if q < 0.5:
            self.emit(f"{loss}.backward({'retain_graph=True' if keep else ''})")
            self.count("backward keep" if keep else "backward")
        elif q < 0.62:
            self.emit(f"{loss}.backward(retain_graph=True)")
            if self.r.random() < 0.4:
                self.read()
            self.emit(f"{loss}.backward()")
            self.count("backward twice")
        elif q < 0.8 and leaves:
            w = self.r.choice(leaves)
            g = self.name()
            create = self.r.random() < 0.5
            self.emit(
                f"{g} = T.autograd.grad({loss}, [{w}], create_graph={create or keep}, allow_unused=True)[0]"
            )
            self.count("grad create" if create else "grad")
            self.emit(f"{g} = T.zeros_like({w}) if {g} is None else {g}")
            v = self.vars[w]  # how a gradient lies, and what else lies there, is PyTorch's affair
            self.vars[g] = Var(v.shape, v.dtype, GRAPH if create else NO, spread=True)
            if create and self.r.random() < 0.7:
                self.emit(f"({g} * {g}).sum().backward()")
                self.count("second backward")
        elif q < 0.88:
            self.emit(f"{loss}.backward(create_graph=True)")
            if leaves:
                w = self.r.choice(leaves)
                self.emit(f"{w}.grad.sum().backward()")
            self.count("backward create")
        elif q < 0.94 and leaves:
            x = self.some(lambda k: k.rg == GRAPH)
            if x is not None:
                g = self.name()
                self.emit(
                    f"{g} = T.autograd.grad({loss}, [{x}], retain_graph=True, allow_unused=True)[0]"
                )
                self.emit(f"R({g})")
                self.count("grad of a value")
        else:
            self.emit(
                f"T.autograd.backward([{loss}, {loss} * 2]{', retain_graph=True' if keep else ''})"
            )
            self.count("backward of several")
        for w in leaves:
            if self.r.random() < 0.4:
                self.emit(f"R({w}.grad)")
        if leaves and self.r.random() < 0.45:
            self.update(self.r.choice(leaves))

    def update(self, w: str) -> None:
        form = self.r.randrange(5)
        lr = self.r.choice(("0.1", "0.05", "c * 0.1"))
        if form == 0:
            self.emit(f"with T.no_grad(): {w} -= {lr} * {w}.grad")
        elif form == 1:
            self.emit(
                f"{w}.data.add_({w}.grad, alpha=-{lr})"
                if self.r.random() < 0.5
                else f"{w}.data -= {lr} * {w}.grad"
            )
        elif form == 2:
            self.emit(f"{w}.grad.zero_()")
        elif form == 3:
            self.emit(f"{w}.grad = None")
        elif self.optimisers:
            o = self.r.choice(self.optimisers)
            self.emit(f"{o}.step()")
            if self.r.random() < 0.7:
                self.emit(f"{o}.zero_grad()")
        self.count("update")

    def optimiser(self) -> None:
        leaves = [k for k, v in self.vars.items() if v.rg == LEAF and v.view == "base"]
        if not leaves or self.loop:
            return
        o = self.name("o")
        names = self.r.sample(leaves, min(len(leaves), 2))
        args = self.r.choice(
            ("lr=0.1", "lr=0.05, momentum=0.9", "lr=0.1, weight_decay=0.1", "lr=0.01")
        )
        kind = "Adam" if args == "lr=0.01" else "SGD"
        self.emit(f"{o} = T.optim.{kind}([{', '.join(names)}], {args})")
        self.optimisers.append(o)
        self.count(kind)

    def hook(self) -> None:
        x = self.some(lambda q: q.rg > 0)
        if x is None:
            return
        form = self.r.randrange(4)
        if form == 0:
            self.emit(f"{x}.register_hook(lambda g: g * 2)")
        elif form == 1:
            self.emit(f"{x}.register_hook(lambda g: R(g * 1) and None if False else None)")
        elif form == 2:
            self.emit(f"{x}.retain_grad()")
        else:
            h = self.name("h")
            self.emit(f"{h} = {x}.register_hook(lambda g: g + 1)")
            if self.r.random() < 0.5:
                self.emit(f"{h}.remove()")
        self.count("hook", self.vars[x].view)

    def flag(self) -> None:
        # of a tensor that has views only the base counts: PyTorch's views then lose the gradient
        x = self.some(
            lambda q: q.dtype in FLOATS and q.rg in (NO, LEAF) and not q.alias and not q.said
        )
        if x is None:
            return
        v = self.vars[x]
        if v.rg == LEAF:
            self.emit(f"{x}.requires_grad_(False)")
            v.rg = NO
        else:
            self.emit(f"{x}.requires_grad_()")
            v.rg = LEAF
            self.lone(x)
        self.count("requires_grad_", v.view)
