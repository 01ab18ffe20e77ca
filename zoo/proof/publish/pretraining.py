"""What pretraining took, and whether it learned its own task on audio that it was not trained on."""

from zoo.proof.publish.markdown import NONE, one_line, table
from zoo.proof.publish.numbers import count, duration, operations, parameters, percent, rate
from zoo.proof.publish.words import capital, scale_name
from zoo.proof.results import Pretraining, ProofResults, Role

ACCURACY, CHANCE = "eval/pretext_accuracy", "eval/pretext_chance"
ERROR, BASELINE = "eval/loss_reconstruct", "eval/mean_patch_loss"
PROBE_CHANCE = "eval/probe_chance"
PROBES = ("eval/probe_linear", "eval/probe_knn")
_NOT_LEARNED: dict[Role, tuple[str, ...]] = {"reconstruct": (ACCURACY, CHANCE), "classify": (ERROR, BASELINE)}
"""What a pretraining by one of the losses alone is not judged by: the head of the other was never trained."""
_EQUAL = 0.05
"""Times that differ by no more count as equal."""


def is_learned(one: Pretraining, tag: str) -> bool:
    """Whether a run was trained in what a metric measures."""
    return tag not in _NOT_LEARNED.get(one.role, ())


def real_seconds(one: Pretraining, other: Pretraining) -> str:
    """What two runs took that were planned to take the same time: `…; took 310 s against 300 s`."""
    text = f"planned for equal time, by rates that were measured for some seconds; took {one.seconds:,.0f} s against "
    text += f"{other.seconds:,.0f} s"
    if other.seconds > 0 and abs(one.seconds / other.seconds - 1) > _EQUAL:
        text += f": **not equal**, {100 * (one.seconds / other.seconds - 1):+.0f} %"
    return text


def equal_time_to(results: ProofResults, one: Pretraining) -> Pretraining | None:
    """The run whose time a run without masked tokens was given: that of both losses, in the same form."""
    if one.role != "masked-out" or one.failed:
        return None
    full = (o for o in results.pretraining if o.role == "pretrained" and o.form == one.form and not o.failed)
    return next(full, None)


def pretraining_table(results: ProofResults) -> str:
    """A row for each pretraining run."""
    header = ["pretraining", "what", "clips", "steps", "time", "clips/s", "compute", "parameters"]
    header += ["pretext accuracy, %", "its chance, %", "reconstruction error", "of the mean patch"]
    header += ["linear probe, %", "kNN probe, %", "chance of probes, %", "failed"]
    rows = []
    for one in results.pretraining:
        cells = [f"{one.title} (`{one.name}`)", one.what, count(one.clips), count(one.steps), duration(one.seconds)]
        cells += [rate(one.clips_per_second), operations(one.flops), parameters(one.parameters)]
        cells += [percent(_final(one, ACCURACY)), percent(_final(one, CHANCE))]
        cells += [
            _error(one, ERROR),
            _error(one, BASELINE),
            *(percent(one.final.get(tag)) for tag in (*PROBES, PROBE_CHANCE)),
        ]
        rows.append([*cells, "; ".join(map(one_line, one.failed)) or NONE])
    return table(header, rows) if rows else ""


def pretraining_sentences(results: ProofResults) -> str:
    """For each run: whether the pretext accuracy is above chance, and the reconstruction below its baseline.

    Of a run that was given the time of another also what both took.
    """
    lines = []
    for one in results.pretraining:
        full = equal_time_to(results, one)
        said = [text for text in (_accuracy_told(one), _error_told(one)) if text]
        said += [] if full is None else [real_seconds(one, full)]
        if said:
            lines.append(f"- {one.title}: {'; '.join(said)}.")
    if not lines:
        return ""
    return f"{capital(scale_name(results.scale))}, at the end, on held-out audio:\n\n" + "\n".join(lines)


def _accuracy_told(one: Pretraining) -> str:
    accuracy, chance = _final(one, ACCURACY), _final(one, CHANCE)
    if accuracy is None or chance is None:
        return ""
    if accuracy <= chance:
        return f"the pretext accuracy of {percent(accuracy)} % is **not above chance** ({percent(chance)} %)"
    times = f", {accuracy / chance:.1f} times it" if chance > 0 else ""
    return f"the pretext accuracy of {percent(accuracy)} % is above chance ({percent(chance)} %{times})"


def _error_told(one: Pretraining) -> str:
    error, baseline = _final(one, ERROR), _final(one, BASELINE)
    if error is None or baseline is None or baseline <= 0:
        return ""
    if error >= baseline:
        return f"the reconstruction error of {error:.3f} is **not below that of the mean patch** ({baseline:.3f})"
    below = 100 * (1 - error / baseline)
    return f"the reconstruction error of {error:.3f} is {below:.0f} % below that of the mean patch ({baseline:.3f})"


def _error(one: Pretraining, tag: str) -> str:
    value = _final(one, tag)
    return NONE if value is None else f"{value:.3f}"


def _final(one: Pretraining, tag: str) -> float | None:
    """At the end; None too where it was not learned."""
    return one.final.get(tag) if is_learned(one, tag) else None
