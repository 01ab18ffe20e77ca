"""Made-up results of a proof, in which only what a test asks for is special."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zoo.proof.results import (
    Choice,
    Corpus,
    Difference,
    Pretraining,
    ProofData,
    ProofResults,
    ResultRow,
    ResultTable,
    TaskData,
    Tried,
    Value,
)

FOLDS = ("1", "2", "3")


def row(name: str, mean: float, seeds: Sequence[int] = (0,), **more: Any) -> ResultRow:
    """A row whose folds differ by a little, and whose seeds do."""
    values = tuple(
        Value(seed, fold, round(mean + 0.01 * (place - 1) + 0.004 * (seed - statistics.fmean(seeds)), 6))
        for place, fold in enumerate(FOLDS)
        for seed in seeds
    )
    known = {
        "what": f"what {name} is",
        "deviation": 0.004 if len(seeds) > 1 else None,
        "fold_deviation": 0.01,
        "difference": None,
        "clips": 9_600,
        "flops": 2e14,
        "total_flops": 2e14,
        "seconds": 61.0,
        "parameters": 840_000,
    }
    return ResultRow(name=name, values=values, mean=mean, **(known | more))


def above(reference: ResultRow, one: ResultRow, half: float = 0.03) -> ResultRow:
    """A row with its difference to the reference, and intervals of this half width."""
    assert one.mean is not None
    assert reference.mean is not None
    mean = one.mean - reference.mean
    known = Difference(reference.name, mean, mean - half, mean + half, mean - half / 2, mean + half / 2)
    return replace(one, difference=known)


def main_table(task: str, gain: float = 0.12, seeds: Sequence[int] = (0,), **more: Any) -> ResultTable:
    """Pretrained patch and frame models `gain` above those from scratch."""
    rows = []
    for form in ("patch", "frame"):
        scratch = row(f"scratch {form}", 0.6, seeds, role="scratch", form=form)
        pretrained = row(f"pretrained {form}", 0.6 + gain, seeds, role="pretrained", form=form, pretraining=form)
        longer = row(f"scratch {form}, equal compute", 0.64, seeds, role="scratch-compute", form=form, total_flops=9e14)
        rows += [above(scratch, replace(pretrained, total_flops=9e14)), scratch, above(scratch, longer)]
        alone = row(f"reconstruction only {form}", 0.61, seeds, role="reconstruct", form=form, pretraining=form)
        rows.append(above(scratch, alone))
    rows += [row("CNN", 0.7, seeds, role="cnn", parameters=26_000)]
    known = {"kind": "ssast", "title": "pretrained and from scratch", "share": 1.0, "budget": "9,600 clips"}
    known |= {"metric": "accuracy", "chance": 0.1, "seeds": tuple(seeds), "folds": FOLDS}
    return ResultTable(task=task, rows=tuple(rows), **(known | more))


def labels_table(task: str, share: float) -> ResultTable:
    """A part of the labels."""
    table = main_table(task, gain=0.2, kind="labels", share=share, title=f"{share:.0%} of the labels")
    return replace(table, rows=tuple(one for one in table.rows if one.role in ("pretrained", "scratch")))


def comparison_table(task: str, title: str) -> ResultTable:
    """Four families."""
    cnn = row("CNN", 0.7, role="cnn", parameters=26_000, flops=1e13, total_flops=1e13)
    rows = [above(cnn, row(name, mean)) for name, mean in (("AST", 0.5), ("PaSST", 0.55))]
    rows.append(above(cnn, row("SSAST patch, pretrained", 0.72, pretraining="patch", total_flops=8e14)))
    known = {"kind": "comparison", "title": title, "share": 1.0, "budget": title, "metric": "accuracy", "chance": 0.1}
    return ResultTable(task=task, rows=(cnn, *rows), seeds=(0,), folds=FOLDS, **known)


def pretraining(form: Any, **more: Any) -> Pretraining:
    """A run with a curve."""
    final = {"eval/pretext_accuracy": 0.3, "eval/pretext_chance": 0.02, "eval/loss_reconstruct": 0.6}
    final |= {"eval/mean_patch_loss": 1.0, "eval/probe_linear": 0.5, "eval/probe_knn": 0.4}
    curve = tuple(
        {"clips": float(clips), **final} | {"eval/pretext_accuracy": clips / 1e5} for clips in (0, 9_000, 3e4)
    )
    known = {"title": f"SSAST {form}", "what": "both losses", "folder": f"pretrain/{form}", "clips": 30_000}
    known |= {"steps": 3_750, "seconds": 300.0, "flops": 7e14, "parameters": 900_000, "clips_per_second": 100.0}
    known |= {"final": final, "curve": curve}
    return Pretraining(name=form, form=form, **(known | more))


def results(scale: str = "cpu", **more: Any) -> ProofResults:
    """One speech task and one of sounds, with everything that pages show."""
    tasks = {"words": TaskData(400, 10, 3, "aaa", 0.1, "speech"), "noises": TaskData(300, 10, 3, "bbb", 0.1)}
    known: dict[str, Any] = {
        "command": "zoo proof DATA=audio --scale cpu",
        "date": "2026-12-01",
        "device": "a processor (2 threads)",
        "cores": 2,
        "versions": {"python": "3.11", "torch": "2.14"},
        "seconds": 4_000.0,
        "data": ProofData(Corpus(1_991, 4.955, "ccc"), tasks),
        "pretraining": (pretraining("patch"), pretraining("frame")),
        "choices": (Choice("words", (Tried("lr 1e-3", 0.5, 1), Tried("lr 1e-4", None, 1)), "lr 1e-3"),),
        "tables": (
            main_table("words"),
            main_table("noises", seeds=(0, 1, 2)),
            *(labels_table("words", share) for share in (0.1, 0.3)),
            *(comparison_table("words", title) for title in ("equal clips", "equal FLOPs")),
        ),
    }
    return ProofResults(scale=scale, **(known | more))
