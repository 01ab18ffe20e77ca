"""Results -> a folder for the repository: their JSON, two pages of all scales that lie there, and pictures."""

from collections.abc import Sequence
from pathlib import Path

from zoo import disk
from zoo.errors import ZooError
from zoo.proof.publish.comparison_page import comparison_page
from zoo.proof.publish.curves import draw_comparison, draw_few_labels, draw_pretraining
from zoo.proof.publish.examples import draw_examples
from zoo.proof.publish.private import for_others, without_paths
from zoo.proof.publish.ssast_page import examples_name, ssast_page
from zoo.proof.publish.words import scale_name
from zoo.proof.results import ProofResults, read

_FIRST = ("full", "minutes", "cpu")
"""Scales in the order of the pages; others follow."""
_CHARTS = (
    (
        "pretraining",
        draw_pretraining,
        "Pretraining: pretext accuracy, reconstruction error and online probe over clips",
    ),
    (
        "labels",
        draw_few_labels,
        "Results over the share of training labels; bars are ± one standard deviation of folds",
    ),
    (
        "comparison",
        draw_comparison,
        "Every family: results over all operations of training; bars are ± one standard deviation of folds, markers "
        "of the first budget are filled, of the second hollow",
    ),
)


def publish(results: ProofResults, folder: Path, runs: Path | None = None) -> list[Path]:
    """Writes results beside those of other scales that `folder` holds, and both pages and all pictures anew.

    `folder/data/proof-SCALE.json`, `folder/ssast.md`, `folder/comparison.md` and `folder/pictures/*`. What people write
    into `folder/data/notes-ssast.md` and `notes-comparison.md` stands in the pages. No file names a folder of this
    machine.

    Args:
        runs: the folder of the proof, in which its pretraining runs lie: pictures of held-out clips are drawn of those
            that are there; else the pictures that were drawn before stay.

    Returns: what was written.

    Raises:
        DataError: results that are not finite, or a file in `folder/data` that is none of ours.
        CheckpointError: the disk is full or refuses.
    """
    shared = for_others(results)
    written = [folder / "data" / f"proof-{shared.scale}.json"]
    shared.write(written[0])
    everything = all_published(folder)
    pictures: dict[str, str] = {}
    for one in everything:
        for name, draw, told in _CHARTS:
            path = folder / "pictures" / f"{name}-{one.scale}.svg"
            if draw(one, path):
                written.append(path)
                pictures[path.name] = f"{told}; {scale_name(one.scale)}"
            else:
                disk.remove(path)
    written += _examples(results, folder, runs)
    for one in everything:
        for run in one.pretraining:
            name = examples_name(one.scale, run.name)
            if (folder / "pictures" / name).is_file():
                pictures[name] = (
                    f"Held-out clips: whole, masked and reconstructed by {run.title}; {scale_name(one.scale)}"
                )
    for name, make in (("ssast", ssast_page), ("comparison", comparison_page)):
        path = folder / f"{name}.md"
        text = without_paths(make(everything, pictures, _notes(folder, name)))
        with disk.written_whole(path) as file:
            file.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def all_published(folder: Path) -> Sequence[ProofResults]:
    """The results that lie in a folder, the largest scale first."""
    found = [read(path) for path in sorted((folder / "data").glob("proof-*.json"))]
    return sorted(found, key=lambda one: (_FIRST.index(one.scale) if one.scale in _FIRST else len(_FIRST), one.scale))


def _examples(results: ProofResults, folder: Path, runs: Path | None) -> list[Path]:
    """Pictures of the pretraining runs that are still there, and whose audio is."""
    written = []
    for run in results.pretraining:
        if run.folder is None or run.failed or run.role != "pretrained":
            continue
        where = Path(run.folder) if runs is None else runs / run.folder
        path = folder / "pictures" / examples_name(results.scale, run.name)
        try:
            draw_examples(where, path)
        except ZooError:
            continue
        written.append(path)
    return written


def _notes(folder: Path, name: str) -> str:
    path = folder / "data" / f"notes-{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
