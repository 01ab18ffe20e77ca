"""The values from which training starts."""

from torch import Tensor, nn

from zoo.nn.position import FrequencyTimePosition, LearnedPosition
from zoo.nn.prefix import PrefixTokens

_STD = 0.02


def init_weights(module: nn.Module) -> None:
    """Set the first values of a module and of all that it holds, in place, from torch's own generator.

    | part                                          | values                                                       |
    | --------------------------------------------- | ------------------------------------------------------------ |
    | nn.Linear weight                              | truncated normal, std 0.02, cut at +-2 (absolute)            |
    | nn.Linear bias                                | 0                                                            |
    | nn.LayerNorm weight, bias                     | 1, 0                                                         |
    | CLS and DIST tokens, and their positions      | truncated normal, std 0.02                                   |
    | LearnedPosition, FrequencyTimePosition tables | truncated normal, std 0.02                                   |
    | a parameter called `mask_token` (1, 1, D)     | Xavier normal, so std 1 / sqrt(D)                            |
    | nn.Conv2d (the patches) and anything else     | left as built, torch's default                               |

    Source: timm 0.4.5 as AST and PaSST use it; SSAST for the mask token. AST and SSAST leave new prediction heads at
    torch's default: call this on the part that should have these values.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            _draw(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, PrefixTokens | LearnedPosition | FrequencyTimePosition):
            for table in part.parameters(recurse=False):
                _draw(table)
        mask_token = getattr(part, "mask_token", None)
        if isinstance(mask_token, nn.Parameter):
            nn.init.normal_(mask_token, std=mask_token.shape[-1] ** -0.5)


def _draw(table: Tensor) -> None:
    nn.init.trunc_normal_(table, std=_STD, a=-2.0, b=2.0)
