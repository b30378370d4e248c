"""The paths PyTorch keeps its layers at lead to ours."""

import importlib

import pytest

from rushlight import nn


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("module", "Module"), ("linear", "Linear"), ("activation", "ReLU"),
        ("batchnorm", "BatchNorm1d"), ("container", "ParameterList"),
        ("container", "Sequential"), ("loss", "CrossEntropyLoss"), ("sparse", "Embedding"),
        ("normalization", "LayerNorm"), ("dropout", "Dropout"), ("flatten", "Flatten"),
    ],
)  # fmt: skip
def test_paths(path, name):
    found = getattr(importlib.import_module(f"rushlight.nn.modules.{path}"), name)
    assert found is getattr(nn, name)
    assert getattr(nn.modules, name) is found


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'Linea'"):
        _ = nn.modules.Linea
