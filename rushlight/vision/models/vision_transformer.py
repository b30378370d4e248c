"""Vision transformer: an image as a sentence of patches (Dosovitskiy, 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rushlight import nn
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.models._registry import model
from rushlight.vision.ops.misc import MLP

Layer = Callable[..., nn.Module]
_NORM: Final = partial(nn.LayerNorm, eps=1e-6)


class MLPBlock(MLP):
    """Two linear layers with GELU between them."""

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, dropout=dropout)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.normal_(m.bias, std=1e-6)


class EncoderBlock(nn.Module):
    """Attention and `MLPBlock`, each added to its input."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = _NORM,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        attention: Any = nn.MultiheadAttention
        self.self_attention = attention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Any) -> Any:
        """[N, length, hidden_dim] to the same."""
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions added, then the blocks."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = _NORM,
    ) -> None:
        super().__init__()
        places = FUNCTIONS["empty"](1, seq_length, hidden_dim).normal_(std=0.02)
        self.pos_embedding = nn.Parameter(places)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential()
        for i in range(num_layers):
            block = EncoderBlock(
                num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
            )
            self.layers.add_module(f"encoder_layer_{i}", block)
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Any) -> Any:
        """[N, length, hidden_dim] to the same."""
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Images [N, 3, image_size, image_size] to classes [N, num_classes]."""

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Layer = _NORM,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        self.class_token = nn.Parameter(FUNCTIONS["zeros"](1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            self.seq_length,
            num_layers,
            num_heads,
            hidden_dim,
            mlp_dim,
            dropout,
            attention_dropout,
            norm_layer,
        )
        self.heads = nn.Sequential()
        width = hidden_dim
        before: Any = None
        if representation_size is not None:
            before = nn.Linear(hidden_dim, representation_size)
            self.heads.add_module("pre_logits", before)
            self.heads.add_module("act", nn.Tanh())
            width = representation_size
        head = nn.Linear(width, num_classes)
        self.heads.add_module("head", head)
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * patch_size**2)))
        if self.conv_proj.bias is not None:
            nn.init.zeros_(self.conv_proj.bias)
        if before is not None:
            nn.init.trunc_normal_(before.weight, std=math.sqrt(1 / hidden_dim))
            nn.init.zeros_(before.bias)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def _process_input(self, x: Any) -> Any:
        n, _, h, w = x.shape
        for side, size in (("height", h), ("width", w)):
            if size != self.image_size:
                raise AssertionError(
                    f"Wrong image {side}! Expected {self.image_size} but got {size}!"
                )
        count = (self.image_size // self.patch_size) ** 2
        return self.conv_proj(x).reshape(n, self.hidden_dim, count).permute(0, 2, 1)

    def forward(self, x: Any) -> Any:
        """[N, 3, image_size, image_size] to [N, num_classes]."""
        x = self._process_input(x)
        token: Any = self.class_token
        x = FUNCTIONS["cat"]([token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


def _vit(
    patch_size: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int, **kwargs: Any
) -> VisionTransformer:
    size = kwargs.pop("image_size", 224)
    return VisionTransformer(size, patch_size, num_layers, num_heads, hidden_dim, mlp_dim, **kwargs)


vit_b_16 = model("vit_b_16", partial(_vit, 16, 12, 12, 768, 3072))
vit_b_32 = model("vit_b_32", partial(_vit, 32, 12, 12, 768, 3072))
vit_l_16 = model("vit_l_16", partial(_vit, 16, 24, 16, 1024, 4096))
vit_l_32 = model("vit_l_32", partial(_vit, 32, 24, 16, 1024, 4096))
vit_h_14 = model("vit_h_14", partial(_vit, 14, 32, 16, 1280, 5120))

__all__ = [
    "VisionTransformer", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32",
]  # fmt: skip
