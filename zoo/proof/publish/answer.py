"""The answer at the top of the page, computed from the results: whether pretraining helps, and against what."""

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.proof.publish.markdown import table as markdown_table
from zoo.proof.publish.numbers import interval, percent, points, rate
from zoo.proof.publish.pretraining import equal_time_to, real_seconds
from zoo.proof.publish.standing import FORMS, Gain, gain, later_folds, main_tables, pairs, rows_of, seeds_of, tasks_of
from zoo.proof.publish.words import (
    bar_in_words,
    capital,
    comparative,
    folds_in_words,
    in_points,
    judgement,
    listed,
    plural,
    result_in_words,
    scale_name,
    seeds_in_words,
    shared_in_words,
)
from zoo.proof.results import ProofResults, ResultRow, ResultTable, Role

_LONGER: dict[Role, str] = {
    "scratch-compute": "scratch at equal total compute",
    "scratch-converged": "scratch trained until it stops improving",
}
_BAR_AGAINST: dict[Role, str] = {
    "scratch": "scratch at the same fine-tuning budget",
    "scratch-converged": _LONGER["scratch-converged"],
}
_ALONE: dict[Role, str] = {"reconstruct": "reconstruction alone", "classify": "classification alone"}


@dataclass(frozen=True)
class Case:
    """Pretrained against another way, in one form on one task."""

    task: str
    table: ResultTable
    row: ResultRow
    other: ResultRow
    found: Gain

    @property
    def form(self) -> str:
        """As a word."""
        return self.row.form or "SSAST"

    @property
    def shared(self) -> str:
        """The runs that the difference is of, where these are not all of both."""
        return shared_in_words(self.row, self.other)

    @property
    def in_points(self) -> str:
        """The difference with its intervals."""
        return in_points(self.found, self.shared)

    @property
    def results(self) -> str:
        """`72.0 % against 60.0 %`."""
        return f"{result_in_words(self.row, self.table)} against {result_in_words(self.other, self.table)}"


def cases(results: ProofResults, against: Role, role: Role = "pretrained") -> list[Case]:
    """All that the results hold, task by task."""
    found = []
    for task in tasks_of(main_tables(results)):
        for table, row, other in pairs(results, task, role, against):
            difference = gain(results, table, row, other)
            if difference is not None:
                found.append(Case(task, table, row, other, difference))
    return found


def answer(results: ProofResults) -> list[str]:
    """Paragraphs: one sentence on the whole, then a bullet a task, then the objectives, then what to doubt."""
    name = scale_name(results.scale)
    tested = cases(results, "scratch")
    if not tested:
        return [f"**{capital(name)}**: no row of these results holds a pretrained model against one from scratch."]
    return [
        f"**{capital(name)}**: {_headline(tested)}",
        "\n".join(f"- {line}" for line in _by_task(results, tested)),
        "\n".join(f"- {line}" for line in [*_objectives(results), *_masked_out(results), *_caveats(results)]),
    ]


def bar_table(all_results: list[ProofResults]) -> str:
    """A row for each case: scale, task, form, both results, their difference, whether the bar is met; and
    the difference over the folds but the first two."""
    header = ["scale", "task", "form", "against", "pretrained, %", "the other, %", "difference, points"]
    header += ["95 %, over folds", "95 %, paired, over clips", "bar", "difference, folds 3 on, points"]
    rows = []
    for results in all_results:
        for against in _BAR_AGAINST:
            for case in cases(results, against):
                found = case.found
                cells = [results.scale, case.task, case.form, case.other.name, percent(case.row.mean)]
                told = points(found.mean) + (f" ({case.shared})" if case.shared else "")
                cells += [percent(case.other.mean), told, interval(*(found.over_folds or (None, None)))]
                cells += [interval(*(found.over_clips or (None, None))), bar_in_words(found)]
                cells.append(points(later_folds(case.row, case.other)))
                rows.append(cells)
    return markdown_table(header, rows) if rows else ""


def bar_sentence(results: ProofResults) -> str:
    """On how many tasks the bar is met by each form, against scratch at the same budget and, where known, converged."""
    parts = []
    for against, said in _BAR_AGAINST.items():
        tested = cases(results, against)
        for form in FORMS:
            of_form = [case for case in tested if case.row.form == form]
            if of_form:
                met = [case.task for case in of_form if case.found.meets_bar]
                missed = [case.task for case in of_form if not case.found.meets_bar]
                text = f"{form} against {said}: "
                text += f"met on {listed(met)}" if met else "met on no task"
                parts.append(text + (f", not on {listed(missed)}" if missed and met else ""))
    return f"{capital(scale_name(results.scale))}: {'; '.join(parts)}." if parts else ""


def _headline(tested: list[Case]) -> str:
    helped = [case for case in tested if case.found.is_clear_gain]
    hurt = [case for case in tested if case.found.is_clear_loss]
    unclear = len(tested) - len(helped) - len(hurt)
    num_tasks = len({case.task for case in tested})
    of = f"in {plural(len(tested), 'case')} ({plural(num_tasks, 'task')}, forms tested on each)"
    if not helped:
        told = f"pretraining **does not help**. {capital(of)} it is clearly better than scratch in none"
    else:
        told = f"pretraining **helps** in {len(helped)} of {plural(len(tested), 'case')} "
        told += f"({plural(num_tasks, 'task')}, each form a case of its own): "
        told += listed([f"{task} ({listed(forms)})" for task, forms in _grouped(helped).items()])
    told += f"; clearly worse in {len(hurt)}" if hurt else ""
    told += f"; no clear difference in {unclear}" if unclear else ""
    return told + ". Held against is the same model from scratch at the same fine-tuning budget."


def _grouped(several: list[Case]) -> dict[str, list[str]]:
    """Task -> forms."""
    found: dict[str, list[str]] = {}
    for case in several:
        found.setdefault(case.task, []).append(case.form)
    return found


def _by_task(results: ProofResults, tested: list[Case]) -> Iterator[str]:
    probes = cases(results, "probe-random", "probe-pretrained")
    longer = {role: cases(results, role) for role in _LONGER}
    for task in dict.fromkeys(case.task for case in tested):
        known = results.data.tasks.get(task)
        here = [case for case in tested if case.task == task]
        first = here[0].table
        text = f"**{task}** ({known.domain + ', ' if known else ''}{folds_in_words(results, first)}, "
        text += f"{seeds_in_words(first)}):"
        for case in here:
            text += f"\n  - {capital(case.form)}: pretraining **{judgement(case.found)}**, "
            text += f"{case.results}, {case.in_points}."
            for role, said in _LONGER.items():
                for other in longer[role]:
                    if other.task == task and other.row.form == case.row.form:
                        text += f" Against {said} ({result_in_words(other.other, other.table)}): {other.in_points}, "
                        text += f"{comparative(other.found)}."
            for probe in probes:
                if probe.task == task and probe.row.form == case.row.form:
                    text += f" A probe of frozen features: {result_in_words(probe.row)} pretrained, "
                    text += f"{result_in_words(probe.other)} random, {comparative(probe.found)}."
        others = [f"{row.name} {result_in_words(row, first)}" for row in rows_of(first, "cnn")]
        others += [] if first.chance is None else [f"chance {percent(first.chance)} %"]
        yield text + (f"\n  - Beside them: {', '.join(others)}." if others else "")


def _objectives(results: ProofResults) -> Iterator[str]:
    found = []
    for role, said in _ALONE.items():
        for case in cases(results, role):
            text = f"\n  - {case.task} with {case.form}: {case.results} by {said}, {case.in_points}, "
            found.append(f"{text}{comparative(case.found)}.")
    if found:
        yield f"Both objectives against one alone:{''.join(found)}"


def _masked_out(results: ProofResults) -> Iterator[str]:
    known = {one.name: one for one in results.pretraining}
    found = []
    for case in cases(results, "pretrained", "masked-out"):
        ours, full = known.get(case.row.pretraining or ""), known.get(case.other.pretraining or "")
        text = f"\n  - {case.task} with {case.form}: {case.results}, {case.in_points}, {comparative(case.found)}"
        if ours is not None and full is not None and full.clips_per_second > 0:
            text += f" (pretrained at {rate(ours.clips_per_second)} against {rate(full.clips_per_second)} clips/s, "
            text += f"{ours.clips_per_second / full.clips_per_second:.1f} times)"
        found.append(f"{text}.")
    if found:
        times = [(one, equal_time_to(results, one)) for one in results.pretraining]
        told = [f"{one.title}: {real_seconds(one, full)}" for one, full in times if full is not None]
        text = "Masked tokens left out of the encoder, against all of them in it, at equal time"
        text += f" ({'; '.join(told)})" if told else ""
        yield f"{text}:{''.join(found)}"


def _caveats(results: ProofResults) -> Iterator[str]:
    tables = main_tables(results)
    whole, in_part = [], []
    for table in tables:
        trained = [row for row in table.rows if row.values and not row.role.startswith("probe")]
        single = [row.name for row in trained if len(seeds_of(row)) == 1]
        whole += [table.task] if single and len(single) == len(trained) else []
        if 0 < len(single) < len(trained):
            several = [row.name for row in trained if row.name not in single]
            few = f"all but {listed(several)}" if len(several) < len(single) else listed(single)
            in_part.append(f"{table.task} ({few})")
    said = [f"on {listed(list(dict.fromkeys(whole)))}"] if whole else []
    said += [f"of rows on {listed(in_part)}"] if in_part else []
    if said:
        text = f"One seed {', and '.join(said)}: how much another seed would move a result is in no interval there, "
        yield text + "and ± is that of the folds."
    failed = [row for table in results.tables for row in table.rows if row.failed]
    runs = sum(len(row.failed) for row in failed) + sum(len(one.failed) for one in results.pretraining)
    if runs:
        yield f"{capital(plural(runs, 'run'))} failed; they are in no mean, and are listed below their tables."
    sizes = [row.parameters for table in tables for row in table.rows if row.role == "pretrained"]
    if sizes:
        size = f"{max(sizes) / 1e6:.1f} M parameters"
        hours = results.data.pretrain.hours
        yield f"All of this is said of models of {size}, pretrained on {hours:.1f} h of audio, and of nothing larger."
