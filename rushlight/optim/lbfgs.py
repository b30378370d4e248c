"""L-BFGS: Newton's method with an inverse Hessian made of the last steps and gradient changes.

    s = step, y = change of the gradient, rho = 1 / (y . s)        (the last history_size of them)
    q = -g;  newest first: a_i = rho_i s_i . q,  q = q - a_i y_i
    r = (y . s) / (y . y) q;  oldest first: r = r + s_i (a_i - rho_i y_i . r)
    p = p + t r,  t by a line search or lr

Source: Nocedal, "Updating quasi-Newton matrices with limited storage", 1980, in the form of minFunc
and PyTorch, decision for decision.
"""

from __future__ import annotations

from typing import Any

from .. import engine
from ..engine import Tensor
from ..tensor.install import FUNCTIONS
from ..tensor.join import cat
from .line_search import Point, strong_wolfe
from .optimizer import Closure, Optimizer, ParamsT, _with_grad, as_number, check_at_least_zero


class LBFGS(Optimizer):
    """``torch.optim.LBFGS``: one group of parameters, and steps that call their closure."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_at_least_zero(learning_rate=lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    # ------------------------------------------------------------ all parameters as one vector
    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    def _gradient(self) -> Any:
        """The gradients of all parameters, one after another; complex numbers are two."""
        parts = []
        for p in self._params:
            g = p.grad
            if isinstance(g, engine.Scattered):
                g = g.filled()
            if g is None:
                g = p.new_zeros(p.numel())
            elif getattr(g, "is_sparse", False):
                g = g.to_dense()
            parts.append(_real(g).reshape(-1))
        return cat(parts, 0)

    def _move(self, t: float, direction: Any) -> None:
        """Add ``t`` times the direction to the parameters."""
        at = 0
        for p in self._params:
            flat = _real(p)
            n = flat.numel()
            flat.add_(direction[at : at + n].view_as(flat), alpha=t)
            at += n

    # ------------------------------------------------------------ stepping
    def step(self, closure: Closure | None = None) -> Any:
        """Up to ``max_iter`` iterations; returns the loss before them.

        ``closure`` computes the loss and its gradients; it is called many times.
        """
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        self._opt_called = True
        before = engine.set_grad_enabled(False)
        try:
            return self._iterate(closure)
        finally:
            engine.set_grad_enabled(before)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]

    def _iterate(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        lr = group["lr"]
        most, change = group["max_eval"], group["tolerance_change"]
        # The state is of all parameters; it is kept with the first, as PyTorch does.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = _with_grad(closure)
        loss = float(first)
        evaluated = 1
        state["func_evals"] += 1
        g = self._gradient()
        if g.abs().max() <= group["tolerance_grad"]:
            return first
        d, t = state.get("d"), state.get("t")
        memory = _Memory(state, group["history_size"])
        last_g, last_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d = -g
                memory.clear()
            else:
                memory.learn(g - last_g, d * t)
                d = memory.direction(g)
            last_g = g.clone()
            last_loss = loss
            t = min(1.0, 1.0 / g.abs().sum()) * lr if state["n_iter"] == 1 else lr
            slope = g.dot(d)
            if slope > -change:
                break
            calls = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                start = Point(0.0, loss, g, float(slope))
                left = most - evaluated
                point, calls = self._search(closure, as_number(t), start, d, left, change)
                loss, g, t = point.f, point.g, point.t
                self._move(t, d)
            else:
                self._move(as_number(t), d)
                if n != group["max_iter"]:
                    loss = float(_with_grad(closure))
                    g = self._gradient()
                    calls = 1
            evaluated += calls
            state["func_evals"] += calls
            if (
                n == group["max_iter"]
                or evaluated >= most
                or g.abs().max() <= group["tolerance_grad"]
                or (d * t).abs().max() <= change
                or abs(loss - last_loss) < change
            ):
                break
        state |= {"d": d, "t": t, **memory.kept(), "prev_flat_grad": last_g,
                  "prev_loss": last_loss}  # fmt: skip
        return first

    def _search(
        self, closure: Closure, t: float, start: Point, d: Any, most: int, tolerance: float
    ) -> tuple[Point, int]:
        home = [p.clone() for p in self._params]

        def look(t: float) -> Point:
            self._move(t, d)
            loss = float(_with_grad(closure))
            g = self._gradient()
            for p, kept in zip(self._params, home):
                p.copy_(kept)
            return Point(t, loss, g, float(g.dot(d)))

        width = float(d.abs().max())
        return strong_wolfe(look, t, start, width, tolerance=tolerance, most=most)


def _real(x: Any) -> Any:
    """The tensor itself, or a complex one's parts."""
    return FUNCTIONS["view_as_real"](x) if x.dtype.is_complex else x


class _Memory:
    """The last steps and changes of the gradient."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self._size = size
        self._changes: list[Any] = state.get("old_dirs") or []
        self._steps: list[Any] = state.get("old_stps") or []
        self._ro: list[Any] = state.get("ro") or []
        self._scale: Any = state.get("H_diag", 1)
        self._state = state

    def clear(self) -> None:
        """Forget everything."""
        self._changes, self._steps, self._ro, self._scale = [], [], [], 1

    def learn(self, y: Any, s: Any) -> None:
        """Remember a change of the gradient over a step, if it curves upwards."""
        product = y.dot(s)
        if product <= 1e-10:
            return
        if len(self._changes) == self._size:
            del self._changes[0], self._steps[0], self._ro[0]
        self._changes.append(y)
        self._steps.append(s)
        self._ro.append(1.0 / product)
        self._scale = product / y.dot(y)

    def direction(self, g: Any) -> Any:
        """The approximate inverse Hessian times ``-g``."""
        al: list[Any] = self._state.setdefault("al", [None] * self._size)
        q = -g
        for i in range(len(self._changes) - 1, -1, -1):
            al[i] = self._steps[i].dot(q) * self._ro[i]
            q = q - self._changes[i] * al[i]
        r = q * self._scale
        for i, change in enumerate(self._changes):
            r = r + self._steps[i] * (al[i] - change.dot(r) * self._ro[i])
        return r

    def kept(self) -> dict[str, Any]:
        """What the optimiser keeps, by PyTorch's names."""
        return {
            "old_dirs": self._changes,
            "old_stps": self._steps,
            "ro": self._ro,
            "H_diag": self._scale,
        }
