"""Shape rules and gradient rules that are remembered give what they gave the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as T
from rushlight.engine import core, rules, specs, stretch, trie
from rushlight.engine.records import NUM_B, NUM_F, NUM_I
from rushlight.graph.op import TABLE, Spec


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Tries and rules without anything in them."""
    forget()
    yield
    forget()


def forget() -> None:
    """Nothing is remembered."""
    e = core.mine()
    T.zeros(1).item()
    e.roots = trie.new_root()
    stretch.clear(e)
    rules.LESSONS.clear()
    rules.READS.clear()
    specs.ANSWERS.clear()
    specs.LUCKY.left = specs.LUCK


X = [[0.3, -1.2, 2.0], [1.5, 0.1, -0.7]]
Y = [[1.0, 0.5, -2.0], [-0.3, 0.9, 1.1]]
Function = Callable[[Any, Any], Any]
CASES: dict[str, Function] = {
    "mul": lambda x, y: x * y,
    "square": lambda x, y: x * x,  # one value in both places
    "broadcast": lambda x, y: x * y[0] + y[:, :1],
    "chain": lambda x, y: ((x * y).tanh() * x + y.exp() / (x * x + 1)).relu(),
    "composite": lambda x, y: T.softmax(x * y, 1) * T.logsumexp(x, 1, keepdim=True),
    "matmul": lambda x, y: (x @ y.t()) @ x,
    "views": lambda x, y: x[:, 1:] * y.t().reshape(2, 3)[:, :2] + T.cat([x, y])[1:3, :2],
    "where": lambda x, y: T.where(x > y, x * 2, y * y).amax(1),
    "loss": lambda x, y: T.nn.functional.cross_entropy(x * y, T.tensor([1, 0])),
    "written": lambda x, y: (x * 1).mul_(y).add_(x),
    "numbers": lambda x, y: x * 2 - 3 / (y * y + 1) + (x**2),
}


def gradients(f: Function, again: int, order: int) -> list[Any]:
    """Gradients of ``f``, after it was differentiated ``again`` times at other values."""
    out: list[Any] = []
    for k in range(again + 1):
        x = T.tensor(X, requires_grad=True)
        y = T.tensor(Y, requires_grad=True)
        with T.no_grad():
            x += again - k
        z = f(x, y).sum()
        if order == 1:
            z.backward()
            out = [x.grad.tolist(), y.grad if y.grad is None else y.grad.tolist()]
        else:
            got = T.autograd.grad(z, [x, y], create_graph=True, allow_unused=True)
            flags = [g is not None and g.requires_grad for g in got]
            whole = sum([(g * g).sum() for g in got if g is not None], T.zeros(()))
            if whole.requires_grad:
                whole.backward()
            out = [flags, *[g if g is None else g.tolist() for g in got]]
            out += [p.grad if p.grad is None else p.grad.tolist() for p in (x, y)]
    return out


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_rule(name: str, order: int) -> None:
    first = gradients(CASES[name], 0, order)
    again = gradients(CASES[name], 0, order)  # the trie knows it
    core.mine().roots = trie.new_root()
    stretch.clear(core.mine())
    new = gradients(CASES[name], 2, order)  # the trie does not, the rules are remembered
    assert rules.LESSONS
    assert first == again == new


@pytest.mark.parametrize("name", CASES)
def test_gradients_where_answers_are_not_kept(name: str) -> None:
    want = gradients(CASES[name], 0, 2)
    core.mine().roots = trie.new_root()
    stretch.clear(core.mine())
    for _ in range(3):
        specs.LUCKY.left = -1
        specs.ANSWERS.clear()
        assert gradients(CASES[name], 0, 2) == want


def test_answers_are_kept_while_they_are_asked_for_again() -> None:
    """Sizes that are always new stop it, sizes that come again begin it anew."""
    e = core.mine()
    for n in range(1, 200):
        (T.zeros(n, 3) + 1).sum().item()
    assert specs.LUCKY.left < 0
    size = len(specs.ANSWERS)
    for n in range(200, 300):
        assert T.zeros(n, 3).sum(0, keepdim=True).expand(2, 3).shape == (2, 3)
    assert len(specs.ANSWERS) < size + 100
    for _ in range(60):
        e.roots = trie.new_root()
        stretch.clear(e)
        assert T.zeros(4, 3).sum(0).tolist() == [0.0, 0.0, 0.0]
    assert specs.LUCKY.left > 0


def test_a_rule_for_part_of_the_operands() -> None:
    """What is remembered for both operands is not used where one wants no gradient."""
    x, y = T.tensor(X, requires_grad=True), T.tensor(Y, requires_grad=True)
    (x * y).sum().backward()
    z = T.tensor(Y)
    (x * z).sum().backward()
    assert x.grad.tolist() == (T.tensor(Y) * 2).tolist()
    (g,) = T.autograd.grad((x * y).sum(), [y])
    assert g.tolist() == T.tensor(X).tolist()


def test_saved_values_of_a_pending_history() -> None:
    """What a later backward reads is known without applying the rule again."""
    for _ in range(3):
        core.mine().roots = trie.new_root()
        stretch.clear(core.mine())
        x = T.tensor(X, requires_grad=True)
        y = (x * x).tanh() * x
        y.tolist()
        y.sum().backward()
        want = x.detach().tanh()  # something else in between
        assert want.shape == x.shape
        t = (x * x).tanh()
        expected = t + x * (1 - t * t) * 2 * x
        assert T.allclose(x.grad, expected.detach())
    assert rules.READS


def test_arguments_that_only_compare_equal() -> None:
    assert specs.exact(1.0) != specs.exact(1)
    assert specs.exact(0.0) != specs.exact(-0.0)
    assert specs.exact((1, (2.0, 3))) != specs.exact((1, (2, 3)))
    assert specs.exact((1, 2)) == (1, 2)
    x = T.tensor([1, 2, 3])
    assert x.clamp(0, 2).dtype is T.int64
    assert x.clamp(0.0, 2.0).dtype is T.clamp(T.tensor([1, 2, 3]), 0.0, 2.0).dtype


def test_the_default_type_is_part_of_the_question() -> None:
    a = T.tensor([1, 2])
    assert (a / 2).dtype is T.float32
    T.set_default_dtype(T.float64)
    try:
        assert (a / 2).dtype is T.float64
        assert (a * 0.5).dtype is T.float64
    finally:
        T.set_default_dtype(T.float32)
    assert (a / 2).dtype is T.float32


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(core.record1, "__code__"):
        pytest.skip("bounds are compiled in")
    monkeypatch.setattr(specs, "MOST", 20)
    monkeypatch.setattr(rules, "MOST", 5)
    for n in range(1, 60):
        x = T.ones(n, requires_grad=True)
        (x.exp().view(1, n) * 2).sum().backward()
        assert x.grad is not None
        assert abs(x.grad[0].item() - 2 * 2.718281828) < 1e-5
    assert len(specs.SPECS) <= 20
    assert len(specs.ANSWERS) <= 20
    assert len(rules.LESSONS) <= 5


def test_equal_specs_are_one() -> None:
    a = specs.interned(Spec((2, 3), T.float32))
    b = specs.interned(Spec((2, 3), T.float32, (3, 1)))
    assert a is b
    assert specs.sized(a) == T.Size([2, 3])
    with pytest.raises(RuntimeError, match="must match"):
        specs.inferred(TABLE["add"], [a, specs.interned(Spec((4,), T.float32))], None, True)


def test_numbers_are_known_by_kind() -> None:
    assert specs.number_spec(NUM_F).dtype is T.float32
    assert specs.number_spec(NUM_I).number == "i"
    assert specs.number_spec(NUM_B).dtype is T.bool
