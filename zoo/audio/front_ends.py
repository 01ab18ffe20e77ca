"""Every kind of front end: as the section of a recipe, by the name of a family, or out of a checkpoint."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.passt_front_end import PasstFrontEndConfig


def _with_kind(value: Any) -> Any:
    return {"kind": "ast", **value} if isinstance(value, dict) and "kind" not in value else value


AnyFrontEndConfig = AstFrontEndConfig | PasstFrontEndConfig
"""The config of any kind."""

FrontEndConfig = Annotated[Annotated[AnyFrontEndConfig, Field(discriminator="kind")], BeforeValidator(_with_kind)]
"""A section of a recipe: any kind, told apart by `kind`; without one it is `ast`."""

FAMILIES: Mapping[str, AnyFrontEndConfig] = {
    "ast": AstFrontEndConfig(),
    "hf": AstFrontEndConfig(subtract_mean=False),
    "passt": PasstFrontEndConfig(),
}
"""The front ends that checkpoints were released with: AST and SSAST, Hugging Face's AST, PaSST."""

_ADAPTER: TypeAdapter[AnyFrontEndConfig] = TypeAdapter(FrontEndConfig)


def parse_front_end(fields: Mapping[str, Any]) -> AnyFrontEndConfig:
    """A config from plain values, as a recipe or a checkpoint's `config.json` has them. Raises pydantic's error."""
    return _ADAPTER.validate_python(dict(fields))
