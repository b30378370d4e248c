"""Transforms against NumPy's, gradients against differences, frames there and back."""

import numpy as np
import pytest

import rushlight as torch

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4, 6))
Z = X + 1j * RNG.standard_normal(X.shape)


def tensor(a, **more):
    kind = torch.complex128 if np.iscomplexobj(a) else torch.float64
    return torch.tensor(a.tolist(), dtype=kind, **more)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize(("n", "dim"), [(None, -1), (5, 0), (8, 1)])
def test_one_dimension(name, norm, n, dim):
    a = X if name in ("rfft", "ihfft") else Z
    found = getattr(torch.fft, name)(tensor(a), n, dim, norm)
    np.testing.assert_allclose(found.numpy(), getattr(np.fft, name)(a, n, dim, norm), 1e-12, 1e-13)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn"])
@pytest.mark.parametrize("s", [None, (5, 8)])
def test_several_dimensions(name, s):
    a = X if name.startswith("r") else Z
    dims = {} if name.endswith("2") or s is None else {"axes": (1, 2)}
    found = getattr(torch.fft, name)(tensor(a), s)
    np.testing.assert_allclose(found.numpy(), getattr(np.fft, name)(a, s, **dims), 1e-12, 1e-13)


def test_types_and_refusals():
    assert torch.fft.fft(torch.arange(4)).dtype is torch.complex64
    assert torch.fft.irfft(torch.ones(3, dtype=torch.complex128)).dtype is torch.float64
    with pytest.raises(RuntimeError, match="expects a real input"):
        torch.fft.rfft(tensor(Z))
    with pytest.raises(RuntimeError, match="Invalid number of data points"):
        torch.fft.fft(tensor(X), 0)
    with pytest.raises(RuntimeError, match="normalization mode"):
        torch.fft.fft(tensor(X), norm="unit")
    with pytest.raises(RuntimeError, match="unique"):
        torch.fft.fftn(tensor(X), dim=(0, 0))
    with pytest.raises(RuntimeError, match="Unsupported dtype Half"):
        torch.fft.fft(torch.ones(4).half())


def test_frequencies_and_shifts():
    np.testing.assert_allclose(torch.fft.fftfreq(7, 0.5).numpy(), np.fft.fftfreq(7, 0.5), 1e-6)
    np.testing.assert_allclose(torch.fft.rfftfreq(8).numpy(), np.fft.rfftfreq(8), 1e-6)
    for name in ("fftshift", "ifftshift"):
        np.testing.assert_array_equal(
            getattr(torch.fft, name)(tensor(X)).numpy(), getattr(np.fft, name)(X)
        )


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.fft.fft(x).abs().sum(),
        lambda x: torch.fft.rfft(x, 5).abs().sum(),
        lambda x: torch.fft.irfft(torch.fft.rfft(x) * (1 + 0.5j), 6).pow(3).sum(),
        lambda x: torch.fft.ihfft(x, norm="ortho").imag.exp().sum(),
        lambda x: torch.fft.irfftn(torch.fft.rfftn(x).exp()).sum(),
        lambda x: torch.stft(x[0], 4, 2, return_complex=True).abs().sum(),
    ],
)
def test_gradients(f):
    a = X[0, :2, :6]
    x = tensor(a, requires_grad=True)
    f(x).backward()
    for at in [(0, 0), (1, 3), (0, 5)]:
        high, low = a.copy(), a.copy()
        high[at] += 1e-6
        low[at] -= 1e-6
        slope = (f(tensor(high)).item() - f(tensor(low)).item()) / 2e-6
        assert x.grad[at].item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("window", [None, "hann_window", "kaiser_window"])
def test_frames_there_and_back(window):
    x = tensor(RNG.standard_normal((2, 50)))
    w = None if window is None else getattr(torch, window)(16, dtype=torch.float64)
    frames = torch.stft(x, 16, 4, window=w, return_complex=True)
    assert frames.shape == (2, 9, 13)
    back = torch.istft(frames, 16, 4, window=w, length=48)
    np.testing.assert_allclose(back.numpy(), x[:, :48].numpy(), 1e-9, 1e-10)


def test_windows():
    n = np.arange(8)
    np.testing.assert_allclose(
        torch.hann_window(8).numpy(), 0.5 - 0.5 * np.cos(2 * np.pi * n / 8), 1e-6, 1e-7
    )
    np.testing.assert_allclose(torch.hamming_window(8, False).numpy(), np.hamming(8), 1e-6, 1e-7)
    np.testing.assert_allclose(torch.kaiser_window(8, False, 5.0).numpy(), np.kaiser(8, 5), 1e-5)
    np.testing.assert_allclose(torch.bartlett_window(8, False).numpy(), np.bartlett(8), 1e-6)
    np.testing.assert_allclose(torch.blackman_window(8, False).numpy(), np.blackman(8), 1e-5, 1e-7)
