"""`torch.onnx`: nothing is exported yet; using it says so."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from rushlight.base.lacking import names_of

__all__ = ["export", "is_in_onnx_export"]

_NAMES: Final = frozenset(
    [
        *("ExportableModule", "JitScalarType", "ONNXProgram", "OnnxExporterError"),
        *("OperatorExportTypes", "TensorProtoDataType", "TrainingMode", "dynamo_export", "errors"),
        *("ops", "register_custom_op_symbolic", "select_model_mode_for_export", "utils"),
        *("symbolic_helper", "unregister_custom_op_symbolic"),
    ]
)
_INSTEAD: Final = (
    "save the weights with torch.save(model.state_dict(), path), load them in PyTorch, and export "
    "there"
)

__getattr__ = names_of("torch.onnx", _NAMES, _INSTEAD)


def is_in_onnx_export() -> bool:
    """False."""
    return False


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """`NotImplementedError`."""
    raise NotImplementedError(f"torch.onnx.export is not in Rushlight: {_INSTEAD}")


setattr(export, "lacking", True)  # for `rushlight check`
