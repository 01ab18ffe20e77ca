"""Square patches against frames, on speech and on sound."""

from zoo.proof.publish.markdown import NONE, table
from zoo.proof.publish.numbers import interval, percent, points
from zoo.proof.publish.standing import Gain, gain, main_tables, rows_of, tasks_of
from zoo.proof.publish.words import capital, comparative, scale_name
from zoo.proof.results import ProofResults, Role

_ROLES: tuple[tuple[Role, str], ...] = (
    ("pretrained", "pretrained"),
    ("scratch", "from scratch"),
    ("probe-pretrained", "probe on pretrained features"),
)


def frame_against_patch(results: ProofResults, task: str, role: Role) -> tuple[float, float, Gain] | None:
    """(frame's result, patch's, their difference) on a task; None without both."""
    for one in main_tables(results, task):
        frames, patches = rows_of(one, role, "frame"), rows_of(one, role, "patch")
        if frames and patches:
            found = gain(results, one, frames[0], patches[0])
            if found is not None:
                return frames[0].mean or 0.0, patches[0].mean or 0.0, found
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
                    cells = [results.scale, task, _domain(results, task), said, percent(frame), percent(patch)]
                    cells += [points(found.mean), interval(*(found.over_folds or (None, None)))]
                    rows.append([*cells, interval(*(found.over_clips or (None, None)))])
    return table(header, rows) if rows else ""


def forms_sentence(results: ProofResults) -> str:
    """What holds on speech, and on sound."""
    said: dict[str, list[str]] = {}
    for task in tasks_of(main_tables(results)):
        both = frame_against_patch(results, task, "pretrained")
        if both is not None:
            text = f"{points(both[2].mean)} points on {task} ({comparative(both[2])})"
            said.setdefault(_domain(results, task), []).append(text)
    parts = [f"on {domain} pretrained frames against patches {', '.join(texts)}" for domain, texts in said.items()]
    return f"{capital(scale_name(results.scale))}: {'; '.join(parts)}." if parts else ""


def _domain(results: ProofResults, task: str) -> str:
    known = results.data.tasks.get(task)
    return known.domain if known is not None else NONE
