"""With what the numbers were made: command, date, machine, versions, time, counts, hashes, choice of recipes."""

from zoo.proof.publish.markdown import block, table
from zoo.proof.publish.numbers import count, duration, percent
from zoo.proof.publish.words import capital, listed, plural, scale_name
from zoo.proof.results import ProofResults


def facts(results: ProofResults) -> str:
    """How one scale was run."""
    runs = sum(len(row.values) for one in results.tables for row in one.rows)
    failed = sum(len(row.failed) for one in results.tables for row in one.rows)
    failed += sum(len(one.failed) for one in results.pretraining)
    said = f"{results.date}, {results.device}, {plural(results.cores, 'core')}, {duration(results.seconds)} in all"
    said += (
        f"; {plural(len(results.pretraining), 'pretraining run')}, {count(runs)} results in the tables, {failed} failed"
    )
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    parts = [f"**{capital(scale_name(results.scale))}**: {said}.", block(results.command)]
    if versions or results.code:
        parts.append(f"{versions}{f'; commit {results.code}' if results.code else ''}.")
    parts.append(f"All numbers: [proof-{results.scale}.json](data/proof-{results.scale}.json).")
    return "\n\n".join([*parts, *("\n".join(f"- {note}" for note in results.notes),)]).strip()


def data_table(all_results: list[ProofResults]) -> str:
    """What audio was used, with the hash of its manifest."""
    header = ["scale", "audio", "clips", "hours", "classes", "folds", "chance, %", "manifest"]
    rows = []
    for results in all_results:
        corpus = results.data.pretrain
        rows.append(
            [results.scale, "pretraining", count(corpus.clips), f"{corpus.hours:.2f}", "", "", "", f"`{corpus.hash}`"]
        )
        for name, task in results.data.tasks.items():
            cells = [
                results.scale,
                f"{name} ({task.domain})",
                count(task.clips),
                "",
                str(task.classes),
                str(task.folds),
            ]
            rows.append([*cells, percent(task.chance), f"`{task.hash}`"])
    return table(header, rows)


def choices_told(results: ProofResults) -> str:
    """On how little settings were tried, and which recipes get one that was tried with another; a bullet each."""
    lines = []
    for choice in results.choices:
        folds = {one.folds for one in choice.tried}
        seeds = {one.seeds for one in choice.tried if one.seeds is not None}
        clips = {one.clips for one in choice.tried if one.clips is not None}
        said = f"- {capital(scale_name(results.scale))}, {choice.task}, {choice.model or 'SSAST from scratch'}: each "
        said += f"setting was tried on {_range(folds, 'fold')}"
        said += f" with {_range(seeds, 'seed')}" if seeds else ""
        said += f", judged by {_range(clips, 'validation clip')}{' of each' if folds != {1} else ''}" if clips else ""
        others = listed(list(choice.others))
        said += f"; the same setting is given to {others}, on which it was not tried" if others else ""
        lines.append(f"{said}.")
    return "\n".join(lines)


def _range(numbers: set[int], thing: str) -> str:
    least, most = min(numbers), max(numbers)
    return plural(most, thing) if least == most else f"{least:,} to {plural(most, thing)}"


def choices_table(all_results: list[ProofResults]) -> str:
    """Every setting of fine-tuning that was tried, and the one that was taken."""
    header = ["scale", "task", "model", "setting", "validation, %", "folds", "taken"]
    rows = []
    for results in all_results:
        for choice in results.choices:
            for tried in choice.tried:
                cells = [results.scale, choice.task, choice.model or "SSAST from scratch", tried.setting]
                cells.append("failed" if tried.validation is None else percent(tried.validation))
                rows.append([*cells, str(tried.folds), "yes" if tried.setting == choice.chosen else ""])
    return table(header, rows) if rows else ""
