"""The sections of a recipe that steer a run as a whole. All others lie beside the class they build."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from zoo.config import Config
from zoo.data.windows import LongClips, MaxSeconds, Overlap
from zoo.recipe.probing import ProbeConfig
from zoo.train.averaging import AverageConfig, NoAverageConfig
from zoo.weights.adapt import AdaptConfig

BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Clips = Annotated[int, Field(ge=1, le=10**12)]

Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "mAP",
    "auc",
    "precision",
    "recall",
    "f1",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "loss",
]
"""What decides which checkpoint is best. Not d', which may be endless: it is a function of `auc`."""


class InitConfig(AdaptConfig):
    """What the weights start from, and how they are brought to the model's geometry."""

    path: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")
    """`from` in the recipe: a run folder, a checkpoint folder, a file of any known format, or a name that
    `zoo checkpoints` lists; null starts from fresh weights."""
    front_end: Literal["same", "any"] = "same"
    """`same`: refuse weights that were trained behind another front end (mean, std and band count may differ).
    `any`: take them all the same, as a comparison behind one front end does."""
    own: dict[str, Any] = Field(default_factory=dict)
    """Fields of the checkpoint's own model that its tensors do not tell: `{kind: ssast}`, `{num_heads: 4}`, ..."""


class TrainConfig(Config):
    """How long, in what batches, and on what."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Passes over the training clips. Exactly one of epochs, clips and steps is set."""
    clips: Clips | None = None
    """Clips seen, with repetition."""
    steps: Annotated[int, Field(ge=1, le=10**10)] | None = None
    """Steps of the optimiser."""
    batch_size: BatchSize = 32
    """Clips per step, of all parts and processes together: what a step sees depends on neither of them."""
    accumulate: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Parts into which every process divides its clips of a step, one forward and backward pass each: less memory for
    the same step."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """Of the model's arithmetic; weights stay fp32, and so do losses, norms and log-mels. auto: bf16 on a GPU that has
    it, else fp32. fp16 scales the loss so that small gradients do not vanish."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU when there is one."""
    compile: bool = False
    """torch.compile: faster steps after a minute or two of compiling."""
    activation_checkpointing: bool = False
    """Compute every layer again in the backward pass instead of keeping what it needs: far less memory, a third more
    work, the same numbers."""
    average: AverageConfig = NoAverageConfig()
    """Of the weights over the run: what is evaluated and kept as `checkpoints/average`. none, ema, epochs or swa."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What to do when a loss or gradient is not finite. In both cases the step is not taken, and its clips and the
    weights are written to the run's black_box folder. skip goes on, unless it comes to 20 such steps in a row."""

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        given = [name for name in ("epochs", "clips", "steps") if getattr(self, name) is not None]
        if not given:
            raise ValueError("no length - expected exactly one of epochs, clips, steps - set one")
        if len(given) > 1:
            raise ValueError(f"{given[-1]}: found beside {' and '.join(given[:-1])} - expected exactly one - keep one")
        return self

    @property
    def total_clips(self) -> int | None:
        """Clips seen in the run; None when that depends on the size of the data."""
        return self.clips if self.steps is None else self.steps * self.batch_size


class EvaluateConfig(Config):
    """How often the evaluation clips are looked at, and what decides which checkpoint is best."""

    every_epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Evaluate after so many epochs. With neither of the two set: at the end only."""
    every_clips: Clips | None = None
    """Evaluate whenever so many more clips were seen."""
    metric: Metric | None = None
    """Decides which checkpoint is best; null: accuracy for single-label, mAP for multi-label, loss for masked-patch."""
    select: Literal["last", "best"] = "last"
    """The weights that the run is judged by, and that `zoo.load(RUN)` gives. `last`: those at the end, or their average
    where the run keeps one. `best`: those that were best on the watched clips, by `metric`. Without `data.test` they
    are judged on the very clips that they were chosen by, which flatters, and the result says so."""
    batch_size: BatchSize = 32
    """Clips of the model's length per batch: speed and memory. Shorter ones make larger batches. No metric depends on
    it, but for rounding."""
    long_clips: LongClips | None = None
    """What of a clip longer than the model is looked at. `windows`: all of it, in windows of the model's length whose
    answers are averaged. `whole`: all of it at once, with the positions stretched over it. `beginning`: as much as the
    model takes. null: windows for a classifier, whose answer is about the clip; beginning for masked-patch, whose loss
    is about patches, of which the beginning has enough, and recordings may be hours long."""
    patience: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Early stopping: the run ends after so many evaluations in a row without a better metric. null: it never does."""
    overlap: Overlap = 0.5
    """Of windows: the share that the next one repeats."""
    max_seconds: MaxSeconds = 60.0
    """Of `whole`: longer clips are cut into windows of this length, so that memory is bounded."""
    probe: ProbeConfig | None = None
    """In pretraining: what the frozen features are worth to a kNN and a linear probe on labelled clips, as
    `eval/probe_knn` and `eval/probe_linear`; null: not asked."""

    @model_validator(mode="after")
    def _one_interval(self) -> "EvaluateConfig":
        if self.every_epochs is not None and self.every_clips is not None:
            raise ValueError("every_clips: found beside every_epochs - expected at most one - keep one")
        return self


class LogConfig(Config):
    """What is written while training."""

    every_clips: Clips = 1_000
    """Clips seen between two lines of metrics.jsonl (and points in TensorBoard)."""
    images: Annotated[int, Field(ge=0, le=64)] = 4
    """Clips of a kind (the first, the hardest) that are drawn at every evaluation, and played; 0 shows numbers and
    texts alone. docs/tensorboard.md has all there is to see."""
    checkpoint_minutes: Annotated[float, Field(gt=0, le=100_000)] = 15.0
    """Minutes between two checkpoints; there is one at every evaluation and at the end in any case."""
    keep_last: Annotated[int, Field(ge=1, le=1_000)] = 2
    """Checkpoints that a run could be resumed from: `last`, `previous`, `previous-2`, … Only the newest is needed;
    older ones are for when it is damaged."""
