"""Which parts, which numbers: one file per model family. `zoo.models()` lists the presets.

Every module of this folder is imported here, so that a new family is one new file and no other edit.
"""

import importlib
import pkgutil
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from zoo.models.registry import ModelConfig, model_config_union, presets

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")

if TYPE_CHECKING:
    AnyModelConfig = ModelConfig
else:
    AnyModelConfig = model_config_union()
    """The `model` section of a recipe: one config class per `kind`."""


class _Models(ModuleType):
    """`zoo.models` is both this folder and the public call `zoo.models()`; this makes the one name serve both."""

    def __call__(self) -> list[str]:
        """The names of all presets, for `zoo.build`."""
        return list(presets())


sys.modules[__name__].__class__ = _Models

__all__ = ["AnyModelConfig", "ModelConfig"]
