"""How much a frozen model's features say: a linear classifier on top of them."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Num
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from zoo.data.labels import Task
from zoo.errors import DataError, ShapeError, ZooError
from zoo.evaluate.metrics import Metrics, classification_metrics


def linear_probe(
    train_features: Num[Tensor, "n embed"],
    train_targets: Num[Tensor, "n cls"],
    eval_features: Num[Tensor, "m embed2"],
    eval_targets: Num[Tensor, "m cls2"],
    task: Task = "single-label",
    inverse_regularisation: float = 1.0,
    names: Sequence[str] = (),
) -> Metrics:
    """The metrics, on the evaluation set, of a logistic regression fitted to the training set.

    The features are standardised by the mean and deviation of the training set. Nothing is random. Multi-label: one
    regression for each class.

    Args:
        inverse_regularisation: scikit-learn's C; above 0. Larger trusts the training set more.
        names: of the evaluation clips, for error texts.

    Raises:
        ZooError: features that are not finite. ShapeError: sizes that differ. DataError: fewer than two classes in the
            training set.
    """
    if train_features.shape[1] != eval_features.shape[1] or train_targets.shape[1] != eval_targets.shape[1]:
        raise ShapeError(
            f"probe: found features {tuple(train_features.shape)} and targets {tuple(train_targets.shape)} for "
            f"training, {tuple(eval_features.shape)} and {tuple(eval_targets.shape)} for evaluation - "
            "expected equal widths - use one model and one label table"
        )
    scores = linear_scores(train_features, train_targets, eval_features, task, inverse_regularisation)
    return classification_metrics(scores, eval_targets, task, names)


def linear_scores(
    train_features: Num[Tensor, "n embed"],
    train_targets: Num[Tensor, "n cls"],
    eval_features: Num[Tensor, "m embed"],
    task: Task = "single-label",
    inverse_regularisation: float = 1.0,
) -> Float64[Tensor, "m cls"]:
    """Logits of the evaluation clips, as `linear_probe` measures them. Raises: as there."""
    inputs, asked = _as_finite(train_features, "training"), _as_finite(eval_features, "evaluation")
    scaler = StandardScaler().fit(inputs)
    inputs, asked = scaler.transform(inputs), scaler.transform(asked)
    num_classes = train_targets.shape[1]
    if task == "single-label":
        classes = train_targets.argmax(dim=1).cpu().numpy()
        if np.unique(classes).size < 2:
            raise DataError("probe: found fewer than two classes in the training clips - expected two - add clips")
        scores = _fitted_scores(inputs, classes, asked, num_classes, inverse_regularisation)
    else:
        has_class = (train_targets > 0.5).long().cpu().numpy()
        pairs = [_fitted_scores(inputs, has_class[:, c], asked, 2, inverse_regularisation) for c in range(num_classes)]
        scores = np.stack([pair[:, 1] - pair[:, 0] for pair in pairs], axis=1)  # log odds
    return torch.from_numpy(scores)


def _as_finite(features: Num[Tensor, "n embed"], what: str) -> Float[np.ndarray, "n embed"]:
    """In float64."""
    bad = (~features.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    if bad:
        raise ZooError(
            f"probe: found {what} features that are not finite for {len(bad)} of {len(features)} clips "
            f"(the first is number {bad[0]}) - expected finite numbers - did training diverge?"
        )
    return features.detach().double().cpu().numpy()


def _fitted_scores(
    inputs: Float[np.ndarray, "n embed"],
    classes: Num[np.ndarray, "n"],
    asked: Float[np.ndarray, "m embed"],
    num_classes: int,
    inverse_regularisation: float,
) -> Float[np.ndarray, "m {num_classes}"]:
    """Logits for the asked rows. A class that has no training clip gets one below all others of the row."""
    present = np.unique(classes)
    scores = np.zeros((len(asked), num_classes))
    if present.size > 1:
        model = LogisticRegression(C=inverse_regularisation, max_iter=1000)
        with warnings.catch_warnings():
            # After a thousand rounds the fit is a probe like any other, converged to the last digit or not.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(inputs, classes)
        known = model.decision_function(asked)
        scores[:, present] = np.stack([np.zeros_like(known), known], axis=1) if known.ndim == 1 else known
    absent = np.setdiff1d(np.arange(num_classes), present)
    scores[:, absent] = scores[:, present].min(axis=1, keepdims=True) - 10.0
    return scores
