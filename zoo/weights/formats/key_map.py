"""Names of tensors in one code and in another, in both directions."""

import re
from collections.abc import Iterable, Sequence

from zoo.weights.tensor_names import CLS, DIST


class KeyMap:
    """Pairs of names; `*` stands for a number, and a name that ends in a dot for everything that begins with it.

        KeyMap([("v.blocks.*.", "encoder.blocks.*.")]).to_zoo("v.blocks.3.norm1.bias")   # encoder.blocks.3.norm1.bias

    Of several foreign names for one zoo name the first is the one written.

    Args:
        pairs: (foreign, zoo).
        unused: foreign names that are known and that no model of the zoo needs.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], unused: Iterable[str] = ()) -> None:
        self._to_zoo = [(_pattern(foreign), _template(foreign, zoo)) for foreign, zoo in pairs]
        self._from_zoo = [(_pattern(zoo), _template(zoo, foreign)) for foreign, zoo in pairs]
        self._unused = [_pattern(name) for name in unused]

    def to_zoo(self, key: str) -> str | None:
        """The zoo's name; None when there is none."""
        return _first(self._to_zoo, key)

    def from_zoo(self, name: str) -> str | None:
        """The foreign name; None when there is none."""
        return _first(self._from_zoo, name)

    def is_unused(self, key: str) -> bool:
        """Whether the foreign code writes this tensor and nothing reads it."""
        return any(pattern.fullmatch(key) for pattern in self._unused)

    def knows(self, keys: Iterable[str]) -> int:
        """How many of the foreign names it knows, the unused ones included."""
        return sum(self.is_unused(key) or self.to_zoo(key) is not None for key in keys)


def _pattern(name: str) -> re.Pattern[str]:
    ending = "(.+)" if name.endswith(".") else ""
    return re.compile(re.escape(name).replace(r"\*", r"(\d+)") + ending)


def _template(source: str, target: str) -> str:
    """The replacement for `_pattern(source)`: the numbers in their order, then whatever followed the last dot."""
    parts = target.split("*")
    text = "".join(part + (rf"\g<{i + 1}>" if i < len(parts) - 1 else "") for i, part in enumerate(parts))
    return text + (rf"\g<{len(parts)}>" if source.endswith(".") else "")


def _first(rules: list[tuple[re.Pattern[str], str]], name: str) -> str | None:
    for pattern, template in rules:
        found = pattern.fullmatch(name)
        if found:
            return found.expand(template)
    return None


def trunk(prefix: str) -> list[tuple[str, str]]:
    """The pairs that timm's vision transformer, and with it DeiT, AST, SSAST and PaSST, share."""
    return [
        (f"{prefix}cls_token", CLS),
        (f"{prefix}dist_token", DIST),
        (f"{prefix}patch_embed.proj.", "embedding.patch.proj."),
        (f"{prefix}blocks.*.", "encoder.blocks.*."),
        (f"{prefix}norm.", "encoder.norm."),
    ]
