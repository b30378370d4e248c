"""Nodes and hooks: what operations save, what nodes get and give."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

graph = torch.autograd.graph


def pair() -> tuple[Any, Any]:
    return (
        torch.tensor([1.0, 2.0, 3.0], requires_grad=True),
        torch.tensor([4.0, 5.0, 6.0], requires_grad=True),
    )


class Log:
    """Pack and unpack that note what they see."""

    def __init__(self) -> None:
        self.packed: list[Any] = []
        self.unpacked: list[Any] = []

    def pack(self, x: Any) -> Any:
        self.packed.append(x.tolist())
        return x.numpy().copy()

    def unpack(self, kept: Any) -> Any:
        self.unpacked.append(kept.tolist())
        return torch.from_numpy(kept)


def test_saved_tensors_go_through_the_hooks() -> None:
    a, b = pair()
    log = Log()
    with graph.saved_tensors_hooks(log.pack, log.unpack):
        y = a * b
        assert sorted(log.packed) == [[1, 2, 3], [4, 5, 6]]  # at once
        z = y.exp()
    assert log.packed[2] == z.tolist() and not log.unpacked
    (y + 0 * z).sum().backward()
    assert len(log.unpacked) == 3
    assert a.grad.tolist() == [4, 5, 6] and b.grad.tolist() == [1, 2, 3]


def test_what_unpack_returns_is_what_the_gradient_reads() -> None:
    a, b = pair()
    with graph.saved_tensors_hooks(lambda x: x * 10, lambda x: x):
        y = a * b
    y.sum().backward()
    assert a.grad.tolist() == [40, 50, 60] and b.grad.tolist() == [10, 20, 30]


def test_the_innermost_hooks_count() -> None:
    a, b = pair()
    with graph.saved_tensors_hooks(lambda x: x * 10, lambda x: x):
        with graph.saved_tensors_hooks(lambda x: x, lambda x: x):
            y = a * b
        z = a * b
    y.sum().backward()
    assert a.grad.tolist() == [4, 5, 6]
    a.grad = None
    z.sum().backward()
    assert a.grad.tolist() == [40, 50, 60]


def test_functions_save_through_the_hooks() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 2 * x

    a, _ = pair()
    log = Log()
    with graph.saved_tensors_hooks(log.pack, log.unpack):
        y = Square.apply(a)
    assert log.packed == [[1, 2, 3]]
    (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
    assert g.tolist() == [2, 4, 6]
    (h,) = torch.autograd.grad(g.sum(), a)
    assert h.tolist() == [2, 2, 2]


def test_save_on_cpu_and_mutation() -> None:
    a, b = pair()
    with graph.save_on_cpu(), graph.allow_mutation_on_saved_tensors():
        c = b * 1
        y = a * c
        c.mul_(0)
        y.sum().backward()
    assert a.grad.tolist() == [4, 5, 6]


def test_hooks_may_be_forbidden() -> None:
    with (
        graph.disable_saved_tensors_hooks("not here"),
        pytest.raises(RuntimeError, match="not here"),
        graph.saved_tensors_hooks(lambda x: x, lambda x: x),
    ):
        pass
    with graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        pass


def test_bad_hooks_are_refused() -> None:
    a, b = pair()
    with (
        pytest.raises(RuntimeError, match="modifying its input in place"),
        graph.saved_tensors_hooks(lambda x: x.add_(1), lambda x: x),
    ):
        _ = a * b
    with graph.saved_tensors_hooks(lambda x: x, lambda x: 3):  # type: ignore[arg-type,return-value]
        y = a * b
    with pytest.raises(TypeError, match="expected to be a Tensor but got result of type int"):
        y.sum().backward()
    with graph.saved_tensors_hooks(lambda x: x, lambda x: x[:2]):
        y = a * b
    with pytest.raises(RuntimeError, match="came back with shape"):
        y.sum().backward()


def test_node_hooks_see_and_replace() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = y * y
    seen: list[Any] = []
    z.grad_fn.register_prehook(lambda gs: (gs[0] * 10,))
    z.grad_fn.register_hook(lambda gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
    handle = y.grad_fn.register_hook(lambda gi, go: (gi[0] + 1, *gi[1:]))
    z.sum().backward(retain_graph=True)
    assert seen == [([60, 120], [10, 10])]
    assert x.grad.tolist() == [181, 361]
    handle.remove()
    x.grad = None
    z.sum().backward()
    assert x.grad.tolist() == [180, 360] and len(seen) == 2


def test_a_leaf_node_has_hooks() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    edge = graph.get_gradient_edge(x)
    assert edge.node.variable is x and edge.output_nr == 0
    seen: list[Any] = []
    handle = (
        (x * 2)
        .grad_fn.next_functions[0][0]
        .register_hook(lambda gi, go: seen.append((gi, go[0].item(), x.grad.item())))
    )
    (x * 2).sum().backward()
    assert seen == [((), 2.0, 2.0)]
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1


def test_nodes_are_known_across_runs() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x.exp()
    y.item()
    z = y * 2
    inner = z.grad_fn.next_functions[0][0]
    assert inner.name() == "ExpBackward0" and isinstance(inner, graph.Node)
    assert inner == y.grad_fn and inner != z.grad_fn
    assert inner.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"


def test_gradients_at_edges() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    edge = graph.get_gradient_edge(y)
    (g,) = torch.autograd.grad((y * y).sum(), edge)
    assert g.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="does not require gradients"):
        graph.get_gradient_edge(torch.ones(1))


def test_a_hook_on_several_gradients() -> None:
    p = [torch.ones(2, requires_grad=True) for _ in range(3)]
    q = [p[0] * 2, p[1] * 3, torch.ones(1)]
    seen: list[Any] = []
    first: list[Any] = []
    handle = graph.register_multi_grad_hook(p, seen.append)
    graph.register_multi_grad_hook(q, first.append, mode="any")
    (q[0] * p[1]).sum().backward()
    assert [g if g is None else g.tolist() for g in seen[0]] == [[2, 2], [2, 2], None]
    assert [g.tolist() for g in first] == [[1, 1]]
    (p[2].sum() + q[1].sum()).backward()
    assert [g if g is None else g.tolist() for g in seen[1]] == [None, [3, 3], [1, 1]]
    handle.remove()
    p[0].sum().backward()
    assert len(seen) == 2 and len(first) == 2
    with pytest.raises(ValueError, match="Expects mode"):
        graph.register_multi_grad_hook(p, seen.append, mode="some")
