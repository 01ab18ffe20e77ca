"""The released SSAST: both pretraining tasks at stated masks, and fine-tuning on another geometry."""

from pathlib import Path
from typing import Any

import torch
from golden import Golden
from torch import Tensor

import zoo
from kinds.ast import geometry_of
from kinds.kind import Kind, arrays_of, fill_head, log_mel_of, position_of, write_weights
from zoo.models.masked_patch import MaskedPatches
from zoo.nn.aggregator import HeadTokensAggregator
from zoo.objectives.masked_patch import info_nce, reconstruction_error


def _build_pretraining(golden: Golden, folder: Path) -> Any:
    return zoo.load(write_weights(golden, "main", folder), pretraining=True)


def masks_of(golden: Golden) -> dict[str, tuple[Tensor, Tensor]]:
    """By the mask's letter: the masked places of every clip as listed (B, M), and (B, N) whether a patch is masked."""
    official = golden.meta["constructor"]
    num_rows = (official["input_fdim"] - official["fshape"]) // official["fstride"] + 1
    num_columns = (official["input_tdim"] - official["tshape"]) // official["tstride"] + 1
    masks = {}
    for name, array in golden.inputs().items():
        if name.startswith("mask_"):
            listed = torch.from_numpy(array)
            is_masked = torch.zeros(listed.shape[0], num_rows * num_columns, dtype=torch.bool)
            masks[name.removeprefix("mask_")] = listed, is_masked.scatter(1, listed, True)
    return masks


@torch.no_grad()
def _compute_pretraining(golden: Golden, model: Any) -> dict[str, Any]:
    x = log_mel_of(golden.inputs()["x"])
    patches, grid = model.backbone.embedding.patches(x)
    outputs: dict[str, Tensor] = {}
    for letter, (listed, is_masked) in masks_of(golden).items():
        reconstruct, classify = model(x, masks=(is_masked, is_masked))
        # In float64, for one rounding of a loss above 4 in float32 is all that a tolerance of 5e-7 has room for.
        reconstruct, classify = (task._replace(output=task.output.double()) for task in (reconstruct, classify))
        nce, accuracy, _ = info_nce(classify.output, classify.target.double(), classify.length, 1.0, "predictions")
        outputs[f"mpc_acc_{letter}"] = accuracy
        outputs[f"mpc_nce_{letter}"] = nce
        outputs[f"mpc_pred_{letter}"] = _in_order(classify, listed)
        outputs[f"mpg_mse_{letter}"] = reconstruction_error(*reconstruct)
        outputs[f"mpg_pred_{letter}"] = _in_order(reconstruct, listed)
        outputs[f"tokens_{letter}"] = model.encode(patches, grid, is_masked)
    return arrays_of(outputs)


def _in_order(task: MaskedPatches, listed: Tensor) -> Tensor:
    """Predictions in the order in which the golden lists the places; the model has them ascending."""
    rank = listed.argsort(dim=1).argsort(dim=1)  # (B, M)
    return task.output.gather(1, rank[:, :, None].expand(-1, -1, task.output.shape[2]))


def _build_finetuning(golden: Golden, folder: Path) -> Any:
    official = golden.meta["constructor"]["finetune"]
    model: Any = zoo.load(
        write_weights(golden, "pretrained", folder),
        pretraining=False,
        num_classes=official.get("label_dim", 527),
        positions="official",
        **geometry_of(official),
    )
    fill_head(model, golden.state("head"), "mlp_head")
    return model


@torch.no_grad()
def _compute_finetuning(golden: Golden, model: Any) -> dict[str, Any]:
    x = log_mel_of(golden.inputs()["x"])
    tokens = model.tokens(x)
    return arrays_of(
        {
            "ft_avgtok": model(x),
            "ft_cls": model.head(HeadTokensAggregator()(tokens)),
            "tokens": tokens,
            "pos_embed": position_of(model),
            "conv_weight": model.embedding.patch.proj.weight,
            "conv_bias": model.embedding.patch.proj.bias,
        }
    )


SSAST_PRETRAIN = Kind(_build_pretraining, _compute_pretraining)
SSAST_FINETUNE = Kind(_build_finetuning, _compute_finetuning)
