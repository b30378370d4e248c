"""Files: PyTorch's checkpoints and safetensors, written whole and read without trust."""

from .checkpoint import load, save
from .safetensors import SafetensorError, load_file, load_metadata, save_file

__all__ = ["SafetensorError", "load", "load_file", "load_metadata", "save", "save_file"]
