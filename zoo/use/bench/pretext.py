"""`zoo bench pretext`: training steps of SSAST's pretext task in each way that the zoo has, and in the released one."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from zoo import provenance
from zoo.errors import DataError
from zoo.models.cost import build_on_meta, training_flops_per_clip
from zoo.models.registry import ModelConfig, build_model, preset_config
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.use.bench.contender import Contender, race, ratio
from zoo.use.bench.precision import pick_precision
from zoo.use.bench.released_ssast import ReleasedSsast
from zoo.use.bench.speed import Done, Progress, conditions
from zoo.use.bench.steps import ModelStep
from zoo.use.bench.ways import Way

FORMS = ("patch", "frame")
RELEASED = "released"
_SHARE = (400, 512)  # of SSAST: 400 of the 512 patches of 10 s
_DEFAULTS: dict[str, dict[str, Any]] = {
    "cpu": {"size": "tiny", "batch": 4, "n_frames": 192, "steps": 1, "rounds": 3},
    "cuda": {"size": "base", "batch": 32, "n_frames": 1024, "steps": 20, "rounds": 5},
}


def ways(masks: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """By name: what a way is, and how its config differs from the preset."""
    several = {"masks_per_clip": masks}
    found: dict[str, tuple[str, dict[str, Any]]] = {
        RELEASED: ("the released way: two masks and two passes, clip by clip", {"separate_masks": True}),
        "two-pass": ("the released losses, of all clips at once", {"separate_masks": True}),
        "one-pass": ("one mask and one pass for both losses, the default", {}),
        f"one-pass, {masks} masks": ("several masks of every clip, which is embedded once", several),
        "visible": ("masked patches are left out of the encoder, and a light decoder guesses", {"encode": "visible"}),
        f"visible, {masks} masks": ("the two together", {"encode": "visible", **several}),
    }
    return {name: way for name, way in found.items() if masks > 1 or "masks_per_clip" not in way[1]}


def bench_pretext(
    forms: Sequence[str],
    *,
    size: str | None,
    batch: int | None,
    n_frames: int | None,
    masks: int,
    steps: int | None,
    precision: str,
    compiled: bool,
    device: str,
    threads: int,
    rounds: int | None,
    on_progress: Progress,
) -> dict[str, Any]:
    """A row for each form, with the numbers of every way, all of the same clips on the same device in one run.

    `ratios` say how many times as many clips a way takes as the released one; `ratios_per_core` the same by processor
    time. `masks_per_second` counts a clip as often as it is masked. A step is forward, losses, backward and AdamW.

    Args:
        size, batch, n_frames, steps, rounds: None: what takes less than a minute on a CPU, or what suits a GPU.
        masks: of the ways that have several; 1 leaves them out.

    Raises: DataError for an unknown form; RecipeError for a precision that cannot be; ShapeError for clips too short.
    """
    if not forms or len(set(forms)) < len(forms) or not set(forms) <= set(FORMS):
        raise DataError(f"FORM: {', '.join(forms) or 'none'} - expected patch, frame or both, each once - choose them")
    target = provenance.pick_device(device)
    usual = _DEFAULTS[target.type]
    frames, chosen_rounds = n_frames or usual["n_frames"], rounds or usual["rounds"]
    options: dict[str, Any] = {
        "batch": batch or usual["batch"],
        "steps": steps or usual["steps"],
        "precision": pick_precision(precision, target),
        "device": target.type,
        "compiled": compiled,
    }
    named: dict[str, Any] = {"size": size or usual["size"], "n_frames": frames, "masks": masks}
    for form in forms:
        for name in ways(masks):  # before anything is started
            build_on_meta(config_of(form, name, **named), pretraining=True)
    done = Done(chosen_rounds * len(forms) * len(ways(masks)), on_progress)
    rows = [_row(form, named, _race(form, named, options, threads, chosen_rounds, done)) for form in forms]
    yardstick = max(way["matmul_tflops"] for row in rows for way in row["ways"].values())
    for row in rows:
        for way in row["ways"].values():
            way["utilisation"] = way["tflops"] / yardstick
    return {
        "what": "pretext",
        **named,
        **{key: options[key] for key in ("batch", "steps", "precision", "compiled")},
        "matmul_tflops": yardstick,
        **conditions(target.type, threads, chosen_rounds),
        "described": {name: text for name, (text, _) in ways(masks).items()},
        "rows": rows,
    }


def config_of(form: str, way: str, size: str, n_frames: int, masks: int) -> ModelConfig:
    """The preset at this length, with the published share of its patches masked."""
    preset: Any = preset_config(f"ssast-{form}-{size}", n_frames=n_frames)
    num_masked = max(1, preset.grid.num_patches * _SHARE[0] // _SHARE[1])
    return preset_config(f"ssast-{form}-{size}", n_frames=n_frames, num_masked=num_masked, **ways(masks)[way][1])


class PretextStep(ModelStep):
    """The same work of every way: `steps` steps a round."""

    @staticmethod
    def make(**way: Any) -> tuple[Way, Any]:
        """Takes what `config_of` does."""
        config = config_of(**way)
        model: Any = build_model(config, pretraining=True).train()
        if way["way"] == RELEASED:
            return Way(ReleasedSsast(model).train(), lambda made, inputs: made(inputs.log_mel), model.backbone), config
        objective = MaskedPatchConfig().build()
        return Way(model, lambda made, inputs: objective(made, inputs)[0], model), config


def _race(
    form: str, named: dict[str, Any], options: dict[str, Any], threads: int, rounds: int, done: Done
) -> dict[str, dict[str, Any]]:
    with ExitStack() as stack:
        contenders = {}
        for way in ways(named["masks"]):
            contenders[way] = Contender(PretextStep, {**options, **named, "form": form, "way": way}, threads)
            stack.callback(contenders[way].close)
        found = race(contenders, rounds, done.count)
        return {way: {**found[way], **contender.facts()} for way, contender in contenders.items()}


def _row(form: str, named: dict[str, Any], found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {way: config_of(form, way, **named) for way in found}
    numbers = {}
    for way, one in found.items():
        config = described[way]
        flops = training_flops_per_clip(build_on_meta(config, pretraining=True))
        rate = one["clips_per_second"]
        numbers[way] = {
            **one,
            "masks_per_second": rate * config.masks_per_clip,
            "flops_per_clip": flops,
            "tflops": flops * rate / 1e12,
        }
    config = described[RELEASED]
    keys = {"ratios": "clips_per_second", "ratios_per_core": "clips_per_core_second"}
    return {
        "form": form,
        "patches": config.grid.num_patches,
        "masked": int(config.num_masked),
        "ways": numbers,
        **{
            name: {way: ratio(one, numbers[RELEASED], key) for way, one in numbers.items() if way != RELEASED}
            for name, key in keys.items()
        },
    }
