"""Square patches against frames, on speech and on sound."""

from zoo.proof.publish.markdown import NONE, table
from zoo.proof.publish.numbers import interval, percent, points
from zoo.proof.publish.standing import Gain, gain, main_tables, rows_of, tasks_of
from zoo.proof.publish.words import capital, comparative, in_points, scale_name, shared_in_words
from zoo.proof.results import ProofResults, ResultRow, Role

_ROLES: tuple[tuple[Role, str], ...] = (
    ("pretrained", "pretrained"),
    ("scratch", "from scratch"),
    ("probe-pretrained", "probe on pretrained features"),
)


def frame_against_patch(results: ProofResults, task: str, role: Role) -> tuple[ResultRow, ResultRow, Gain] | None:
    """(frame's row, patch's, their difference) on a task; None without both."""
    for one in main_tables(results, task):
        frames, patches = rows_of(one, role, "frame"), rows_of(one, role, "patch")
        if frames and patches:
            found = gain(results, one, frames[0], patches[0])
            if found is not None:
                return frames[0], patches[0], found
    return None


def forms_table(all_results: list[ProofResults]) -> str:
    """A row for each scale, task and way of training."""
    header = ["scale", "task", "domain", "trained", "frame, %", "patch, %", "frame − patch, points", "95 %, over folds"]
    header.append("95 %, paired, over clips")
    rows = []
    for results in all_results:
        for task in tasks_of(main_tables(results)):
            for role, said in _ROLES:
                both = frame_against_patch(results, task, role)
                if both is not None:
                    frame, patch, found = both
                    shared = shared_in_words(frame, patch)
                    cells = [results.scale, task, _domain(results, task), said]
                    cells += [percent(frame.mean), percent(patch.mean)]
                    cells.append(points(found.mean) + (f" ({shared})" if shared else ""))
                    cells += [interval(*(found.over_folds or (None, None)))]
                    rows.append([*cells, interval(*(found.over_clips or (None, None)))])
    return table(header, rows) if rows else ""


def forms_sentence(results: ProofResults) -> str:
    """What holds on speech, and on sound."""
    said: dict[str, list[str]] = {}
    for task in tasks_of(main_tables(results)):
        both = frame_against_patch(results, task, "pretrained")
        if both is not None:
            frame, patch, found = both
            text = f"{in_points(found, shared_in_words(frame, patch))} on {task}, {comparative(found)}"
            said.setdefault(_domain(results, task), []).append(text)
    parts = [f"on {domain} pretrained frames against patches {'; '.join(texts)}" for domain, texts in said.items()]
    return f"{capital(scale_name(results.scale))}: {'; '.join(parts)}." if parts else ""


def _domain(results: ProofResults, task: str) -> str:
    known = results.data.tasks.get(task)
    return known.domain if known is not None else NONE
