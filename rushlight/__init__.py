"""Rushlight: PyTorch's public API as a light framework.  `import rushlight as torch`.

The public names only; every one is defined in a layer below.  Submodules load when first used.
"""

from __future__ import annotations

import importlib as _importlib
import math as _math
from typing import Any as _Any

from rushlight import starting as _starting  # noqa: F401 - loads what follows

# isort: split
from rushlight import autograd, random
from rushlight.autograd import enable_grad, inference_mode, no_grad, set_grad_enabled
from rushlight.autograd.grad_mode import is_grad_enabled, is_inference_mode_enabled
from rushlight.base import dtype as _dt
from rushlight.base.device import device
from rushlight.base.dtype import dtype
from rushlight.base.errors import OutOfMemoryError
from rushlight.base.size import Size
from rushlight.capture import compiled as _compiled  # noqa: F401 - what compile gives
from rushlight.compiler.public import compile
from rushlight.engine import Tensor
from rushlight.random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from rushlight.switches import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    is_deterministic_algorithms_warn_only_enabled,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    use_deterministic_algorithms,
)
from rushlight.tensor import FUNCTIONS as _FUNCTIONS
from rushlight.tensor import later as _later
from rushlight.tensor import legacy as _legacy
from rushlight.tensor.display import get_printoptions, printoptions, set_printoptions
from rushlight.tensor.install import get_default_device, set_default_device
from rushlight.tensor.kinds import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    finfo,
    iinfo,
    layout,
    memory_format,
    preserve_format,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)

__version__ = "0.1.0"

e, inf, nan, pi = _math.e, _math.inf, _math.nan, _math.pi
newaxis = None

_names: dict[str, _Any] = dict(_FUNCTIONS) | _legacy.TYPES
_names |= {kind.name: kind for kind in (*_dt.ALL, _dt.complex32)}
_names |= {kind.alias: kind for kind in (*_dt.ALL, _dt.complex32) if kind.alias}
globals().update(_names)

# Functions of the public namespace that are `nn.functional`'s, loaded with it when first used.
_OF_NN = frozenset(
    [
        "adaptive_avg_pool1d",
        "avg_pool1d",
        "bilinear",
        "celu",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_tbc",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "channel_shuffle",
        "cosine_similarity",
        "max_pool1d",
        "max_pool1d_with_indices",
        "max_pool2d",
        "max_pool3d",
        "pairwise_distance",
        "pdist",
        "pixel_shuffle",
        "pixel_unshuffle",
        "rms_norm",
        "rrelu",
        "selu",
        "threshold",
    ]
)
# Submodules of the public namespace that are loaded when first used.
_LAZY = frozenset(
    [
        "_VF",
        "__config__",
        "_utils",
        "_dynamo",
        "_inductor",
        "_logging",
        "accelerator",
        "amp",
        "backends",
        "compiler",
        "cpu",
        "cuda",
        "distributed",
        "distributions",
        "doctor",
        "export",
        "fft",
        "func",
        "functional",
        "futures",
        "fx",
        "hub",
        "io",
        "jit",
        "lab",
        "library",
        "linalg",
        "masked",
        "mps",
        "multiprocessing",
        "nn",
        "onnx",
        "optim",
        "overrides",
        "profiler",
        "quantization",
        "return_types",
        "serialization",
        "signal",
        "sparse",
        "special",
        "storage",
        "testing",
        "torch_version",
        "types",
        "utils",
        "version",
        "vision",
        "xpu",
    ]
)

# What one name stands for in a module that is loaded when it is first used.
_AMP = (
    "autocast autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache "
    "get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype is_autocast_cache_enabled "
    "is_autocast_cpu_enabled is_autocast_enabled set_autocast_cache_enabled set_autocast_cpu_dtype "
    "set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype"
)
_DEFERRED = {
    **dict.fromkeys(_AMP.split(), "rushlight.amp"),
    "GradScaler": "rushlight.amp",
    **dict.fromkeys(("fork", "wait"), "rushlight.jit"),
    **dict.fromkeys(
        ("get_device_module", "is_warn_always_enabled", "set_warn_always"), "rushlight.switches"
    ),
    "explain": "rushlight.lab.explain",
    "is_anomaly_check_nan_enabled": "rushlight.autograd.anomaly_mode",
    "is_anomaly_enabled": "rushlight.autograd.anomaly_mode",
    "set_anomaly_enabled": "rushlight.autograd.anomaly_mode",
    "vmap": "rushlight.func",
    "load": "rushlight.serialization",
    "ops": "rushlight.library",
    "save": "rushlight.serialization",
} | dict.fromkeys(_OF_NN, f"{__name__}.nn.functional")
_DEFERRED |= dict.fromkeys(
    [
        "adaptive_max_pool1d", "affine_grid_generator", "convolution", "grid_sampler",
        "grid_sampler_2d", "grid_sampler_3d",
    ],
    f"{__name__}.nn.functional.plain",
)  # fmt: skip
# Those in the order of arguments of PyTorch's library.
_DEFERRED |= dict.fromkeys(
    [
        "alpha_dropout", "alpha_dropout_", "batch_norm", "binary_cross_entropy_with_logits",
        "celu_", "cosine_embedding_loss", "ctc_loss", "dropout", "dropout_", "embedding",
        "embedding_bag",
        "embedding_renorm_", "feature_alpha_dropout", "feature_alpha_dropout_",
        "feature_dropout", "feature_dropout_", "frobenius_norm", "group_norm",
        "hinge_embedding_loss", "instance_norm", "kl_div", "layer_norm",
        "margin_ranking_loss", "native_channel_shuffle", "norm_except_dim", "nuclear_norm",
        "poisson_nll_loss", "rrelu_", "selu_", "threshold_", "triplet_margin_loss",
    ],
    f"{__name__}.nn.functional.native",
)  # fmt: skip
_DEFERRED |= dict.fromkeys(
    [
        "gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh",
        "rnn_tanh_cell",
    ],
    f"{__name__}.nn.functional.recurrent",
)  # fmt: skip
_DEFERRED |= dict.fromkeys(
    [
        "BFloat16Storage", "BoolStorage", "ByteStorage", "CharStorage", "ComplexDoubleStorage",
        "ComplexFloatStorage", "DoubleStorage", "FloatStorage", "HalfStorage", "IntStorage",
        "LongStorage", "ShortStorage", "TypedStorage", "UntypedStorage",
    ],
    f"{__name__}.storage",
)  # fmt: skip

__all__ = [
    "Generator",
    "OutOfMemoryError",
    "Size",
    "Tensor",
    "are_deterministic_algorithms_enabled",
    "autograd",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "default_generator",
    "device",
    "dtype",
    "e",
    "enable_grad",
    "finfo",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "get_printoptions",
    "get_rng_state",
    "iinfo",
    "inf",
    "inference_mode",
    "initial_seed",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "layout",
    "manual_seed",
    "memory_format",
    "nan",
    "newaxis",
    "no_grad",
    "pi",
    "preserve_format",
    "printoptions",
    "random",
    "seed",
    "set_default_device",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_grad_enabled",
    "set_num_interop_threads",
    "set_num_threads",
    "set_printoptions",
    "set_rng_state",
    "sparse_bsc",
    "sparse_bsr",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
    "use_deterministic_algorithms",
]
__all__ += [name for name in (*_names, *_later.LATER) if name not in __all__]
__all__.sort()


def __getattr__(name: str) -> _Any:
    """A submodule on first use; `AttributeError` that names what does not exist."""
    if name in _LAZY:
        try:
            return _importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    if name in _later.LATER:
        found = globals()[name] = _FUNCTIONS[name]
        return found
    if name in _DEFERRED:
        module = _importlib.import_module(_DEFERRED[name])
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(
        f"module 'torch' has no attribute {name!r}: torch.{name} is not in Rushlight yet"
    )


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY, "__version__", "explain"})
