"""docs/results/ssast.md: whether pretraining on unlabelled audio helps, for somebody who never saw this project."""

from collections.abc import Sequence
from pathlib import Path

from zoo.proof.publish.answer import answer, bar_sentence, bar_table
from zoo.proof.publish.few_labels import labels_table, labels_told
from zoo.proof.publish.forms import forms_sentence, forms_table
from zoo.proof.publish.markdown import page, picture
from zoo.proof.publish.pretraining import pretraining_sentences, pretraining_table
from zoo.proof.publish.result_table import captioned, columns_in_words
from zoo.proof.publish.run_facts import choices_table, choices_told, data_table, facts
from zoo.proof.publish.standing import main_tables
from zoo.proof.publish.words import capital, scale_name
from zoo.proof.results import ProofResults

_ASKED = """\
Does it help to pretrain an SSAST on unlabelled audio before it learns a labelled task? SSAST hides patches of a log-mel
and learns two things at once: what was hidden (reconstruction), and which of the hidden patches is which
(classification). Here it is pretrained in two forms, square *patches* and *frames* of the whole height, and then
fine-tuned on labelled tasks. It is held against the same model with fresh weights at the same fine-tuning budget;
against that model trained longer; and against a small CNN. How to fine-tune was chosen on validation clips of the model
from scratch, not of the pretrained one. Each table says what it holds."""

_WRITTEN = "Written by `zoo proof --publish` from the files in [data](data); the sentences follow from the numbers."


def ssast_page(all_results: Sequence[ProofResults], pictures: dict[str, str], notes: str = "") -> str:
    """The page.

    Args:
        all_results: of every scale, the largest first.
        pictures: what stands in the folder of pictures: its file's name -> what it shows in words.
        notes: Markdown by people, about what was looked into.
    """
    everything = list(all_results)
    parts = ["# Does pretraining help? SSAST on real audio", _WRITTEN, "## What was asked", _ASKED, "## The answer"]
    for results in everything:
        parts += answer(results)
    parts += ["## The bar", _BAR_ASKED, *(bar_sentence(results) for results in everything), bar_table(everything)]
    parts += ["## Results", columns_in_words()]
    for results in everything:
        parts += [captioned(results, one) for one in main_tables(results)]
    forms = forms_table(everything)
    if forms:
        parts += ["## Patches against frames", *(forms_sentence(results) for results in everything), forms]
    parts += _few_labels(everything, pictures)
    parts += _pretraining(everything, pictures)
    if notes.strip():
        parts += ["## What was looked into", notes]
    choices = choices_table(everything)
    if choices:
        told = _CHOSEN + (f" {_PRETRAINING_SETTINGS}" if notes.strip() else "")
        parts += ["## How the fine-tuning recipe was chosen", told, *(choices_told(one) for one in everything), choices]
    parts += ["## How it was run", *(facts(results) for results in everything), data_table(everything)]
    parts += [
        "## Where to get such audio",
        (Path(__file__).parent / "where_to_get_audio.md").read_text(encoding="utf-8"),
    ]
    return page(parts)


_CHOSEN = """\
Settings of *fine-tuning* were tried on models from scratch, on validation clips set aside within the training folds. No
pretrained model was looked at, and of no run the fold that it is judged on. What was best for the model from scratch is
taken for the pretrained ones too. It is one setting a task: a clip that validated in one fold is judged in another."""

_PRETRAINING_SETTINGS = """\
Where the settings of *pretraining* come from is told under *What was looked into*."""

_BASELINE = """\
The *mean patch* is the baseline of reconstruction: every hidden patch guessed as the mean of the visible ones of its
clip. *Held-out* is audio that no pretraining run was trained on."""

_BAR_ASKED = """\
The bar was set before: pretraining has to be at least 8 points above scratch at equal fine-tuning budget, mean of all
folds, with 0 outside of the paired interval. At full scale that is also asked against scratch trained until it stops
improving. *Folds 3 on* is the difference over the folds after the first two alone, where a task has more."""


def _few_labels(everything: list[ProofResults], pictures: dict[str, str]) -> list[str]:
    parts = []
    for results in everything:
        made = labels_table(results)
        if made:
            parts += [f"### {capital(scale_name(results.scale))}", labels_told(results), made]
            parts.append(shown(f"labels-{results.scale}.svg", pictures))
    return ["## Few labels", *parts] if parts else []


def _pretraining(everything: list[ProofResults], pictures: dict[str, str]) -> list[str]:
    parts = []
    for results in everything:
        made = pretraining_table(results)
        if made:
            parts += [f"### {capital(scale_name(results.scale))}", pretraining_sentences(results), made]
            parts.append(shown(f"pretraining-{results.scale}.svg", pictures))
            parts += [shown(examples_name(results.scale, one.name), pictures) for one in results.pretraining]
    return ["## Pretraining", _BASELINE, *parts] if parts else []


def shown(name: str, pictures: dict[str, str]) -> str:
    """A picture, where it is there."""
    return picture(f"pictures/{name}", pictures[name]) if name in pictures else ""


def examples_name(scale: str, pretraining: str) -> str:
    """The file of a pretraining run's held-out clips."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in pretraining.lower())
    return Path(f"examples-{scale}-{kept}.png").name
