"""An AST, SSAST or PaSST as a `.pth` that the released class loads strictly.

The tensors that those classes demand and never read are included. A file holds tensors alone: what it cannot tell
(front end, labels, often the stride) is said, so that nobody has to guess it later.
"""

from pathlib import Path
from typing import Any

from zoo.config import differences
from zoo.disk import independent, write_pickle, written_whole
from zoo.errors import CheckpointError, ZooError
from zoo.models.ast import SIZES
from zoo.models.masked_patch import MaskedPatchModel
from zoo.weights import epsilon
from zoo.weights.formats.format import Format
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.formats.official_passt import OfficialPasst
from zoo.weights.formats.official_ssast import OfficialSsast
from zoo.weights.source import read

NORM_EPS, HEAD_NORM_EPS = 1e-6, 1e-5
"""LayerNorm's epsilons in the released AST, SSAST and PaSST."""

_HEAD_VALUES = 256  # the width of SSAST's prediction heads, written out in the released code
_ESSENTIAL = ("num_heads", "n_mels", "n_frames", "stride")


def write_official(out: Path, model: Any, bare: bool = False) -> tuple[list[str], float]:
    """Writes the file.

    Args:
        bare: leave out the `module.` that the released AST and SSAST, not PaSST, put before every name.

    Returns:
        What a user has to know, a line each; and the largest difference of the outputs that the released epsilons
        make, see `epsilon.compare`.

    Raises:
        CheckpointError: there is no released class for such a model, or the disk refuses.
    """
    config, is_pretraining = model.config, isinstance(model, MaskedPatchModel)
    problem = _problem(config, is_pretraining)
    if problem is not None:
        raise CheckpointError(f"{out}: {problem}")
    notes = _class_notes(config, is_pretraining)
    difference, note = epsilon.compare(model, NORM_EPS, HEAD_NORM_EPS)
    if note is not None:
        notes.append(note)
    chosen = _format(config, is_pretraining)
    before = "" if bare or config.kind == "passt" else "module."
    state = independent(chosen.export(model.state_dict(), config))
    with written_whole(out) as file:
        write_pickle(file, {before + name: tensor for name, tensor in state.items()})
    untold = _untold(out, config, is_pretraining)
    if untold:
        stated = " ".join(f"own.{key}={_plain(value)}" for key, value in untold.items())
        notes.append(f"the file does not say everything: read it with {stated}")
    notes.append("front end and labels are not in the file")
    assumed = read(out, untold).front_end
    if model.front_end is not None and assumed is not None:
        found = differences(model.front_end, assumed)
        notes += [
            f"front end: {key} is {ours!r}, and {theirs!r} will be assumed" for key, (ours, theirs) in found.items()
        ]
    return notes, difference


def _format(config: Any, is_pretraining: bool) -> Format:
    if is_pretraining:
        return OfficialSsast()
    return OfficialPasst() if config.kind == "passt" else OfficialAst()


def _problem(config: Any, is_pretraining: bool) -> str | None:
    """Why no released class can load a model of this config strictly; None when one can."""
    if config.kind not in ("ast", "ssast", "passt"):
        found = f"found a model of kind {config.kind!r} - expected ast, ssast or passt"
        return f"{found}, for no other has released code - convert to 'zoo'"
    if not is_pretraining and not config.num_classes:
        return "found no classifier - expected one, which the released class has - num_classes=N adds a fresh one"
    size = "x".join(map(str, config.patch_size))
    if config.kind == "ast" and config.patch_size != (16, 16):
        return f"found patches of {size} - expected 16x16, the only ones of the released AST - convert to 'zoo'"
    if is_pretraining and config.encode == "visible":
        found = "found a decoder, for the encoder sees visible patches alone - expected encode: all, the released way"
        return f"{found} - convert to 'zoo', or the backbone alone with pretraining=false num_classes=N"
    if is_pretraining and config.patch_size[0] * config.patch_size[1] != _HEAD_VALUES:
        return (
            f"found patches of {size} - expected {_HEAD_VALUES} values, as the released heads have - convert to 'zoo'"
        )
    rows, columns = config.n_mels // config.stride[0], _frames(config) // config.stride[1]
    if config.kind == "passt" and (config.grid.freq != rows or config.grid.time > columns):
        return (
            f"found a grid of {config.grid.freq}x{config.grid.time} patches - expected {rows} rows and at most "
            f"{columns} columns, which the released PaSST's tables have - convert to 'zoo'"
        )
    return None


def _frames(config: Any) -> int:
    """The length that the position tables are for."""
    return int(getattr(config, "table_frames", None) or config.n_frames)


def _class_notes(config: Any, is_pretraining: bool) -> list[str]:
    """How to build the released class for this model."""
    if config.kind == "passt":
        arguments = {
            "img_size": (config.n_mels, _frames(config)),
            "patch_size": config.patch_size,
            "stride": config.stride,
            "num_classes": config.num_classes,
            "embed_dim": config.embed_dim,
            "depth": config.depth,
            "num_heads": config.num_heads,
            "mlp_ratio": config.mlp_ratio,
            "distilled": True,
        }
        return [_call("PaSST", arguments)]
    size = next((name for name, numbers in SIZES.items() if numbers.items() <= config.model_dump().items()), None)
    known = size is not None and config.mlp_ratio == 4
    arguments = {
        "fstride": config.stride[0],
        "tstride": config.stride[1],
        "input_fdim": config.n_mels,
        "input_tdim": config.n_frames,
    }
    if not is_pretraining:
        arguments |= {"label_dim": config.num_classes}
    if config.kind == "ssast":
        fshape, tshape = config.patch_size
        arguments |= {"fshape": fshape, "tshape": tshape, "pretrain_stage": is_pretraining, "model_size": size}
    else:
        arguments |= {"model_size": "base384" if size == "base" else f"{size}224"}
    if known:
        return [_call("ASTModel", arguments)]
    shape = f"width {config.embed_dim}, {config.depth} layers, {config.num_heads} heads, mlp_ratio {config.mlp_ratio:g}"
    return [f"no model_size of the released class has {shape}: only a changed copy of it can load this file"]


def _call(name: str, arguments: dict[str, Any]) -> str:
    written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return f"for {name}({written})"


def _untold(file: Path, config: Any, is_pretraining: bool) -> dict[str, Any]:
    """The fields that must be stated to read the file back as this model: none, mostly."""
    wanted = config.model_dump(mode="json")
    if config.kind == "passt":  # the file has the tables alone
        wanted |= {"n_frames": _frames(config), "table_frames": None}
    if is_pretraining:
        del wanted["num_classes"]  # of a head that it has not got
    stated: dict[str, Any] = {}
    try:
        found = read(file).config["model"]
    except ZooError:
        stated = {key: wanted[key] for key in _ESSENTIAL}
        found = read(file, stated).config["model"]
    return stated | {key: value for key, value in wanted.items() if found.get(key) != value}


def _plain(value: Any) -> str:
    """As a user types it after KEY=."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
