"""hear21passt's wrapper: from waveforms to embeddings of clips and of moments."""

from pathlib import Path
from typing import Any

from golden import Golden
from torch import Tensor

import zoo
from kinds.front_ends import clips_of, mel_config_of
from kinds.kind import Kind, arrays_of, write_weights
from kinds.passt import geometry_of
from zoo.use.hear import HearWrapper, get_scene_embeddings, get_timestamp_embeddings

_WINDOWS = ("max_model_window", "timestamp_window", "timestamp_hop", "scene_hop")


def _build(golden: Golden, folder: Path) -> Any:
    official = golden.meta["constructor"]
    model = zoo.load(write_weights(golden, "main", folder), own=geometry_of(official["net"]))
    wrapper = official.get("wrapper", {})
    windows = {f"{name}_ms": wrapper[name] for name in _WINDOWS if name in wrapper}
    return HearWrapper(model, mel_config_of(official["mel"]).build(), mode=wrapper.get("mode", "all"), **windows)


def _compute(golden: Golden, wrapper: Any) -> dict[str, Any]:
    outputs: dict[str, Tensor] = {}
    for case, clip in clips_of(golden).items():
        if case.startswith("scene"):
            outputs[f"emb_{case}"] = get_scene_embeddings(clip[None], wrapper)
        else:
            outputs[f"emb_{case}"], outputs[f"times_{case}"] = get_timestamp_embeddings(clip[None], wrapper)
    return arrays_of(outputs)


HEAR_WRAPPER = Kind(_build, _compute)
