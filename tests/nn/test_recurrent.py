"""Recurrent layers against their formulas, cells against layers, packed against padded."""

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.autograd import gradcheck, gradgradcheck
from rushlight.nn.functional.recurrent import sequence
from rushlight.nn.utils import rnn as seq

KINDS = ("RNN", "LSTM", "GRU")


def first(state):
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("kind", KINDS)
def test_layer_is_cells_one_after_the_other(kind) -> None:
    torch.manual_seed(0)
    layer = getattr(nn, kind)(3, 4)
    cell = getattr(nn, kind + "Cell")(3, 4)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data = getattr(layer, f"{name}_l0").data
    x = torch.randn(5, 2, 3)
    out, last = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        assert torch.allclose(out[t], first(state), atol=1e-6)
    assert torch.allclose(first(last)[0], first(state), atol=1e-6)


def test_lstm_formula() -> None:
    cell = nn.LSTMCell(2, 1)
    with torch.no_grad():
        for p in cell.parameters():
            p.fill_(0.5)
    h, c = cell(torch.tensor([[1.0, 2.0]]), (torch.tensor([[0.2]]), torch.tensor([[0.3]])))
    gate = torch.tensor(0.5 * (1 + 2 + 0.2 + 2))
    want = gate.sigmoid() * 0.3 + gate.sigmoid() * gate.tanh()
    assert torch.allclose(c, want) and torch.allclose(h, gate.sigmoid() * want.tanh())


def test_gru_formula() -> None:
    cell = nn.GRUCell(1, 1, bias=False)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[0.1], [0.2], [0.3]]))
        cell.weight_hh.copy_(torch.tensor([[0.4], [0.5], [0.6]]))
    h = cell(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    r, z = torch.tensor(0.1 + 0.8).sigmoid(), torch.tensor(0.2 + 1.0).sigmoid()
    n = torch.tanh(0.3 + r * 1.2)
    assert torch.allclose(h, (1 - z) * n + z * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind) -> None:
    torch.manual_seed(1)
    layer = getattr(nn, kind)(2, 3).double()
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]

    def run(x, *weights):
        count = 2 if kind == "LSTM" else 1
        state = [torch.zeros(1, 2, 3, dtype=torch.float64) for _ in range(count)]
        mode = "RNN_TANH" if kind == "RNN" else kind
        out, last = sequence(mode, x, state, weights, True, 0.0, False, False)
        return out, last[0]

    assert gradcheck(run, (x, *weights))
    assert gradgradcheck(lambda x: run(x, *weights)[0], (x,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("both", [False, True])
def test_packed_is_each_sequence_alone(kind, both) -> None:
    torch.manual_seed(2)
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=both)
    xs = [torch.randn(n, 3) for n in (2, 5, 3)]
    out, last = layer(seq.pack_sequence(xs, enforce_sorted=False))
    for i, (x, got) in enumerate(zip(xs, seq.unpack_sequence(out), strict=True)):
        alone, state = layer(x)
        assert torch.allclose(got, alone, atol=1e-6)
        assert torch.allclose(first(last)[:, i], first(state), atol=1e-6)


def test_shapes_and_names() -> None:
    layer = nn.LSTM(3, 6, 2, batch_first=True, bidirectional=True, proj_size=2, bias=False)
    out, (h, c) = layer(torch.zeros(4, 5, 3))
    assert (out.shape, h.shape, c.shape) == ((4, 5, 4), (4, 4, 2), (4, 4, 6))
    assert [n for n, _ in layer.named_parameters()][:4] == [
        "weight_ih_l0", "weight_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse",
    ]  # fmt: skip
    assert layer.weight_ih_l1.shape == (24, 4) and layer.weight_hh_l0.shape == (24, 2)
    assert repr(layer) == (
        "LSTM(3, 6, proj_size=2, num_layers=2, bias=False, batch_first=True, bidirectional=True)"
    )
    assert len(layer.all_weights) == 4 and layer.all_weights[0][0] is layer.weight_ih_l0
    layer.flatten_parameters()


def test_reverse_direction_reads_from_the_end() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(2, 3, bidirectional=True)
    plain = nn.GRU(2, 3)
    for name, _ in list(plain.named_parameters()):
        getattr(plain, name).data = getattr(layer, name + "_reverse").data
    x = torch.randn(4, 1, 2)
    assert torch.allclose(layer(x)[0][..., 3:], plain(x.flip(0))[0].flip(0), atol=1e-6)


def test_dropout_between_layers_only_in_training() -> None:
    torch.manual_seed(0)
    layer = nn.RNN(2, 3, 2, dropout=0.9)
    x = torch.randn(4, 1, 2)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.RNN(2, 3, dropout=0.5)


def test_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size must be greater than zero"):
        nn.LSTM(3, 0)
    with pytest.raises(TypeError, match="input_size should be of type int, got: float"):
        nn.LSTM(3.0, 4)
    with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
        nn.GRU(3, 4, proj_size=2)
    with pytest.raises(ValueError, match="Unknown nonlinearity 'gelu'"):
        nn.RNN(3, 4, nonlinearity="gelu")
    layer = nn.LSTM(3, 4)
    with pytest.raises(RuntimeError, match="Expected 3, got 2"):
        layer(torch.zeros(5, 1, 2))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(1, 1, 4\)"):
        layer(torch.zeros(5, 1, 3), (torch.zeros(1, 1, 4), torch.zeros(1, 2, 4)))
    with pytest.raises(ValueError, match="does not match weight dtype"):
        layer(torch.zeros(5, 1, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="inconsistent input_size"):
        nn.GRUCell(3, 4)(torch.zeros(1, 2))


def test_padding() -> None:
    parts = [torch.arange(3.0), torch.ones(1)]
    assert seq.pad_sequence(parts, True, 9.0).tolist() == [[0, 1, 2], [1, 9, 9]]
    assert seq.pad_sequence(parts, padding_side="left").tolist() == [[0, 0], [1, 0], [2, 1]]
    packed = seq.pack_padded_sequence(seq.pad_sequence(parts), [3, 1])
    assert packed.data.tolist() == [0, 1, 1, 2] and packed.batch_sizes.tolist() == [2, 1, 1]
    padded, lengths = seq.pad_packed_sequence(packed, True, -1.0, total_length=4)
    assert padded.tolist() == [[0, 1, 2, -1], [1, -1, -1, -1]] and lengths.tolist() == [3, 1]
    with pytest.raises(RuntimeError, match="decreasing order"):
        seq.pack_padded_sequence(seq.pad_sequence(parts), [1, 3])
    loose = seq.pack_padded_sequence(seq.pad_sequence(parts[::-1]), [1, 3], enforce_sorted=False)
    assert loose.sorted_indices.tolist() == [1, 0] and loose.unsorted_indices.tolist() == [1, 0]
    assert [t.tolist() for t in seq.unpack_sequence(loose)] == [[1], [0, 1, 2]]
