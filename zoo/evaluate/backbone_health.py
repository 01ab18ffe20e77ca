"""`health/*` of a model that pretrains: its features of held-out clips, and where its heads look."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zoo.data.batch import Inputs
from zoo.data.evaluation_set import EvaluationSet
from zoo.evaluate.evaluation import evaluating
from zoo.evaluate.feature_health import feature_health
from zoo.evaluate.setting import Setting

MOST_CLIPS = 256
_MOST_FOR_ATTENTION = 16
_AT_ONCE = 8  # clips: their windows may be a minute long


class BackboneHealth:
    """Features and attention of at most 256 clips, spread evenly over the held-out ones: the same at every evaluation,
    and the first window of each. The clips are whole: nothing is masked, as for a user of the features.

    Always in float32, in which rounding is no direction of the features. The main process measures for all.

    Args:
        features: (log_mel, num_frames, keys) -> (B, D).
        attention: inputs -> (B, layer, head), the entropy of each head's attention, 1 where it looks everywhere alike.
    """

    def __init__(
        self,
        setting: Setting,
        features: Callable[..., Float[Tensor, "batch embed"]],
        attention: Callable[[Inputs], Float[Tensor, "batch layer head"]],
    ) -> None:
        clips = setting.loader.dataset
        assert isinstance(clips, EvaluationSet), type(clips)
        self._on, self._features, self._attention = setting, features, attention
        count = clips.windows.num_clips
        self._places = np.linspace(0, count - 1, min(count, MOST_CLIPS)).round().astype(int).tolist()
        self.chance: Mapping[str, float] = {}
        self.num_clips = 0
        """That could be used in the latest call; on the main process."""

    def __call__(self, clips: int) -> dict[str, float]:
        """`health/*`; nothing where no clip can be read."""
        return self._on.group.main_first(self._measure)

    def _measure(self) -> dict[str, float]:
        on = self._on
        vectors: list[Tensor] = []
        entropies: list[Tensor] = []
        with evaluating(on.model, on.device, "fp32"):
            for first in range(0, len(self._places), _AT_ONCE):
                batch = on.read(self._places[first : first + _AT_ONCE])
                if len(batch):
                    inputs = on.inputs(batch)
                    vectors.append(self._features(inputs.log_mel, inputs.num_frames, inputs.keys).float().cpu())
                    if first < _MOST_FOR_ATTENTION:
                        entropies.append(self._attention(inputs).cpu())
        self.num_clips = sum(map(len, vectors))
        if not vectors:
            return {}
        found = {f"health/{name}": value for name, value in feature_health(torch.cat(vectors)).items()}
        if entropies:
            of_heads = torch.cat(entropies).nanmean(dim=0)  # (layer, head)
            found["health/attention_entropy"] = float(of_heads.mean())
            found["health/attention_entropy_lowest"] = float(of_heads.min())
        return found
