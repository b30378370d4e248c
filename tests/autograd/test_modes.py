"""Grad modes: context managers, decorators, generators, nesting."""

import pytest

import rushlight as torch


def x():
    return torch.ones(2, requires_grad=True)


def test_no_grad_in_its_three_spellings():
    with torch.no_grad():
        assert not (x() * 2).requires_grad
    assert (x() * 2).requires_grad

    @torch.no_grad()
    def called(v):
        return v * 2

    @torch.no_grad
    def bare(v):
        return v * 2

    assert not called(x()).requires_grad
    assert not bare(x()).requires_grad
    assert called.__name__ == "called"


def test_modes_nest_and_come_back_after_errors():
    with torch.no_grad():
        with torch.enable_grad():
            assert (x() * 2).requires_grad
        assert not torch.is_grad_enabled()
        with pytest.raises(ValueError), torch.enable_grad():
            raise ValueError
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_set_grad_enabled_as_call_and_as_block():
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        assert not (x() * 2).requires_grad
    assert torch.is_grad_enabled()


def test_inference_mode():
    with torch.inference_mode():
        y = x() * 2
    assert not y.requires_grad
    with torch.inference_mode(False):
        assert (x() * 2).requires_grad

    @torch.inference_mode()
    def f(v):
        return v * 2

    assert not f(x()).requires_grad


def test_inference_mode_says_whether_it_is_on():
    def now():
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    assert now() == (False, True)
    with torch.inference_mode():
        assert now() == (True, False)
        with torch.inference_mode(False):
            assert now() == (False, True)
        with torch.enable_grad():
            assert now() == (True, True)
        assert now() == (True, False)
    with torch.no_grad(), torch.inference_mode(False):
        assert now() == (False, True)
    assert torch.inference_mode(now)() == (True, False) and now() == (False, True)


def test_generators_run_in_the_mode_and_leave_it_between():
    @torch.no_grad()
    def numbers():
        for _ in range(2):
            yield (x() * 2).requires_grad

    for inside in numbers():
        assert not inside
        assert torch.is_grad_enabled()


def test_factories_ignore_the_mode():
    with torch.no_grad():
        assert torch.ones(2, requires_grad=True).requires_grad
