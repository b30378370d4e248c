"""`torch.export`: its names, for programs that import more than they use."""

from __future__ import annotations

from typing import Final

from rushlight.base.lacking import names_of

_NAMES: Final = frozenset(
    [
        *("AdditionalInputs", "Dim", "ExportBackwardSignature", "ExportGraphSignature"),
        *("ExportedProgram", "ModuleCallEntry", "ModuleCallSignature", "ShapesCollection"),
        *("UnflattenedModule", "default_decompositions", "dims", "draft_export", "export"),
        *("export_for_training", "load", "register_dataclass", "save", "unflatten"),
    ]
)

__getattr__ = names_of(
    "torch.export", _NAMES, "modules are not exported as graphs here; save their state_dict()"
)
