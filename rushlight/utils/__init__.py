"""Tools around training: data loading and what PyTorch keeps in `torch.utils`."""
