"""docs/results/comparison.md: every family of the zoo on the same tasks, at equal clips and at equal operations."""

from collections.abc import Iterator, Sequence

from zoo.proof.publish.markdown import page
from zoo.proof.publish.numbers import percent
from zoo.proof.publish.result_table import captioned, columns_in_words
from zoo.proof.publish.run_facts import data_table, facts
from zoo.proof.publish.ssast_page import shown
from zoo.proof.publish.standing import gain, seeds_of
from zoo.proof.publish.words import (
    capital,
    comparative,
    in_points,
    listed,
    result_in_words,
    scale_name,
    shared_in_words,
)
from zoo.proof.results import ProofResults, ResultRow, ResultTable

_ASKED = """\
Every family of the zoo learns the same labelled tasks on the same folds, behind one front end: AST, SSAST (patch and
frame, pretrained on unlabelled audio and from scratch), PaSST, the minimal AST and a small CNN. Not every row has as
many seeds: the column *runs* says how many. *Equal clips* asks which model learns most from the data, *equal FLOPs*
which learns most from a computer. Pretraining is in no budget; it is counted in its own column.
[comparing.md](../comparing.md) says how it is made fair, and [ssast.md](ssast.md) whether pretraining helps."""

_WRITTEN = "Written by `zoo proof --publish` from the files in [data](data); the sentences follow from the numbers."


def comparison_page(all_results: Sequence[ProofResults], pictures: dict[str, str], notes: str = "") -> str:
    """The page; arguments as those of `ssast_page`."""
    everything = [results for results in all_results if _tables(results)]
    parts = ["# Every family on the same tasks", _WRITTEN, "## What was asked", _ASKED]
    if not everything:
        return page([*parts, "No results hold a comparison yet."])
    parts.append("## The answer")
    for results in everything:
        lines = [*_best(results), *_caveats(results)]
        parts += [f"**{capital(scale_name(results.scale))}**:", "\n".join(f"- {line}" for line in lines)]
    for results in everything:
        parts += [f"## {capital(scale_name(results.scale))}", shown(f"comparison-{results.scale}.svg", pictures)]
        parts += [captioned(results, one, by_result=True) for one in _tables(results)]
    parts += ["## How to read the tables", columns_in_words()]
    if notes.strip():
        parts += ["## What was looked into", notes]
    parts += ["## How it was run", *(facts(results) for results in everything), data_table(everything)]
    return page(parts)


def _tables(results: ProofResults) -> list[ResultTable]:
    return [one for one in results.tables if one.kind == "comparison"]


def _done(one: ResultTable) -> list[ResultRow]:
    """Rows with a result, best first."""
    return sorted((row for row in one.rows if row.mean is not None), key=lambda row: -(row.mean or 0.0))


def _best(results: ProofResults) -> Iterator[str]:
    for one in _tables(results):
        done = _done(one)
        text = f"**{one.task}**, {one.title} ({one.budget}): "
        if not done:
            yield text + "every run failed."
            continue
        text += f"{done[0].name} is first with {result_in_words(done[0], one)}"
        if len(done) > 1:
            found = gain(results, one, done[0], done[1])
            assert found is not None
            shared = shared_in_words(done[0], done[1])
            text += f"; second is {done[1].name} with {result_in_words(done[1], one)}, "
            text += f"{in_points(found.negated(), shared)}, "
            text += comparative(found.negated())
        fresh = [row for row in done if row.pretraining is None]
        if done[0].pretraining is not None and fresh:
            text += f"; the best without pretraining is {fresh[0].name} with {result_in_words(fresh[0], one)}"
        chance = "" if one.chance is None else f"; chance is {percent(one.chance)} %"
        yield f"{text}{chance}."


def _caveats(results: ProofResults) -> Iterator[str]:
    tables = _tables(results)
    single: dict[str, list[str]] = {}
    for one in tables:
        names = single.setdefault(one.task, [])
        names += [row.name for row in one.rows if len(seeds_of(row)) == 1 and row.name not in names]
    said = [f"{task}: {listed(names)}" for task, names in single.items() if names]
    if said:
        yield f"One seed ({'; '.join(said)}): how much another seed would move these results is in no interval."
    failed = sum(len(row.failed) for one in tables for row in one.rows)
    if failed:
        yield f"{failed} of the runs failed; they are in no mean, and are listed below their tables."
