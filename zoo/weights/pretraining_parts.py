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
    """Of `names` those that must start afresh when a pretraining of `source` goes on as `target`, and a note on it.

    Args:
        names: of tensors, of either model.
        source, target: model configs that can be pretrained.
    """
    parts = frozenset(filter(is_pretraining_part, names))
    if source.heads_read != target.heads_read:
        return parts, f"pretraining heads: fresh, for they read {source.heads_read} there, {target.heads_read} here"
    if source.patch_size != target.patch_size:
        # Other values to predict. The mask token stays: it stands for the embedding of a patch, of whatever size.
        there, here = ("x".join(map(str, config.patch_size)) for config in (source, target))
        heads = frozenset(name for name in parts if name.split(".")[0] in _HEADS)
        return heads, f"pretraining heads: fresh, for patches are {there} there, {here} here"
    return frozenset(), "pretraining heads and mask token: the checkpoint's"
