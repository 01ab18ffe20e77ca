"""A model as a table: its parts with the shape of what they give for one clip, and what it costs."""

from typing import Any

import torch
from torch import Tensor, nn

from zoo.models.cost import build_on_meta, flops_per_clip, num_parameters, num_tokens, training_flops_per_clip
from zoo.models.masked_patch import MaskedPatchModel

_MOST_ROWS = 80


def describe_model(model: nn.Module) -> str:
    """Markdown: the totals, then a row for each part: name, class, output for one clip, parameters, trained ones.

    Parts are the model's modules down to single blocks and layers outside of blocks. Shapes come from a pass through a
    copy without numbers; a part that the pass does not call as a whole has none.
    """
    known: Any = model
    pretraining = isinstance(model, MaskedPatchModel)
    config = known.config
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    totals = {
        "model": config.kind + (", masked-patch pretraining" if pretraining else ""),
        "parameters": f"{num_parameters(model):,}",
        "trained parameters": f"{trained:,}",
        "input of one clip (mel bands x frames)": f"{config.n_mels} x {config.n_frames}",
        **_patches(known.backbone if pretraining else known, config.n_frames),
        "tokens of one clip": f"{num_tokens(config):,}",
        "GFLOP of one clip, forward": f"{flops_per_clip(config, pretraining=pretraining) / 1e9:,.4g}",
        "GFLOP of one clip, training": f"{training_flops_per_clip(model) / 1e9:,.4g}",
    }
    shapes = _shapes(model)
    rows = []
    for name, part in model.named_modules():
        if name and _is_shown(name) and not isinstance(part, nn.ModuleList):
            several = list(part.parameters())
            count, of_them = (sum(one.numel() for one in some) for some in (several, _trained(several)))
            rows.append([name, type(part).__name__, shapes.get(name, "-"), f"{count:,}", f"{of_them:,}"])
    left_out = len(rows) - _MOST_ROWS
    text = table(["", ""], [[name, value] for name, value in totals.items()])
    text += "\n\n" + table(["part", "class", "output", "parameters", "trained"], rows[:_MOST_ROWS])
    return text + (f"\n\n… and {left_out:,} parts more" if left_out > 0 else "")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _patches(model: Any, n_frames: int) -> dict[str, str]:
    if not hasattr(model, "embedding"):
        return {}
    patch, grid = model.embedding.patch, model.embedding.grid_for(n_frames)
    return {
        "patch, and step to the next (freq x time)": (
            f"{patch.patch_size[0]} x {patch.patch_size[1]}, {patch.stride[0]} x {patch.stride[1]}"
        ),
        "grid of patches (freq x time)": f"{grid.freq} x {grid.time}",
    }


def _is_shown(name: str) -> bool:
    """Blocks as a whole, and what lies at most one level below the model's parts."""
    names = name.removeprefix("backbone.").split(".")
    return len(names) <= 3 if names[-2:-1] == ["blocks"] else len(names) <= 2


def _trained(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    return [one for one in parameters if one.requires_grad]


def _shapes(model: nn.Module) -> dict[str, str]:
    known: Any = model
    copy = build_on_meta(known.config, pretraining=isinstance(model, MaskedPatchModel))
    found: dict[str, str] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor):
                found[name] = " x ".join(map(str, first.shape))

        return hook

    for name, part in copy.named_modules():
        part.register_forward_hook(note(name))
    with torch.no_grad():
        copy(torch.empty(1, known.config.n_mels, known.config.n_frames, device="meta"))
    return found
