"""PyTorch's names for Rushlight's classes and functions, as pickles spell them.

Owns the table of the files in which PyTorch keeps what checkpoints name; what it does not list
goes by the path where PyTorch's programs find it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

# PyTorch's module -> what it defines, as far as pickles of whole objects name it.
_DEFINED: Final = {
    "torch.nn.modules.activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh "
    "LeakyReLU LogSigmoid LogSoftmax Mish MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU "
    "Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh Tanhshrink Threshold",
    "torch.nn.modules.adaptive": "AdaptiveLogSoftmaxWithLoss",
    "torch.nn.modules.batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d LazyBatchNorm1d "
    "LazyBatchNorm2d LazyBatchNorm3d SyncBatchNorm",
    "torch.nn.modules.channelshuffle": "ChannelShuffle",
    "torch.nn.modules.container": "Container ModuleDict ModuleList ParameterDict ParameterList "
    "Sequential",
    "torch.nn.modules.conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d "
    "LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d",
    "torch.nn.modules.distance": "CosineSimilarity PairwiseDistance",
    "torch.nn.modules.dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d "
    "FeatureAlphaDropout",
    "torch.nn.modules.flatten": "Flatten Unflatten",
    "torch.nn.modules.fold": "Fold Unfold",
    "torch.nn.modules.instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d "
    "LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d",
    "torch.nn.modules.linear": "Bilinear Identity LazyLinear Linear",
    "torch.nn.modules.linear_cross_entropy_options": "LinearCrossEntropyOptions",
    "torch.nn.modules.loss": "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss "
    "CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss "
    "LinearCrossEntropyLoss MSELoss MarginRankingLoss MultiLabelMarginLoss "
    "MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss SmoothL1Loss "
    "SoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss",
    "torch.nn.modules.module": "Module",
    "torch.nn.modules.normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "torch.nn.modules.padding": "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d "
    "ConstantPad2d ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d "
    "ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d",
    "torch.nn.modules.pixelshuffle": "PixelShuffle PixelUnshuffle",
    "torch.nn.modules.pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d "
    "AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d "
    "FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d MaxPool2d "
    "MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    "torch.nn.modules.rnn": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase",
    "torch.nn.modules.sparse": "Embedding EmbeddingBag",
    "torch.nn.modules.transformer": "Transformer TransformerDecoder TransformerDecoderLayer "
    "TransformerEncoder TransformerEncoderLayer",
    "torch.nn.modules.upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
    "torch.nn.parallel.data_parallel": "DataParallel",
    "torch.nn.parameter": "Buffer Parameter UninitializedBuffer UninitializedParameter",
    "torch.optim": "Adafactor Muon",
    "torch.optim.adadelta": "Adadelta",
    "torch.optim.adagrad": "Adagrad",
    "torch.optim.adam": "Adam",
    "torch.optim.adamax": "Adamax",
    "torch.optim.adamw": "AdamW",
    "torch.optim.asgd": "ASGD",
    "torch.optim.lbfgs": "LBFGS",
    "torch.optim.lr_scheduler": "ChainedScheduler ConstantLR CosineAnnealingLR "
    "CosineAnnealingWarmRestarts CyclicLR ExponentialLR LRScheduler LambdaLR LinearLR MultiStepLR "
    "MultiplicativeLR OneCycleLR PolynomialLR ReduceLROnPlateau SequentialLR StepLR",
    "torch.optim.nadam": "NAdam",
    "torch.optim.optimizer": "Optimizer",
    "torch.optim.radam": "RAdam",
    "torch.optim.rmsprop": "RMSprop",
    "torch.optim.rprop": "Rprop",
    "torch.optim.sgd": "SGD",
    "torch.optim.sparse_adam": "SparseAdam",
    "torch.optim.swa_utils": "AveragedModel SWALR",
    "torch.utils.data.dataset": "ChainDataset ConcatDataset Dataset IterableDataset StackDataset "
    "Subset TensorDataset",
    "torch.utils.data.dataloader": "DataLoader",
    "torch.utils.data.distributed": "DistributedSampler",
    "torch.utils.data.sampler": "BatchSampler RandomSampler Sampler SequentialSampler "
    "SubsetRandomSampler WeightedRandomSampler",
}
# Where Rushlight has what PyTorch defines in those modules.
_PLACES: Final = ("nn.modules", "nn.parallel", "nn", "optim.lr_scheduler", "optim.swa_utils",
                  "optim", "utils.data")  # fmt: skip
_HOMES: Final = {name: home for home, names in _DEFINED.items() for name in names.split()}
# PyTorch's internal modules whose names are public elsewhere.
_INTERNAL: Final = {
    "torch._C": "torch",
    "torch._C._nn": "torch.nn.functional",
    "torch._C._VariableFunctions": "torch",
    "torch._tensor": "torch",
    "torch.tensor": "torch",
    "torch.functional": "torch",
}
_ROOT: Final = __name__.partition(".")[0]


def _module(path: str) -> Any:
    """A module of Rushlight's by its path below the package; None where there is none."""
    import importlib

    full = f"{_ROOT}.{path}" if path else _ROOT
    try:
        return sys.modules.get(full) or importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name is not None and full.startswith(error.name):
            return None
        raise


def _get(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
        if module is None:
            return None
    return module


def ours(module: str) -> bool:
    """Does a module's name, as a class or function says it, belong to Rushlight?"""
    head = module.partition(".")[0]
    return head in (_ROOT, "torch", "torchvision")


def torch_name(obj: Any) -> tuple[str, str] | None:
    """The module and name by which PyTorch finds what a class or function of ours stands for.

    None for what is not ours, or has no name that can be looked up.
    """
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not ours(module):
        return None
    home = _HOMES.get(name)
    if home is not None and _at_home(home, name) is obj:
        return home, name
    root = sys.modules[_ROOT]
    if root.__dict__.get(name) is obj:
        return "torch", name
    if "." in name or "<" in name:
        return None
    functional = sys.modules.get(f"{_ROOT}.nn.functional")
    if functional is not None and functional.__dict__.get(name) is obj:
        return "torch.nn.functional", name
    for path, alias in ((f"{_ROOT}.vision", "torchvision"), (_ROOT, "torch")):
        if module == path or module.startswith(path + "."):
            return alias + module[len(path) :], name
    return module, name


def _at_home(home: str, name: str) -> Any:
    """What we have under a name that PyTorch defines in ``home``."""
    path = home.removeprefix("torch.")
    for place in _PLACES:
        if path == place or path.startswith(place + ".") or place == path.partition(".")[0]:
            module = sys.modules.get(f"{_ROOT}.{place}") or _module(place)
            found = getattr(module, name, None) if module is not None else None
            if isinstance(found, type):
                return found
    return None


def our_object(module: str, name: str) -> Any:
    """What a pickle means by a name of PyTorch's.

    Raises:
        AttributeError: Rushlight has nothing of that name.
    """
    home = _DEFINED.get(module, "")
    if name in home.split():
        found = _at_home(module, name)
        if found is not None:
            return found
    module = _INTERNAL.get(module, module)
    if module == "torchvision" or module.startswith("torchvision."):
        path = "vision" + module.removeprefix("torchvision")
    else:
        path = module.removeprefix("torch").removeprefix(".")
    place = _module(path)
    found = None if place is None else _get(place, name)
    if found is None:
        raise AttributeError(
            f"the checkpoint names {module}.{name}, which is not in Rushlight yet; a state_dict "
            "of the same model can be loaded into a module of your own"
        )
    return found
