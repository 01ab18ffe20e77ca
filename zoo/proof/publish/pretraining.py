"""What pretraining took, and whether it learned its own task on audio that it was not trained on."""

from zoo.proof.publish.markdown import NONE, one_line, table
from zoo.proof.publish.numbers import count, duration, operations, parameters, percent, rate
from zoo.proof.publish.words import capital, scale_name
from zoo.proof.results import Pretraining, ProofResults

ACCURACY, CHANCE = "eval/pretext_accuracy", "eval/pretext_chance"
ERROR, BASELINE = "eval/loss_reconstruct", "eval/mean_patch_loss"
PROBES = ("eval/probe_linear", "eval/probe_knn")


def pretraining_table(results: ProofResults) -> str:
    """A row for each pretraining run."""
    header = ["pretraining", "what", "clips", "steps", "time", "clips/s", "compute", "parameters"]
    header += ["pretext accuracy, %", "its chance, %", "reconstruction error", "of the mean patch"]
    header += ["linear probe, %", "kNN probe, %", "failed"]
    rows = []
    for one in results.pretraining:
        cells = [f"{one.title} (`{one.name}`)", one.what, count(one.clips), count(one.steps), duration(one.seconds)]
        cells += [rate(one.clips_per_second), operations(one.flops), parameters(one.parameters)]
        cells += [percent(one.final.get(ACCURACY)), percent(one.final.get(CHANCE))]
        cells += [_error(one, ERROR), _error(one, BASELINE), *(percent(one.final.get(tag)) for tag in PROBES)]
        rows.append([*cells, "; ".join(map(one_line, one.failed)) or NONE])
    return table(header, rows) if rows else ""


def pretraining_sentences(results: ProofResults) -> str:
    """For each run: whether the pretext accuracy is above chance, and the reconstruction below its baseline."""
    lines = []
    for one in results.pretraining:
        said = [text for text in (_accuracy_told(one), _error_told(one)) if text]
        if said:
            lines.append(f"- {one.title}: {'; '.join(said)}.")
    if not lines:
        return ""
    return f"{capital(scale_name(results.scale))}, at the end, on held-out audio:\n\n" + "\n".join(lines)


def _accuracy_told(one: Pretraining) -> str:
    accuracy, chance = one.final.get(ACCURACY), one.final.get(CHANCE)
    if accuracy is None or chance is None:
        return ""
    if accuracy <= chance:
        return f"the pretext accuracy of {percent(accuracy)} % is **not above chance** ({percent(chance)} %)"
    times = f", {accuracy / chance:.1f} times it" if chance > 0 else ""
    return f"the pretext accuracy of {percent(accuracy)} % is above chance ({percent(chance)} %{times})"


def _error_told(one: Pretraining) -> str:
    error, baseline = one.final.get(ERROR), one.final.get(BASELINE)
    if error is None or baseline is None or baseline <= 0:
        return ""
    if error >= baseline:
        return f"the reconstruction error of {error:.3f} is **not below that of the mean patch** ({baseline:.3f})"
    below = 100 * (1 - error / baseline)
    return f"the reconstruction error of {error:.3f} is {below:.0f} % below that of the mean patch ({baseline:.3f})"


def _error(one: Pretraining, tag: str) -> str:
    return NONE if tag not in one.final else f"{one.final[tag]:.3f}"
