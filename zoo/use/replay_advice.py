"""What to do about a step that was not finite, from what its replay found."""

from typing import Any

_INPUTS = ("waveform", "partners", "stored log-mel", "log-mel")
_SHOWN = 5


def advise(report: dict[str, Any]) -> list[str]:
    """One line for each thing to do, the likeliest first."""
    if report["weights_not_finite"]:
        return [
            f"{len(report['weights_not_finite'])} tensors of the weights were not finite before the step: no clip is "
            "to blame; go on from an earlier checkpoint, with a lower optim.lr"
        ]
    if not report["reproduced"]:
        return _not_reproduced(report)
    worst, bad = report["worst"], report["not_finite_clips"]
    if not bad:
        return [
            "every clip alone is finite: they are too much together, or in what is drawn for a whole batch (dropout); "
            "lower optim.lr, set optim.grad_clip, or take train.precision=fp32"
        ]
    first = worst["first_not_finite"]
    named = ", ".join(bad[:_SHOWN]) + (f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else "")
    advice = []
    if first is not None and first.startswith(_INPUTS):
        advice.append(
            f"leave {named} out (its row of the manifest, or the file), or repair it: its samples are no sound"
        )
        if worst["finite_without_augmentation"]:
            advice.append(
                "as it is, the clip is finite: augment makes it so (gain_db, noise_snr_db, mixing); tame that"
            )
        return advice
    if not worst["finite_in_fp32"]:
        several = len(bad) > 1 and len(bad) > len(report["clips"]) / 2
        if several:
            advice.append(
                f"{len(bad)} clips alone are not finite, so it is the weights: lower optim.lr, or warm up longer"
            )
        else:
            advice.append(f"listen to {named}, and leave it out if it is no sound")
    else:
        advice.append(f"in fp32 it is finite, in {report['precision']} not: set train.precision=fp32, or bf16 for fp16")
    if first is None:  # the loss is finite, its gradient is not
        advice.append(
            "clipping cannot help a gradient that is not finite: lower optim.lr, so that it does not get there"
        )
    else:
        advice.append("lower optim.lr, and set optim.grad_clip (1.0 is usual), so that the weights do not get there")
    return advice


def _not_reproduced(report: dict[str, Any]) -> list[str]:
    advice = []
    if not report["exact"]:
        advice.append(
            "the weights in the box are some steps later than those of the step (a GPU had gone on): "
            "train.on_nonfinite=stop keeps the exact ones"
        )
    if report["world"] > 1:
        advice.append("the bad clip may be another process's: replay the boxes of the other ranks")
    if report["device"] != report["device_then"]:
        advice.append(f"the run was on {report['device_then']}: replay it there")
    return advice or [
        "the same step is finite now: the sums of a device may come in another order; or another version of the code "
        "or of torch made it (both are in report.json)"
    ]
