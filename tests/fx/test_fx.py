"""`torch.fx`: what is followed, the code of it, changes of graphs, interpreters."""

import copy
import operator

import pytest

import rushlight as torch
from rushlight import fx, nn
from rushlight.nn import functional as F


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.w = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return F.relu(self.lin(x)) * self.w + x[:, 0:1]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.b = Block()
        self.param = nn.Parameter(torch.rand(4, 4))
        self.register_buffer("scale", torch.full((4,), 2.0))

    def forward(self, x, y=2):
        h = self.b(self.net(x))
        z = torch.cat([h, -x], dim=1).sum(dim=-1)
        n = x.size(0)
        return z.view(n, 1) / y, {"top": torch.topk(self.b.lin(x) + self.param, 2), "t": x.shape[0]}


CODE = """


def forward(self, x, y = 2):
    net_0 = getattr(self.net, "0")(x)
    net_1 = getattr(self.net, "1")(net_0);  net_0 = None
    b_lin = self.b.lin(net_1)
    relu = torch.nn.functional.relu(b_lin);  b_lin = None
    b_w = self.b.w
    mul = relu * b_w;  relu = b_w = None
    getitem = net_1[(slice(None, None, None), slice(0, 1, None))];  net_1 = None
    add = mul + getitem;  mul = getitem = None
    neg = -x
    cat = torch.cat([add, neg], dim = 1);  add = neg = None
    sum_1 = cat.sum(dim = -1);  cat = None
    size = x.size(0)
    view = sum_1.view(size, 1);  sum_1 = size = None
    truediv = view / y;  view = y = None
    b_lin_1 = self.b.lin(x)
    param = self.param
    add_1 = b_lin_1 + param;  b_lin_1 = param = None
    topk = torch.topk(add_1, 2);  add_1 = None
    getattr_1 = x.shape;  x = None
    getitem_1 = getattr_1[0];  getattr_1 = None
    return (truediv, {'top': topk, 't': getitem_1})
    """


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def test_the_code_is_pytorchs(net):
    traced = fx.symbolic_trace(net)
    assert traced.code == CODE
    assert type(traced).__name__ == "Net" and isinstance(traced, fx.GraphModule)


def test_it_computes_the_same_and_shares_parameters(net):
    traced = fx.symbolic_trace(net)
    x = torch.randn(4, 4)
    for run in (traced, fx.Interpreter(traced).run, copy.deepcopy(traced)):
        got, want = run(x), net(x)
        assert torch.equal(got[0], want[0]) and got[1]["t"] == 4
        assert torch.equal(got[1]["top"].values, want[1]["top"].values)
    assert dict(traced.named_parameters()).keys() == dict(net.named_parameters()).keys()
    assert traced.param is net.param
    traced(x)[0].sum().backward()
    assert net.b.w.grad is not None
    assert "scale" not in dict(traced.named_buffers())  # nothing of the graph reads it


def test_everything_is_as_before_after_tracing(net):
    before = torch.relu, F.relu, torch.nn.Linear.__call__, F.__dict__["relu"]
    fx.symbolic_trace(net)
    with pytest.raises(fx.TraceError):
        fx.symbolic_trace(lambda x: x if x.sum() > 0 else -x)
    assert before == (torch.relu, F.relu, torch.nn.Linear.__call__, F.__dict__["relu"])
    assert "__getattribute__" not in vars(nn.Module)
    assert isinstance(torch.relu(torch.ones(1)), torch.Tensor)


def test_the_text_of_a_graph(net):
    lines = str(fx.symbolic_trace(net.b).graph).splitlines()
    assert lines == [
        "graph():",
        "    %x : [num_users=2] = placeholder[target=x]",
        "    %lin : [num_users=1] = call_module[target=lin](args = (%x,), kwargs = {})",
        "    %relu : [num_users=1] = call_function[target=torch.nn.functional.relu]"
        "(args = (%lin,), kwargs = {})",
        "    %w : [num_users=1] = get_attr[target=w]",
        "    %mul : [num_users=1] = call_function[target=operator.mul]"
        "(args = (%relu, %w), kwargs = {})",
        "    %getitem : [num_users=1] = call_function[target=operator.getitem]"
        "(args = (%x, (slice(None, None, None), slice(0, 1, None))), kwargs = {})",
        "    %add : [num_users=1] = call_function[target=operator.add]"
        "(args = (%mul, %getitem), kwargs = {})",
        "    return add",
    ]


def test_functions_are_replaced_node_by_node(net):
    traced = fx.symbolic_trace(net.b)
    for node in traced.graph.nodes:
        if node.target is F.relu:
            with traced.graph.inserting_after(node):
                new = traced.graph.call_function(torch.tanh, node.args, node.kwargs)
            node.replace_all_uses_with(new)
            with pytest.raises(RuntimeError, match="still had 1 users"):
                traced.graph.erase_node(new)
            traced.graph.erase_node(node)
    traced.graph.lint()
    traced.recompile()
    x = torch.randn(2, 4)
    assert torch.equal(traced(x), torch.tanh(net.b.lin(x)) * net.b.w + x[:, 0:1])


def test_modules_are_replaced(net):
    traced = fx.symbolic_trace(net.net)
    assert [n.op for n in traced.graph.nodes] == [
        "placeholder", "call_module", "call_module", "output",
    ]  # fmt: skip
    (node,) = traced.graph.find_nodes(op="call_module", target="1")
    assert traced.add_submodule("act.new", nn.Sigmoid())
    node.target = "act.new"
    traced.delete_all_unused_submodules()
    traced.recompile()
    x = torch.randn(2, 4)
    assert torch.equal(traced(x), torch.sigmoid(net.net[0](x)))
    assert not hasattr(traced, "1")


def test_graphs_made_by_hand():
    graph = fx.Graph()
    x = graph.placeholder("x")
    unused = graph.call_function(operator.add, (x, 1))
    y = graph.call_method("sum", (x,), {"dim": 0})
    graph.output(graph.call_module("inner.lin", (y,)))
    assert graph.eliminate_dead_code() and unused not in list(graph.nodes)
    lin = nn.Linear(3, 2)
    made = fx.GraphModule({"inner.lin": lin}, graph)
    v = torch.randn(5, 3)
    assert torch.equal(made(v), lin(v.sum(0)))
    assert [n.name for n in reversed(graph.nodes)] == ["output", "inner_lin", "sum_1", "x"]
    assert y.next.op == "call_module" and y.prev is x and list(x.users) == [y]
    x.prepend(y)
    with pytest.raises(RuntimeError, match="used before it has been defined"):
        graph.lint()


def test_functions_closures_and_constants():
    constant = torch.tensor([1.0, 2.0])
    traced = fx.symbolic_trace(lambda a, b: torch.relu(a) + b * 2 + constant @ constant + constant)
    a, b = torch.tensor([-1.0, 1.0]), torch.tensor([3.0, 4.0])
    assert traced(a, b).tolist() == [12.0, 16.0]
    part = fx.symbolic_trace(lambda a, flag: -a if flag else a, concrete_args={"flag": True})
    assert part(a).tolist() == [1.0, -1.0]


class Leafless(fx.Tracer):
    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, nn.Linear)


def test_tracers_of_ones_own(net):
    graph = Leafless().trace(net.net)
    names = [n.target for n in graph.nodes if n.op == "call_module"]
    assert "0" in names
    x = torch.randn(2, 4)
    assert torch.equal(fx.GraphModule(net.net, graph)(x), net.net(x))


class Sigmoids(fx.Transformer):
    def call_function(self, target, args, kwargs):
        return super().call_function(torch.sigmoid if target is F.relu else target, args, kwargs)


def test_transformers(net):
    made = Sigmoids(fx.symbolic_trace(net.b)).transform()
    x = torch.randn(2, 4)
    assert torch.equal(made(x), torch.sigmoid(net.b.lin(x)) * net.b.w + x[:, 0:1])


def kept_whole(x, n):
    return x if n > 100 else x * n


fx.wrap("kept_whole")


def test_wrapped_functions_are_not_followed():
    traced = fx.symbolic_trace(lambda x: kept_whole(x, x.shape[0]) + 1)
    assert "kept_whole" in traced.code
    assert traced(torch.ones(3)).tolist() == [4.0, 4.0, 4.0]


def test_what_cannot_be_followed_says_so():
    for f in (
        lambda x: x if x.sum() > 0 else -x,
        lambda x: list(x),
        lambda x: [1, 2, 3][x],
        lambda x: 1 in x,
    ):
        with pytest.raises(fx.TraceError, match="symbolically traced variables cannot be"):
            fx.symbolic_trace(f)
    with pytest.raises(RuntimeError, match="'len' is not supported"):
        fx.symbolic_trace(lambda x: len(x))
    with pytest.raises(NotImplementedError, match="any number of arguments"):
        fx.symbolic_trace(lambda *xs: xs[0])
