"""Modules, functions, initialisers and losses beside PyTorch: the same programs run in both."""

import math
import warnings

import numpy as np
import pytest
import torch

import rushlight

RTOL, ATOL = 3e-5, 2e-6


def inputs(module):
    """Tensors equal in both frameworks, and the modules' names."""
    rng = np.random.default_rng(11)
    f = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731

    def make(a, grad=False):
        return module.tensor(np.asarray(a), requires_grad=grad)

    return {
        "torch": module,
        "nn": module.nn,
        "F": module.nn.functional,
        "init": module.nn.init,
        "math": math,
        "x": make(f(6, 5), True),
        "y": make(f(6, 5)),
        "z": make(f(6, 5)),
        "c": make(f(4, 3, 7), True),
        "i": make(f(2, 3, 4, 5), True),
        "v": make(f(5), True),
        "p": make(rng.uniform(0.05, 0.95, (6, 5)).astype(np.float32), True),
        "q": make(rng.uniform(0.05, 0.95, (6, 5)).astype(np.float32)),
        "t": make(rng.integers(0, 5, 6)),
        "tc": make(rng.integers(0, 3, (4, 7))),
        "s": make(np.where(rng.random((6, 5)) < 0.5, -1, 1).astype(np.float32)),
        "s6": make(np.where(rng.random(6) < 0.5, -1, 1).astype(np.float32)),
        "w5": make(rng.uniform(0.5, 2, 5).astype(np.float32)),
        "ids": make(rng.integers(0, 10, (3, 4))),
    }


def plain(value):
    """A result as something to compare: arrays for tensors, texts for the rest."""
    if hasattr(value, "detach"):
        return ("tensor", tuple(value.shape), str(value.dtype), value.detach().numpy())
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if hasattr(value, "items"):
        return [(k, plain(v)) for k, v in value.items()]
    return repr(value)


def outcome(module, text):
    """What statements ending in an expression give, the inputs' gradients, or the error."""
    names = inputs(module)
    module.manual_seed(5)
    *before, last = text.split("; ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for line in before:
                exec(line, names)
            value = eval(last, names)
            found = plain(value)
            grads = {}
            if hasattr(value, "requires_grad") and value.requires_grad:
                (value * value.detach().cos()).sum().backward()
                leaves = {k: v for k, v in names.items() if hasattr(v, "is_leaf")}
                if "m" in names:
                    leaves |= dict(names["m"].named_parameters())
                grads = {
                    k: plain(v.grad) for k, v in leaves.items() if v.is_leaf and v.grad is not None
                }
        except Exception as error:  # compared, whatever it is
            return type(error).__name__, str(error)
        return found, grads


def same(a, b, where):
    """Compare two outcomes, floats to a tolerance."""
    assert type(a) is type(b), (where, a, b)
    if isinstance(a, tuple) and len(a) == 4 and a[0] == "tensor":
        assert a[1:3] == b[1:3], (where, a[1:3], b[1:3])
        np.testing.assert_allclose(a[3], b[3], RTOL, ATOL, err_msg=where)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), (where, a, b)
        for x, y in zip(a, b, strict=True):
            same(x, y, where)
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), (where, a.keys(), b.keys())
        for k in a:
            same(a[k], b[k], f"{where}, gradient of {k}")
    else:
        assert a == b, (where, a, b)


# Errors whose words are other than PyTorch's: only the type is compared.
OTHER_WORDS = {"F.embedding(ids, x)"}


def compare(text):
    """Run a program in both frameworks and compare."""
    ours, theirs = outcome(rushlight, text), outcome(torch, text)
    if text in OTHER_WORDS:
        ours, theirs = ours[:1], theirs[:1]
    same(ours, theirs, text)


ACTIVATIONS = [
    "F.relu(x)", "F.leaky_relu(x)", "F.leaky_relu(x, 0.3)", "F.elu(x)", "F.elu(x, 0.7)",
    "F.selu(x)",
    "F.celu(x)", "F.celu(x, 2.0)", "F.gelu(x)", "F.gelu(x, approximate='tanh')",
    "F.gelu(x, approximate='no')", "F.silu(x)",
    "F.mish(x)", "F.sigmoid(x)", "F.tanh(x)", "F.logsigmoid(x)", "F.softplus(x)",
    "F.softplus(x, 2, 1)",
    "F.softsign(x)", "F.tanhshrink(x)", "F.softshrink(x)", "F.softshrink(x, 0.2)",
    "F.hardshrink(x)",
    "F.hardtanh(x)", "F.hardtanh(x, -0.5, 0.2)", "F.relu6(x * 4)", "F.hardsigmoid(x * 4)",
    "F.hardswish(x * 4)", "F.threshold(x, 0.1, 20)", "F.softmax(x, 1)", "F.softmax(x, 0)",
    "F.softmin(x, -1)", "F.log_softmax(x, 1)", "F.softmax(c, 1)", "F.softmax(x, 5)", "F.glu(i, 2)",
    "F.glu(i, 1)", "F.glu(i)", "F.prelu(x, v)", "F.prelu(c, v[:3])", "F.prelu(x, v[:1])",
    "F.prelu(x, v[:3])", "F.rrelu(x)", "F.rrelu(x, training=True)", "F.softmax(x)", "F.softmax(c)",
    "F.relu(x * 1.5, inplace=True)", "F.elu(x * 1.5, inplace=True)", "F.relu_(y)", "F.relu_(x)",
    "F.softmax(y, 1, dtype=torch.float64)", "F.softshrink(x, -1)", "F.hardtanh(x, 1, 0)",
]  # fmt: skip

LINEAR = [
    "F.linear(x, y)", "F.linear(x, y, v[:1])", "F.linear(x, y, y[0])", "F.linear(x, y[:, :3])",
    "F.linear(v, y)", "F.linear(c, torch.ones(2, 7), torch.ones(2))",
    "F.bilinear(x, y, torch.ones(2, 5, 5), torch.ones(2))", "F.bilinear(x, y, torch.ones(2, 4, 5))",
    "m = nn.Linear(5, 3); m(x)", "m = nn.Linear(5, 3, bias=False); m(x)",
    "m = nn.Linear(5, 3); m(c)",
    "m = nn.Linear(7, 3); m(c)", "m = nn.Bilinear(5, 5, 3); m(x, y)",
    "m = nn.Identity(3, a=4); m(x)",
    "m = nn.Flatten(); m(i)", "m = nn.Flatten(0, 1); m(i)", "m = nn.Unflatten(1, (5, 1)); m(x)",
    "nn.Unflatten(1, 3)", "nn.Unflatten(1, (2, 'a'))",
    "m = nn.Embedding(10, 3); m(ids)", "m = nn.Embedding(10, 3, padding_idx=2); m(ids)",
    "m = nn.Embedding(10, 3, padding_idx=-1); m.weight",
    "m = nn.Embedding(10, 3, max_norm=1.0); m(ids)",
    "nn.Embedding(10, 3, padding_idx=10)", "nn.Embedding.from_pretrained(y)(ids % 6)",
    "F.embedding(ids, x)", "F.one_hot(ids)", "F.one_hot(ids, 12)", "F.one_hot(ids, 3)",
    "F.one_hot(y)",
]  # fmt: skip

NORMS = [
    "m = nn.LayerNorm(5); m(x)", "m = nn.LayerNorm([4, 5], elementwise_affine=False); m(i)",
    "m = nn.LayerNorm(5, bias=False); m(x)", "m = nn.LayerNorm(4); m(x)", "m = nn.RMSNorm(5); m(x)",
    "m = nn.RMSNorm(5, 0.1); m(x)", "m = nn.GroupNorm(3, 3); m(c)", "m = nn.GroupNorm(1, 3); m(i)",
    "nn.GroupNorm(2, 3)", "m = nn.BatchNorm1d(5); m(x)",
    "m = nn.BatchNorm1d(5); m(x); m.state_dict()",
    "m = nn.BatchNorm1d(3); m(c)", "m = nn.BatchNorm1d(5); m(x); m.eval(); m(x)",
    "m = nn.BatchNorm1d(5, momentum=None); m(x); m(y); m.state_dict()",
    "m = nn.BatchNorm1d(5, track_running_stats=False); m(x); m.eval(); m(x)",
    "m = nn.BatchNorm2d(3, affine=False); m(i)", "m = nn.BatchNorm2d(3); m(c)",
    "m = nn.BatchNorm1d(5); m(x[:1])",
    "m = nn.InstanceNorm1d(3); m(c)",
    "m = nn.InstanceNorm2d(3, affine=True, track_running_stats=True); m(i)",
    "F.normalize(x)", "F.normalize(x, p=1, dim=0)", "F.cosine_similarity(x, y)",
    "F.pairwise_distance(x, y)",
    "F.pairwise_distance(x, y, 1, keepdim=True)", "nn.CosineSimilarity(0)(x, y)",
    "nn.PairwiseDistance(3)(x, y)",
    "F.layer_norm(x, ())", "F.group_norm(x[0], 1)",
]  # fmt: skip

DROPOUTS = [
    "F.dropout(x, 0.3)", "F.dropout(x, 0.3, False)", "F.dropout(x, 1.0)", "F.dropout(x, 0.0)",
    "F.dropout(x, 2)",
    "F.dropout(x.t(), 0.5)", "F.dropout(i, 0.5)", "F.dropout1d(c, 0.5)", "F.dropout2d(i, 0.5)",
    "F.dropout1d(i)",
    "F.alpha_dropout(x, 0.4, True)", "F.feature_alpha_dropout(c, 0.4, True)",
    "m = nn.Dropout(0.2); m(x)",
    "m = nn.Dropout(); m.eval(); m(x)", "m = nn.AlphaDropout(); m(x)", "nn.Dropout(1.5)",
    "F.dropout(x, 0.3); F.dropout(x, 0.3); torch.rand(3)", "F.dropout3d(i[None], 0.5)",
]  # fmt: skip

LOSSES = [
    f"F.{name}(x, y{r})"
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss")
    for r in ("", ", reduction='sum'", ", reduction='none'", ", reduction='no'")
] + [
    "F.smooth_l1_loss(x, y, beta=0.3)", "F.smooth_l1_loss(x, y, beta=0)",
    "F.huber_loss(x, y, delta=0.3)",
    "F.huber_loss(x, y, delta=0)", "F.mse_loss(x, y[0])", "F.mse_loss(x, y, False, True)",
    "F.mse_loss(x, y, weight=q)", "F.cross_entropy(x, t)", "F.cross_entropy(x, t, reduction='sum')",
    "F.cross_entropy(x, t, reduction='none')", "F.cross_entropy(x, t, w5)",
    "F.cross_entropy(x, t, ignore_index=1)",
    "F.cross_entropy(x, t, label_smoothing=0.1)",
    "F.cross_entropy(x, t, w5, label_smoothing=0.1, ignore_index=0)",
    "F.cross_entropy(x, q)", "F.cross_entropy(x, q, w5, label_smoothing=0.2)",
    "F.cross_entropy(c, tc)",
    "F.cross_entropy(v, t[0])", "F.cross_entropy(x, t[:3])", "F.cross_entropy(x, t + 3)",
    "F.nll_loss(F.log_softmax(x, 1), t)", "F.nll_loss(F.log_softmax(x, 1), t, w5)",
    "F.nll_loss(c, tc)",
    "F.binary_cross_entropy(p, q)", "F.binary_cross_entropy(p, q, reduction='sum')",
    "F.binary_cross_entropy(p, q, w5)", "F.binary_cross_entropy(p, q[0])",
    "F.binary_cross_entropy(p * 2, q)",
    "F.binary_cross_entropy_with_logits(x, q)",
    "F.binary_cross_entropy_with_logits(x, q, pos_weight=w5)",
    "F.binary_cross_entropy_with_logits(x, q, w5, pos_weight=w5)",
    "F.binary_cross_entropy_with_logits(x, q[0])",
    "F.kl_div(x, q)", "F.kl_div(x, q, reduction='batchmean')",
    "F.kl_div(x, y, reduction='sum', log_target=True)",
    "F.poisson_nll_loss(x, q)", "F.poisson_nll_loss(p, q * 4, log_input=False, full=True)",
    "F.gaussian_nll_loss(x, y, q)", "F.gaussian_nll_loss(x, y, q[:, :1], full=True)",
    "F.gaussian_nll_loss(x, y, y)",
    "F.hinge_embedding_loss(x, s)", "F.margin_ranking_loss(x, y, s, 0.3)",
    "F.soft_margin_loss(x, s)",
    "F.multilabel_soft_margin_loss(x, (q > 0.5).float())", "F.multi_margin_loss(x, t)",
    "F.multi_margin_loss(x, t, 2, 0.5, w5)",
    "F.cosine_embedding_loss(x, y, s6, 0.1)", "F.triplet_margin_loss(x, y, z)",
    "F.triplet_margin_loss(x, y, z, swap=True, p=1)",
    "nn.MSELoss()(x, y)", "nn.L1Loss(reduction='sum')(x, y)", "nn.CrossEntropyLoss(w5)(x, t)",
    "nn.BCELoss()(p, q)",
    "nn.BCEWithLogitsLoss(pos_weight=w5)(x, q)", "nn.NLLLoss()(x, t)",
    "nn.KLDivLoss(reduction='batchmean')(x, q)",
    "nn.HuberLoss()(x, y)", "nn.SmoothL1Loss()(x, y)", "nn.TripletMarginLoss()(x, y, z)",
    "nn.HingeEmbeddingLoss()(x, s)",
    "nn.TripletMarginWithDistanceLoss(swap=True)(x, y, z)", "nn.MarginRankingLoss()(x, y, s)",
    "nn.CosineEmbeddingLoss()(x, y, s6)", "nn.PoissonNLLLoss()(x, q)",
    "nn.GaussianNLLLoss()(x, y, q)",
    "nn.MultiMarginLoss()(x, t)", "nn.SoftMarginLoss()(x, s)",
    "nn.MSELoss(size_average=False)(x, y)",
    "nn.CrossEntropyLoss(w5).state_dict()",
]  # fmt: skip

INITS = [
    f"init.{name}(torch.empty(6, 5){args})"
    for name, args in [
        ("uniform_", ""), ("uniform_", ", -2, 3"), ("normal_", ""), ("normal_", ", 1, 0.1"),
        ("trunc_normal_", ""),
        ("trunc_normal_", ", 0, 0.02"), ("trunc_normal_", ", 1.5, 1., 2., 2.5"), ("constant_",
        ", 0.3"), ("ones_", ""),
        ("zeros_", ""), ("eye_", ""), ("xavier_uniform_", ""), ("xavier_uniform_", ", 2.0"),
        ("xavier_normal_", ""),
        ("kaiming_uniform_", ""), ("kaiming_uniform_", ", mode='fan_out', nonlinearity='relu'"),
        ("kaiming_normal_", ""),
        ("kaiming_normal_", ", mode='x'"), ("orthogonal_", ""), ("sparse_", ", 0.3"),
        ("kaiming_uniform", ""), ("dirac_", ""),
    ]
] + [
    "init.dirac_(torch.empty(4, 2, 3), 2)", "init.orthogonal_(torch.empty(3, 2, 4), 0.5)",
    "init.eye_(torch.empty(3))",
    "init.xavier_uniform_(torch.empty(3))", "init.uniform_(torch.empty(5, 6).t())",
    "init.normal_(torch.empty(5, 6).t())",
    "init.calculate_gain('leaky_relu', 0.2)", "init.calculate_gain('tanh')",
    "init.calculate_gain('x')",
    "init.calculate_gain('leaky_relu', True)", "nn.Linear(50, 40).state_dict()",
    "nn.Bilinear(3, 4, 5).state_dict()",
    "nn.Embedding(7, 6).weight", "nn.PReLU(3).weight", "init.uniform_(nn.Linear(3, 4).weight)",
    "init.normal_(torch.empty(40, 50, dtype=torch.float64))",
]  # fmt: skip


@pytest.mark.parametrize("text", ACTIVATIONS + LINEAR + NORMS + DROPOUTS + LOSSES)
def test_functions(text):
    compare(text)


@pytest.mark.parametrize("text", INITS)
def test_initialisers(text):
    compare(text)


# What is printed of modules, and what they hold.
PRINTED = [
    "nn.Linear(3, 4, bias=False)", "nn.Bilinear(1, 2, 3)", "nn.Identity()", "nn.Flatten()",
    "nn.Unflatten(1, (2, 3))",
    "nn.ReLU()", "nn.ReLU(True)", "nn.ReLU6()", "nn.LeakyReLU(0.2, True)", "nn.ELU()", "nn.SELU()",
    "nn.CELU(2.)",
    "nn.GELU()", "nn.GELU('tanh')", "nn.SiLU()", "nn.Mish()", "nn.Sigmoid()", "nn.Tanh()",
    "nn.Softplus()", "nn.Softsign()",
    "nn.Hardtanh()", "nn.Hardsigmoid()", "nn.Hardswish()", "nn.LogSigmoid()", "nn.Softmax(1)",
    "nn.LogSoftmax(-1)",
    "nn.Softmin()", "nn.PReLU(3)", "nn.Threshold(0.1, 2)", "nn.Tanhshrink()", "nn.Softshrink()",
    "nn.Hardshrink(0.3)",
    "nn.GLU()", "nn.RReLU()", "nn.Dropout(0.1)", "nn.Dropout2d()", "nn.AlphaDropout()",
    "nn.LayerNorm(3)", "nn.RMSNorm((2, 3))",
    "nn.GroupNorm(1, 2)", "nn.BatchNorm1d(3)", "nn.BatchNorm2d(3, momentum=None)",
    "nn.InstanceNorm1d(2)", "nn.Embedding(3, 4)",
    "nn.Embedding(3, 4, padding_idx=1, max_norm=2., norm_type=1., sparse=True)", "nn.MSELoss()",
    "nn.CrossEntropyLoss()",
    "nn.BCELoss()", "nn.Softmax2d()", "nn.CosineSimilarity()", "nn.PairwiseDistance()",
    "nn.HuberLoss()",
    "nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Sequential(nn.Tanh()))",
    "nn.ModuleList([nn.ReLU()] * 3 + [nn.Tanh()])",
    "nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Sequential()})", "nn.ParameterList([torch.ones(2, 3)])",
    "nn.ParameterDict({'a': nn.Parameter(torch.ones(2))})", "nn.Parameter(torch.ones(2))",
    "nn.Parameter(torch.ones(2), False)",
    "nn.Parameter(torch.ones(2, dtype=torch.int64))",
    "nn.Parameter(torch.ones(2, dtype=torch.int64), False)",
    "nn.Module()", "nn.Sequential(nn.Linear(1, 2), nn.ReLU())[1]",
    "nn.Sequential(nn.Linear(1, 2), nn.ReLU())[5]",
]  # fmt: skip


@pytest.mark.parametrize("text", PRINTED)
def test_printed(text):
    ours, theirs = outcome(rushlight, f"repr({text})"), outcome(torch, f"repr({text})")
    assert ours == theirs


PROGRAMS = [
    # hooks in order, with what they see
    """
log = []
m = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
m.register_forward_pre_hook(lambda mod, a: log.append(('pre', len(a))) or (a[0] * 2,))
m[1].register_forward_hook(lambda mod, a, out: log.append(('tanh', tuple(out.shape))) or out * 3)
m[0].register_full_backward_hook(
    lambda mod, gi, go: log.append(('bw', gi[0].sum().item() > 0, len(go))))
m[2].register_full_backward_pre_hook(lambda mod, go: (go[0] * 2,))
out = m(x)
out.sum().backward()
result = [log, out, x.grad, m[0].weight.grad, m[2].bias.grad]
""",
    # state dictionaries by prefix, assignment, sharing
    """
a, b = [nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)) for _ in range(2)]
state = a.state_dict(prefix='net.')
got = b.load_state_dict({k[4:]: v for k, v in state.items()})
b[0].weight = a[0].weight
names = [n for n, _ in nn.ModuleList([a, b]).named_parameters()]
result = [str(got), names, list(state), b.state_dict(), str(state._metadata)]
""",
    """
m = nn.Linear(3, 2)
errors = []
for state in ({'weight': torch.ones(2, 3)},
              {'weight': torch.ones(3), 'bias': torch.ones(2), 'x': 1}):
    for strict in (True, False):
        try:
            errors.append(str(m.load_state_dict(state, strict=strict)))
        except RuntimeError as error:
            errors.append(str(error))
result = errors
""",
    # clipping, vectors of parameters
    """
m = nn.Linear(5, 3)
(m(x) ** 2).sum().backward()
total = nn.utils.clip_grad_norm_(m.parameters(), 1.0)
first = m.weight.grad.clone()
nn.utils.clip_grad_value_(m.parameters(), 0.05)
vec = nn.utils.parameters_to_vector(m.parameters())
nn.utils.vector_to_parameters(vec * 2, m.parameters())
result = [total, first, m.weight.grad, m.bias, nn.utils.get_total_norm([x, y], float('inf')),
          nn.utils.clip_grad_norm_([], 1.0)]
""",
    # a module of one's own, conversion, modes
    """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.full((4,), 0.5))
        self.register_buffer('seen', torch.zeros(()))
        self.register_buffer('hidden', torch.zeros(2), persistent=False)
    def forward(self, x):
        self.seen += 1
        return self.first(x).tanh() * self.scale
net = Net()
net(x.detach())
net.double()
out = net(x.detach().double())
net.requires_grad_(False)
result = [out, net.seen, list(net.state_dict()), [str(p.dtype) for p in net.parameters()],
          [p.requires_grad for p in net.parameters()], net.train().training,
          net.eval().first.training,
          [n for n, _ in net.named_modules()], [n for n, _ in net.named_buffers()], str(net)]
""",
    # copies are independent, pickles come back
    """
import copy
m = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
n = copy.deepcopy(m)
with torch.no_grad():
    n[0].weight.zero_()
result = [m[0].weight, n[0].weight, n[0].bias, isinstance(n[0].weight, nn.Parameter),
          n[0].weight.requires_grad]
""",
    """
m = nn.Linear(3, 2)
m.bias = None
p = nn.Parameter(torch.ones(2, 3))
m.weight = p
with torch.no_grad():
    m.weight.mul_(3)
m.extra = nn.ReLU()
del m.extra
result = [list(m.state_dict()), m(torch.ones(1, 3)), m.weight is p, hasattr(m, 'extra'), p]
""",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program):
    found = []
    for module in (rushlight, torch):
        names = inputs(module)
        module.manual_seed(5)
        exec(program, names)
        found.append(plain(names["result"]))
    same(found[0], found[1], program)
