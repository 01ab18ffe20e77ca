"""Probes on a checkpoint: folds, caches, layers, and numbers worked out from the embeddings themselves."""

import csv
import functools
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import zoo
from tests.unit.small_models import save_small
from zoo.errors import CheckpointError, DataError, RecipeError, ShapeError
from zoo.evaluate.attention import AttentionConfig
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.probes import linear_scores
from zoo.use.evaluate import uncounted
from zoo.use.features import Wanted, features_of
from zoo.use.probe_splits import make_splits, read_sets
from zoo.use.ready import ready_model

RATE = 16_000


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """Three classes of tones in three folds of two groups each; one clip is long, and one is broken."""
    rng = np.random.default_rng(0)
    (tmp_path / "audio").mkdir()
    rows = []
    for number in range(36):
        label, group = ("low", "mid", "high")[number % 3], number // 6
        seconds = 2.0 if number == 5 else 0.4
        time = np.arange(int(seconds * RATE)) / RATE
        wave = 0.2 * np.sin(2 * np.pi * 400 * 2.2 ** (number % 3) * time) + 0.02 * rng.standard_normal(time.size)
        soundfile.write(tmp_path / f"audio/{number}.wav", wave.astype(np.float32), RATE)
        rows.append([f"{number}.wav", label, 1 + group // 2, f"g{group}"])
    (tmp_path / "audio/7.wav").write_bytes(b"RIFF")
    with (tmp_path / "meta.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["filename", "label", "fold", "group"], *rows])
    return tmp_path / "meta.csv"


@pytest.fixture(autouse=True)
def _short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.use.probe.AttentionConfig", functools.partial(AttentionConfig, steps=40, epochs=1))


def _probe(run: Path, tones: Path, **options: Any) -> Any:
    return zoo.probe(run, tones, cache=tones.parent / "cache", **options)


def test_a_linear_probe_is_that_of_the_embeddings(tones: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    report = _probe(run, tones, layers="0,2", inverse_regularisation=0.3, untrained=False)
    assert [(row.features, row.layer, row.kind) for row in report] == [
        ("trained", 0, "linear"),
        ("trained", 2, "linear"),
    ]
    rows = [row for row in csv.DictReader(tones.read_text().splitlines()) if row["filename"] != "7.wav"]
    features = torch.from_numpy(zoo.embed(run, tones).embeddings)
    targets = torch.eye(3)[[("high", "low", "mid").index(row["label"]) for row in rows]]
    folds = torch.tensor([int(row["fold"]) for row in rows])
    expected = {}
    for fold in (1, 2, 3):
        train, test = folds != fold, folds == fold
        scores = linear_scores(features[train], targets[train], features[test], inverse_regularisation=0.3)
        expected[str(fold)] = classification_metrics(scores, targets[test], "single-label")
    last = report.rows[1]
    assert {name: one["mAP"] for name, one in last.folds.items()} == pytest.approx(
        {name: one["mAP"] for name, one in expected.items()}
    )
    accuracies = [one["accuracy"] for one in expected.values()]
    assert last.metrics["accuracy"] == pytest.approx(statistics.fmean(accuracies))
    assert last.deviation["accuracy"] == pytest.approx(statistics.stdev(accuracies))
    assert last.folds["2"]["setting"] == {"C": 0.3}
    assert report.num_clips == 35
    assert [Path(one.path).name for one in report.bad] == ["7.wav"]
    assert report.chance["accuracy"] == pytest.approx(statistics.fmean([4 / 12, 4 / 12, 4 / 11]), abs=0.02)


def test_a_second_call_reads_what_the_first_computed(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = save_small(tmp_path / "c")
    first = _probe(run, tones, kinds=["knn", "attentive", "linear"])
    assert [row.kind for row in first] == 2 * ["linear", "attentive", "knn"]
    assert not any(one["was_there"] for sets in first.about["cache"].values() for one in sets)
    monkeypatch.setattr("zoo.use.features._Extraction", None)  # it would be called
    again = _probe(run, tones, kinds=["knn", "attentive", "linear"])
    assert all(one["was_there"] for sets in again.about["cache"].values() for one in sets)
    assert again.rows == first.rows
    json.dumps(again.as_json(), allow_nan=False)
    assert {row.features for row in again} == {"trained", "untrained"}
    trained, untrained = (
        [row for row in again if row.features == name and row.kind == "linear"] for name in ("trained", "untrained")
    )
    assert trained[0].folds != untrained[0].folds


def test_the_cache_knows_what_it_is_of(tones: Path, tmp_path: Path) -> None:
    run, other = save_small(tmp_path / "c"), save_small(tmp_path / "d", seed=1)
    wide = save_small(tmp_path / "e", carried={"windows": {"long_clips": "beginning"}})
    options: dict[str, Any] = {"untrained": False}
    assert not _probe(run, tones, **options).about["cache"]["trained"][0]["was_there"]
    for changed, more in ((other, {}), (wide, {}), (run, {"layers": "all"}), (run, {"pool": "mean"})):
        assert not _probe(changed, tones, **options, **more).about["cache"]["trained"][0]["was_there"], more
    tones.write_text(tones.read_text().replace("35.wav,high", "35.wav,low"))
    assert not _probe(run, tones, **options).about["cache"]["trained"][0]["was_there"]
    assert _probe(run, tones, **options).about["cache"]["trained"][0]["was_there"]


def test_tokens_are_the_prefix_and_the_means_of_columns(tones: Path, tmp_path: Path) -> None:
    ready = ready_model(save_small(tmp_path / "c"))
    (clips,) = read_sets(str(tones), None, None)
    options: dict[str, Any] = {"batch_size": 8, "workers": None, "counting": uncounted}
    found = features_of(ready, clips, Wanted((0, 2), "model", tokens=True), tmp_path / "cache", **options)
    tokens, is_padded = found.tokens(2)
    frames = zoo.embed(ready.model, tones, level="frame")
    pooled = zoo.embed(ready.model, tones)
    used = found.is_used.nonzero()[:, 0].tolist()
    assert len(used) == 35
    np.testing.assert_allclose(found.pooled(2)[used].numpy(), pooled.embeddings, atol=1e-5)
    assert float(found.pooled(2)[7].abs().max()) == 0
    assert bool(is_padded[7].all())
    columns = frames[0].shape[0]
    np.testing.assert_allclose(tokens[0, 2 : 2 + columns].float().numpy(), frames[0], rtol=2e-3, atol=2e-3)
    assert is_padded[0].tolist() == [False] * (2 + columns) + [True] * (tokens.shape[1] - 2 - columns)
    prefix = (tokens[0, 0] + tokens[0, 1]).float() / 2
    np.testing.assert_allclose(prefix.numpy(), pooled[0], rtol=2e-3, atol=2e-3)
    assert not bool(is_padded[5].any())  # the long one, in windows that overlap


def test_many_columns_are_averaged(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.use.features._MOST_COLUMNS", 2)
    ready = ready_model(save_small(tmp_path / "c"))
    (clips,) = read_sets(str(tones), None, None)
    options: dict[str, Any] = {"batch_size": 8, "workers": None, "counting": uncounted}
    tokens, _ = features_of(ready, clips, Wanted((2,), "mean", tokens=True), tmp_path / "cache", **options).tokens(2)
    frames = zoo.embed(ready.model, tones, level="frame")[0]
    assert tokens.shape == (36, 4, 24)
    half = frames.shape[0] // 2
    np.testing.assert_allclose(tokens[0, 2].float().numpy(), frames[: frames.shape[0] - half].mean(0), atol=5e-3)
    np.testing.assert_allclose(tokens[0, 3].float().numpy(), frames[half:].mean(0), atol=5e-3)


@pytest.mark.parametrize("name", ["ssast-patch-tiny", "passt-tiny", "cnn-baseline"])
def test_every_family_with_every_probe(name: str, tones: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", name, num_classes=0, **({"channels": [4, 8]} if name == "cnn-baseline" else {}))
    report = _probe(run, tones, kinds=["linear", "attentive", "knn"], layers="all", fold=["2"])
    assert len(report.rows) == 2 * 3 * (1 if name == "cnn-baseline" else 3)
    assert all(list(row.folds) == ["2"] and row.deviation is None for row in report)
    best = max(row.metrics["accuracy"] for row in report if row.features == "untrained")
    assert best > 0.9  # tones are told apart by weights as they are drawn


def test_train_and_test_manifests(tones: Path, tmp_path: Path) -> None:
    header, *lines = tones.read_text().splitlines()
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("\n".join([header, *lines[:24]]) + "\n")
    test.write_text("\n".join([header, *lines[24:]]) + "\n")
    run = save_small(tmp_path / "c")
    report = _probe(run, train, test=test, untrained=False, kinds=["linear", "attentive"])
    by_fold = _probe(run, tones, fold=["3"], untrained=False, inverse_regularisation=0.1)
    fixed = _probe(run, train, test=test, untrained=False, inverse_regularisation=0.1)
    fixed_fold, third = dict(fixed.rows[0].folds["test"]), dict(by_fold.rows[0].folds["3"])
    assert fixed_fold.pop("setting") == third.pop("setting")
    assert fixed_fold == pytest.approx(third, rel=1e-6)  # of other batches
    assert report.num_clips == 35
    assert len(report.about["manifest_hashes"]) == 2
    assert report.about["notes"] == []
    assert "12 of the clips to test on are also learned from" in _probe(run, tones, test=test).about["notes"][0]


def test_multi_label(tones: Path, tmp_path: Path) -> None:
    tones.write_text(tones.read_text().replace(",mid,", ",low;high,"))
    run = save_small(tmp_path / "c", carried={"task": "multi-label"})
    report = _probe(run, tones, task="multi-label", kinds=["linear", "attentive", "knn"], untrained=False)
    assert report.metric == "mAP"
    assert all("accuracy" not in row.metrics for row in report)
    assert all(row.metrics["mAP"] > report.chance["mAP"] for row in report)
    with pytest.raises(DataError, match="2 labels"):
        _probe(run, tones)


def test_splits_keep_groups_together(tones: Path) -> None:
    sets = read_sets(str(tones), None, None)
    usable = torch.ones(36, dtype=torch.bool)
    usable[7] = False
    clips = sets[0].clips
    for number, split in enumerate(make_splits(sets, None, usable)):
        assert split.name == str(number + 1)
        assert sorted(split.train.tolist() + split.test.tolist()) == [row for row in range(36) if row != 7]
        inner = {clips[row].fold for row in split.train[split.is_inner].tolist()}
        assert inner == {str((number + 1) % 3 + 1)}  # the fold that comes next
    made = read_sets(str(tones), None, 2)
    for split in make_splits(made, None, usable):
        inner, outer = split.train[split.is_inner], split.train[~split.is_inner]
        groups = [{made[0].clips[row].group for row in rows.tolist()} for rows in (inner, outer, split.test)]
        assert all(groups)
        assert groups[0] & groups[1] == groups[0] & groups[2] == groups[1] & groups[2] == set()
    assert [split.name for split in make_splits(sets, ["3", "1"], usable)] == ["3", "1"]


def test_a_leak_is_told(tones: Path, tmp_path: Path) -> None:
    tones.write_text(tones.read_text().replace("35.wav,high,3,g5", "35.wav,high,1,g5"))
    report = _probe(save_small(tmp_path / "c"), tones, untrained=False)
    assert report.about["notes"] == ["1 groups are in several folds, such as g5: what is tested was heard in training"]


def test_what_does_not_fit_is_refused(tones: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.rsplit(",", 2)[0] for line in tones.read_text().splitlines()) + "\n")
    with pytest.raises(DataError, match=r"found 0 folds - expected at least two, .* --folds 5, or --test"):
        _probe(run, bare)
    assert len(_probe(run, bare, folds=2, untrained=False).rows[0].folds) == 2
    with pytest.raises(DataError, match="no clip of fold 9 - the folds are 1, 2, 3"):
        _probe(run, tones, fold=["9"])
    with pytest.raises(DataError, match="test manifest beside folds 3"):
        _probe(run, tones, folds=3, test=bare)
    with pytest.raises(RecipeError, match="kind: found 'linaer' - expected linear, attentive, knn"):
        _probe(run, tones, kinds=["linaer"])
    with pytest.raises(RecipeError, match="C: found 0 - expected"):
        _probe(run, tones, inverse_regularisation=0.0)
    with pytest.raises(RecipeError, match="k: found 0 - expected"):
        _probe(run, tones, neighbours=0)
    with pytest.raises(ShapeError, match="layers: found '3'"):
        _probe(run, tones, layers="3")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="found no way to write it"):
        zoo.probe(run, tones, cache=tmp_path / "file/cache")
    for number in range(12):
        (tmp_path / f"audio/{number}.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"no usable clip to test on \(1\)"):
        _probe(run, tones, untrained=False)
