"""The folder that `rushlight run` puts on the module path: its `torch` and `torchvision` are us."""
