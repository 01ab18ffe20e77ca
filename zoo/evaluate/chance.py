"""What a model that knows nothing would score, so that a metric can be read."""

from jaxtyping import Num
from torch import Tensor

from zoo.data.labels import Task


def chance_levels(targets: Num[Tensor, "n cls"], task: Task) -> dict[str, float]:
    """Metric -> its level for scores that do not depend on the clip.

    accuracy: always naming the most frequent class of the set. balanced_accuracy: one over the classes that occur.
    mAP: a random ranking's average precision is the share of positives, averaged over classes. auc: one half.
    """
    counts = targets.double().sum(dim=0)
    present = counts > 0
    levels = {"mAP": float(counts[present].mean() / len(targets)), "auc": 0.5}
    if task == "single-label":
        levels |= {"accuracy": float(counts.max() / len(targets)), "balanced_accuracy": float(1 / present.sum())}
    return levels
