"""What numbers say, in sentences that follow from them alone."""

from zoo.proof.publish.numbers import interval, percent, points
from zoo.proof.publish.standing import BAR, Gain, seeds_of
from zoo.proof.results import ProofResults, ResultRow, ResultTable

SCALES = {"full": "full scale", "minutes": "minutes scale", "cpu": "CPU scale"}


def scale_name(scale: str) -> str:
    """`CPU scale`; of any other word, `scale partial`."""
    return SCALES.get(scale, f"scale {scale}")


def capital(text: str) -> str:
    """With its first letter large."""
    return text[:1].upper() + text[1:]


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plural(number: int, thing: str) -> str:
    """`1 fold`, `5 folds`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "es" if thing.endswith(("s", "ch")) else "s")


def seeds_in_words(table: ResultTable) -> str:
    """Of its rows: `seed 0 alone`, `3 seeds (0, 1, 2)`; where they differ `1 to 3 seeds, by row`."""
    several = [seeds for row in table.rows if (seeds := seeds_of(row))] or [table.seeds]
    if len(set(several)) == 1:
        shown = ", ".join(map(str, several[0]))
        return f"seed {shown} alone" if len(several[0]) == 1 else f"{len(several[0])} seeds ({shown})"
    least, most = min(map(len, several)), max(map(len, several))
    return f"{plural(most, 'seed') if least == most else f'{least} to {most} seeds'}, by row"


def shared_in_words(row: ResultRow, other: ResultRow) -> str:
    """The runs that a difference is of, where it is not of all runs of both rows: `seed 0`, `folds 1, 2`.

    Empty where it is of all, and so the difference of their means.
    """
    ours, theirs = ({(value.seed, value.fold) for value in one.values} for one in (row, other))
    both = ours & theirs
    if not both or ours == theirs:
        return ""
    seeds, folds = (sorted({run[place] for run in both}, key=str) for place in (0, 1))
    said = []
    if any(set(seeds) != {seed for seed, _ in runs} for runs in (ours, theirs)):
        said.append(f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}")
    if any(set(folds) != {fold for _, fold in runs} for runs in (ours, theirs)):
        said.append(f"fold{'' if len(folds) == 1 else 's'} {', '.join(map(str, folds))}")
    return "; ".join(said) or "the runs that both have"


def folds_in_words(results: ProofResults, table: ResultTable) -> str:
    """`all 5 folds`, `2 of 5 folds (1, 2)`."""
    task = results.data.tasks.get(table.task)
    done = len(table.folds)
    if task is None or done >= task.folds > 1:
        return f"all {done} folds" if task else plural(done, "fold")
    return f"{done} of {task.folds} folds ({', '.join(table.folds)})"


def judgement(found: Gain) -> str:
    """Whether a difference is one: the clear cases are those in which 0 is outside of every interval."""
    if found.is_clear_gain:
        return "helps"
    if found.is_clear_loss:
        return "hurts"
    if not _has_interval(found):
        return "is not shown to help (no interval is known)"
    return "does not clearly help" if found.mean > 0 else "does not help"


def _has_interval(found: Gain) -> bool:
    return found.over_folds is not None or found.over_clips is not None


def comparative(found: Gain) -> str:
    """Of two ways, neither of which is the one that has to help."""
    if found.is_clear_gain:
        return "clearly better"
    if found.is_clear_loss:
        return "clearly worse"
    return "no clear difference" if _has_interval(found) else "no interval is known"


def in_points(found: Gain, of: str = "") -> str:
    """`+5.1 points (95 %: +1.0 … +9.2 over folds, +2.0 … +8.1 over clips)`.

    Args: `of`: the runs that it is of, as `shared_in_words` has them: `+5.1 points, seed 0 (95 %: …`.
    """
    known = [
        f"{interval(*one)} over {what}"
        for what, one in (("folds", found.over_folds), ("clips", found.over_clips))
        if one is not None
    ]
    told = f"{points(found.mean)} points" + (f", {of}" if of else "")
    return told + (f" (95 %: {', '.join(known)})" if known else "")


def result_in_words(row: ResultRow, table: ResultTable | None = None) -> str:
    """`81.2 %`; of a table whose rows have other seeds than each other, `81.2 % with 3 seeds`."""
    is_mixed = table is not None and len({some for one in table.rows if (some := seeds_of(one))}) > 1
    seeds = seeds_of(row)
    with_seeds = f" with {plural(len(seeds), 'seed') if len(seeds) != 1 else f'seed {seeds[0]}'}"
    return f"{percent(row.mean)} %" + (with_seeds if is_mixed else "")


def bar_in_words(found: Gain) -> str:
    """Whether the bar is met, and if not why."""
    if found.meets_bar:
        spared = found.over_folds is not None and found.over_folds[0] <= 0
        return "met, though the interval over folds reaches 0" if spared else "met"
    if found.mean < BAR - 1e-9:
        return f"not met: below {points(BAR)}"
    if found.over_clips is None:
        return "not shown: no paired interval"
    return "not met: 0 is inside the paired interval"
