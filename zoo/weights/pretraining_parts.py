"""What pretraining adds to a backbone when pretraining goes on: heads, mask token and decoder are taken, or afresh.

A part comes along where it means the same in both models. Shapes do not tell: a head for patches of 16x16 and one for
128x2 both give 256 values, and a head may read an encoder's tokens or a decoder's of the same width.
"""

from typing import Any

from zoo.models.masked_patch import BACKBONE

_HEADS = frozenset({"reconstruct", "classify"})


def is_pretraining_part(name: str) -> bool:
    """Whether a tensor of a `MaskedPatchModel` lies outside its backbone."""
    return not name.startswith(BACKBONE)


def parts_afresh(names: set[str], source: Any, target: Any) -> tuple[frozenset[str], str]:
    """Of `names` those that must start afresh when a pretraining of `source` goes on as `target`, and why.

    Args:
        names: of tensors, of either model.
        source, target: model configs that can be pretrained.
    """
    parts = {name for name in names if is_pretraining_part(name)}
    change = _change(source, target, ("encode",))
    if not change and target.encode == "visible":
        change = _change(source, target, ("decoder_depth", "visible_decoder_dim"))
    if change:
        return frozenset(parts), f"pretraining heads: fresh ({change})"
    change = _change(source, target, ("patch_size",))
    if change:  # other values to predict; the mask token stands in the place of an embedding, whatever of
        return frozenset(name for name in parts if name.split(".")[0] in _HEADS), f"pretraining heads: fresh ({change})"
    return frozenset(), "pretraining heads and mask token: the checkpoint's"


def _change(source: Any, target: Any, fields: tuple[str, ...]) -> str:
    changes = []
    for field in fields:
        there, here = getattr(source, field), getattr(target, field)
        if there != here:
            changes.append(f"{field.removeprefix('visible_')} {_shown(there)} there, {_shown(here)} here")
    return ", ".join(changes)


def _shown(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
