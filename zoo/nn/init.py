"""The values from which training starts."""

from typing import Literal

from torch import Tensor, nn

from zoo.nn.position import FrequencyTimePosition, LearnedPosition
from zoo.nn.prefix import PrefixTokens

_STD = 0.02


InitialValues = Literal["published", "scaled"]


def init_weights(module: nn.Module, values: InitialValues = "published") -> None:
    """Set the first values of a module and of all that it holds, in place, from torch's own generator.

    | part                                          | published                              | scaled                  |
    | --------------------------------------------- | -------------------------------------- | ----------------------- |
    | nn.Linear weight                              | truncated normal, std 0.02, cut at +-2 | Xavier uniform          |
    | nn.Linear bias                                | 0                                      | 0                       |
    | nn.LayerNorm weight, bias                     | 1, 0                                   | 1, 0                    |
    | CLS and DIST tokens, and their positions      | truncated normal, std 0.02             | the same                |
    | LearnedPosition, FrequencyTimePosition tables | truncated normal, std 0.02             | sinusoids of both axes  |
    | a parameter called `mask_token` (1, 1, D)     | Xavier normal, so std 1 / sqrt(D)      | the same                |
    | nn.Conv2d (the patches) and anything else     | left as built, torch's default         | the same                |

    published: timm 0.4.5 as AST and PaSST use it; SSAST for the mask token. AST and SSAST leave new prediction heads at
        torch's default: call this on the part that should have these values.
    scaled: for models that learn from nothing on little data. A standard deviation of 0.02 is made for width 768; at
        width 128 attention starts uniform, and positions of 0.02 drown in the patches, so that thousands of steps pass
        before a masked patch is looked for among its neighbours (docs/log.md has the measurement). Xavier weights and
        sinusoids are what He et al. 2022 (masked autoencoders) start from; the tables are learned on from there.

    Raises: ShapeError - scaled, and a position table whose width is no multiple of 4.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            if values == "scaled":
                nn.init.xavier_uniform_(part.weight)
            else:
                _draw(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, LearnedPosition | FrequencyTimePosition) and values == "scaled":
            part.start_as_sinusoids()
        elif isinstance(part, PrefixTokens | LearnedPosition | FrequencyTimePosition):
            for table in part.parameters(recurse=False):
                _draw(table)
        mask_token = getattr(part, "mask_token", None)
        if isinstance(mask_token, nn.Parameter):
            nn.init.normal_(mask_token, std=mask_token.shape[-1] ** -0.5)


def _draw(table: Tensor) -> None:
    nn.init.trunc_normal_(table, std=_STD, a=-2.0, b=2.0)
