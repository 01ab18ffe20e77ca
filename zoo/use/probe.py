"""What the frozen features of a model are worth, layer by layer, beside those of an untrained one and chance."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo import provenance
from zoo.data.batch import BadAudio
from zoo.data.labels import LabelTable, Task, build_label_table, multi_hot
from zoo.data.manifest import Manifest
from zoo.errors import RecipeError
from zoo.evaluate.attention import AttentionConfig
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.metrics import Metrics, classification_metrics, finite_or_none
from zoo.evaluate.probe_choice import KINDS, Kind, Side, run_probe
from zoo.models.registry import build_model
from zoo.use.embed import Layers, chosen_layers
from zoo.use.evaluate import Counting, uncounted
from zoo.use.features import FeatureSet, Pool, Wanted, features_of
from zoo.use.probe_splits import Split, make_splits, read_sets, shared_files
from zoo.use.ready import ReadyModel, Source, ready_model
from zoo.weights.download import cache_folder


@dataclass(frozen=True)
class ProbeRow:
    """One probe on one layer."""

    features: str
    """`trained`, or `untrained`: the same model with weights as they are drawn."""
    layer: int
    kind: Kind
    metrics: Metrics
    """The mean over the folds."""
    deviation: Metrics | None
    """Over the folds; None for one."""
    folds: Mapping[str, dict[str, Any]]
    """The metrics of every fold, and the `setting` that was chosen in it."""


@dataclass(frozen=True)
class ProbeReport:
    """All probes. Iterating gives the rows."""

    metric: str
    """The one to look at: accuracy, or mAP of multi-label."""
    rows: tuple[ProbeRow, ...]
    chance: dict[str, float]
    num_clips: int
    """That could be used."""
    bad: tuple[BadAudio, ...]
    about: dict[str, Any]
    """Checkpoint, manifests, folds, windows, cache, device and versions."""

    def __iter__(self) -> Iterator[ProbeRow]:
        return iter(self.rows)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        rows = [
            {
                **asdict(row),
                "metrics": finite_or_none(row.metrics),
                "deviation": None if row.deviation is None else finite_or_none(row.deviation),
                "folds": {name: _plain(one) for name, one in row.folds.items()},
            }
            for row in self.rows
        ]
        return {
            **self.about,
            "metric": self.metric,
            "chance": self.chance,
            "num_clips": self.num_clips,
            "rows": rows,
            "bad_audio": [asdict(one) for one in self.bad if not one.used],
            "odd_audio": [asdict(one) for one in self.bad if one.used],
        }


def probe(
    checkpoint: Source,
    manifest: str | Path,
    *,
    kinds: Sequence[str] = ("linear",),
    layers: Layers = "last",
    test: str | Path | None = None,
    folds: int | None = None,
    fold: Sequence[str] | None = None,
    task: Task = "single-label",
    labels: str | None = None,
    pool: Pool = "model",
    inverse_regularisation: float | int | None = None,
    neighbours: int | None = None,
    untrained: bool = True,
    seed: int = 0,
    cache: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    counting: Counting = uncounted,
) -> ProbeReport:
    """Probes on the frozen features of a model, which are computed once and kept on the disk.

        for row in zoo.probe("runs/ast", "esc50/meta.csv", kinds=["linear", "knn"], layers="all"):
            print(row.features, row.layer, row.kind, row.metrics["accuracy"])

    Args:
        checkpoint: all that `zoo.load` takes, or a model that it gave; with or without a classifier.
        manifest: labelled clips; each of its folds is tested once, with a probe fitted to the others.
        kinds: `linear` (logistic regression), `attentive` (a query that looks at the tokens, then a linear map), `knn`.
        layers: as in `zoo.embed`.
        test: other clips to test on, instead of folds.
        folds: make so many folds; the manifest's own are not looked at.
        fold: test only these folds.
        task: of the labels.
        labels: a label table; None: the names in the manifest.
        pool: what the linear probe and kNN see: `model`, its own aggregator; `mean`, the mean of the patches.
        inverse_regularisation: C of the linear probe; None: chosen in each fold on training clips set aside.
        neighbours: k of kNN; None: chosen likewise.
        untrained: also probe the same model with fresh weights (seed 0): what its architecture alone is worth.
        seed: of the attentive probe.
        cache: where features are kept; None: `features` in the folder of downloads ($ZOO_CACHE).

    Raises:
        DataError: labels or folds that do not fit. ShapeError: no such layer. RecipeError: a setting out of range.
    """
    _check(kinds, inverse_regularisation, neighbours)
    asked: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind in kinds)
    ready = ready_model(checkpoint, device)
    sets = read_sets(str(manifest), None if test is None else str(test), folds)
    table = build_label_table(labels, task, sets[0])
    targets = torch.cat([_targets(table, clips) for clips in sets])
    wanted = Wanted(tuple(sorted(chosen_layers(ready.model.depth, layers))), pool, tokens="attentive" in asked)
    # Folds that cannot be made are told before anything is computed.
    make_splits(sets, fold, torch.ones(len(targets), dtype=torch.bool))
    place = cache_folder() / "features" if cache is None else Path(cache)
    models = {"trained": ready, **({"untrained": _untrained(ready)} if untrained else {})}
    options: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "counting": counting}
    found = {
        name: [features_of(model, clips, wanted, place, **options) for clips in sets] for name, model in models.items()
    }
    usable = torch.cat([one.is_used for one in found["trained"]])
    splits = make_splits(sets, fold, usable)
    settings = {
        "linear": None if inverse_regularisation is None else (inverse_regularisation,),
        "knn": None if neighbours is None else (neighbours,),
    }
    rows: list[ProbeRow] = []
    with counting("probing", "fits") as tell:
        total = len(found) * len(wanted.layers) * len(asked) * len(splits)
        for name, features in found.items():
            for layer in wanted.layers:
                side = _side(features, layer, targets, wanted, ready.device)
                for kind in asked:
                    of_folds = {}
                    for split in splits:
                        of_folds[split.name] = _one(
                            kind, side, split, task, settings.get(kind), AttentionConfig(seed=seed)
                        )
                        done = len(rows) * len(splits) + len(of_folds)
                        tell(done, total)
                    rows.append(_row(name, layer, kind, of_folds))
    chances = [chance_levels(targets[split.test], task) for split in splits]
    return ProbeReport(
        "accuracy" if task == "single-label" else "mAP",
        tuple(rows),
        {key: statistics.fmean(one[key] for one in chances) for key in chances[0]},
        int(usable.sum()),
        tuple(bad for one in found["trained"] for bad in one.bad),
        {
            "checkpoint": ready.name,
            "manifest": str(manifest),
            "test": None if test is None else str(test),
            "manifest_hashes": [clips.hash for clips in sets],
            "folds": [split.name for split in splits],
            "task": task,
            "num_classes": len(table),
            "pool": pool,
            "evaluation": ready.windows().in_words,
            "notes": list(shared_files(sets)),
            "cache": {name: [_cached(one) for one in features] for name, features in found.items()},
            "device": provenance.device_name(ready.device),
            "versions": provenance.versions(),
        },
    )


def _check(kinds: Sequence[str], inverse_regularisation: float | int | None, neighbours: int | None) -> None:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        found = ", ".join(map(repr, unknown)) or "none"
        raise RecipeError(f"kind: found {found} - expected {', '.join(KINDS)} - choose among them")
    if inverse_regularisation is not None and not inverse_regularisation > 0:
        raise RecipeError(f"C: found {inverse_regularisation:g} - expected a number above 0 - raise it")
    if neighbours is not None and neighbours < 1:
        raise RecipeError(f"k: found {neighbours} - expected 1 or more - raise it")


def _untrained(ready: ReadyModel) -> ReadyModel:
    """The same model with the weights that seed 0 draws; the caller's random numbers go on as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = build_model(ready.described.model_config)
    model.front_end = ready.model.front_end
    model.carried = getattr(ready.model, "carried", {})
    return ready_model(model.to(ready.device))


def _targets(table: LabelTable, clips: Manifest) -> Tensor:
    return torch.stack([multi_hot(places, len(table)) for places in table.all_places(clips)])


def _side(features: Sequence[FeatureSet], layer: int, targets: Tensor, wanted: Wanted, device: torch.device) -> Side:
    """All clips of all sets with what the probes see of a layer."""
    pooled = torch.cat([one.pooled(layer) for one in features])
    if not wanted.tokens:
        return Side(targets, pooled)
    pairs = [one.tokens(layer) for one in features]
    width = max(tokens.shape[1] for tokens, _ in pairs)
    tokens = [torch.nn.functional.pad(one, (0, 0, 0, width - one.shape[1])) for one, _ in pairs]
    is_padded = [torch.nn.functional.pad(one, (0, width - one.shape[1]), value=True) for _, one in pairs]
    return Side(targets.to(device), pooled.to(device), torch.cat(tokens).to(device), torch.cat(is_padded).to(device))


def _one(
    kind: Kind, side: Side, split: Split, task: Task, settings: Sequence[float | int] | None, attention: AttentionConfig
) -> dict[str, Any]:
    """The metrics of one fold, and the setting."""
    device = side.targets.device
    train, test = side.rows(split.train.to(device)), side.rows(split.test.to(device))
    inner = None if split.is_inner is None else split.is_inner.to(device)
    probed = run_probe(kind, train, test, task, inner, settings, attention)
    return {**classification_metrics(probed.scores.cpu(), test.targets.cpu(), task), "setting": probed.setting}


def _row(features: str, layer: int, kind: Kind, of_folds: dict[str, dict[str, Any]]) -> ProbeRow:
    names = [name for name in next(iter(of_folds.values())) if name != "setting"]

    def over(measure: Callable[[list[float | int]], float], least: int) -> Metrics:
        values = {name: [one[name] for one in of_folds.values()] for name in names}
        return {
            name: measure(some) if len(some) >= least and not any(map(math.isnan, some)) else math.nan
            for name, some in values.items()
        }

    deviation = over(_deviation, 2) if len(of_folds) > 1 else None
    return ProbeRow(features, layer, kind, over(statistics.fmean, 1), deviation, of_folds)


def _deviation(values: list[float | int]) -> float:
    """(n - 1); of an endless value, as d' where the AUC is 1, there is none."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _plain(fold: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in fold.items() if name != "setting"}
    return {**finite_or_none(metrics), "setting": fold["setting"]}


def _cached(features: FeatureSet) -> dict[str, Any]:
    return {"folder": str(features.folder), "bytes": features.num_bytes, "was_there": features.was_there}
