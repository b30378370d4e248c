"""Families that few programs use: their names are known here, their files load when first used.

`FUNCTIONS` finds a function of one by its name; on `Tensor` a mark stands for each method until
the first look at it.  `tests/tensor/test_later.py` holds the table to what the files enter.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from rushlight.base.lazy import LOADING
from rushlight.engine import Tensor

# By file: the functions that it enters, and the methods.
FAMILIES: Final[dict[str, tuple[str, str]]] = {
    "bends": (
        "hardshrink prelu",
        "hardshrink prelu",
    ),
    "combine": (
        "_segment_reduce index_reduce scatter_reduce segment_reduce",
        "index_reduce index_reduce_ scatter_reduce scatter_reduce_",
    ),
    "copies": (
        "alias_copy as_strided_copy as_strided_scatter diagonal_copy diagonal_scatter "
        "expand_copy nonzero_static permute_copy select_copy select_scatter slice_copy "
        "slice_scatter split_copy split_with_sizes_copy squeeze_copy t_copy "
        "transpose_copy unbind_copy unfold_copy unsafe_chunk unsafe_split unsqueeze_copy "
        "view_copy",
        "as_strided_scatter diagonal_scatter nonzero_static select_scatter slice_scatter "
        "unsafe_chunk unsafe_split",
    ),
    "factors": (
        "lu lu_solve lu_unpack qr",
        "lu lu_solve qr",
    ),
    "fourier": (
        "",
        "",
    ),
    "frames": (
        "istft stft",
        "istft stft",
    ),
    "matrices": (
        "cholesky cholesky_inverse cholesky_solve det inverse logdet matrix_exp "
        "matrix_power pinverse slogdet svd triangular_solve",
        "cholesky cholesky_inverse cholesky_solve det inverse logdet matrix_exp "
        "matrix_power pinverse slogdet svd triangular_solve",
    ),
    "more": (
        "cdist corrcoef cov is_nonzero narrow_copy renorm scalar_tensor "
        "set_default_tensor_type trapezoid trapz typename unravel_index vander",
        "corrcoef cov is_nonzero narrow_copy renorm renorm_",
    ),
    "natives": (
        "_native_batch_norm_legit addmv_ as_strided_ binomial cond "
        "conj_physical_ "
        "constant_pad_nd detach_copy empty_permuted fill_ from_dlpack gcd_ get_device "
        "is_same_size lcm_ ldexp_ logit_ nan_to_num_ native_batch_norm native_dropout "
        "native_dropout_backward native_group_norm native_layer_norm round_ sym_float "
        "sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum to_dlpack "
        "unsafe_split_with_sizes while_loop "
        "view_as_complex_copy view_as_real_copy",
        "__dlpack__ __dlpack_device__ as_subclass dim_order fill_diagonal_ "
        "is_distributed map2_ map_ record_stream "
        "resize resize_as unsafe_split_with_sizes volatile",
    ),
    "samples": (
        "cumulative_trapezoid gradient histogram histogramdd nanmedian nanquantile",
        "histogram nanmedian nanquantile",
    ),
    "sharing": (
        "",
        "is_shared share_memory_",
    ),
    "sparse": (
        "sparse_coo_tensor spmm",
        "coalesce dense_dim indices is_coalesced sparse_dim sparse_mask to_dense to_sparse "
        "to_sparse_coo values",
    ),
    "special": (
        "frexp ldexp mvlgamma polygamma",
        "frexp ldexp ldexp_ mvlgamma mvlgamma_ polygamma polygamma_",
    ),
    "spectra": (
        "pca_lowrank svd_lowrank",
        "",
    ),
    "storage": (
        "is_storage",
        "set_ storage storage_type untyped_storage",
    ),
    "windows": (
        "bartlett_window blackman_window hamming_window hann_window kaiser_window",
        "",
    ),
}


def load(family: str) -> None:
    """Import a family's file: it enters its functions and attaches its methods."""
    with LOADING:
        importlib.import_module(f"rushlight.tensor.{family}")


class Mark:
    """Stands for a method of a family: the first look loads the file, which puts it in place."""

    __slots__ = ("family", "name")

    def __init__(self, family: str, name: str) -> None:
        self.family = family
        self.name = name

    def __get__(self, x: Any, owner: Any = None) -> Any:
        load(self.family)
        return getattr(owner if x is None else x, self.name)


class Functions(dict[str, Any]):
    """The public functions by name; one of a family that is not loaded yet loads it."""

    def __missing__(self, name: str) -> Any:
        family = LATER.get(name)
        if family is None:
            raise KeyError(name)
        load(family)
        return self[name]


LATER: Final = {
    name: family for family, (functions, _) in FAMILIES.items() for name in functions.split()
}
for _family, (_, _methods) in FAMILIES.items():
    for _name in _methods.split():
        setattr(Tensor, _name, Mark(_family, _name))
