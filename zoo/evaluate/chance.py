"""What a model that knows nothing would score, so that a metric can be read."""

from jaxtyping import Num
from torch import Tensor

from zoo.data.labels import Task


def chance_levels(targets: Num[Tensor, "n cls"], task: Task) -> dict[str, float]:
    """Metric -> its level for scores that do not depend on the clip; no metric where no clip has a class.

    loss: that of a model that gives every clip the shares of the classes. mAP: a random ranking's average precision is
    the share of positives, averaged over classes. auc: one half, so that d' is 0. What counts predictions is that of
    the simplest answer: for single-label always the most frequent class of the set, for multi-label yes to every class
    (whose recall of 1 says nothing, and is left out).
    """
    counts = targets.double().sum(dim=0)
    present = counts[counts > 0]
    if not len(present):
        return {}
    shares = present / len(targets)
    levels = {"loss": float(-(shares * shares.log()).sum()), "mAP": float(shares.mean()), "auc": 0.5, "dprime": 0.0}
    if task == "multi-label":
        rare = (1 - shares).clamp(min=1e-300)
        levels["loss"] = float((-shares * shares.log() - (1 - shares) * rare.log()).sum() / len(counts))
        f1, weights = 2 * shares / (1 + shares), present / present.sum()
        return levels | {
            "precision": float(shares.mean()),
            "f1": float(f1.mean()),
            "precision_weighted": float((shares * weights).sum()),
            "f1_weighted": float((f1 * weights).sum()),
        }
    most, num_present = float(shares.max()), len(present)
    f1_of_most = 2 * most / (1 + most)
    return levels | {
        "accuracy": most,
        "balanced_accuracy": 1 / num_present,
        "precision": most / num_present,
        "recall": 1 / num_present,
        "f1": f1_of_most / num_present,
        "precision_weighted": most * most,
        "recall_weighted": most,
        "f1_weighted": f1_of_most * most,
    }
