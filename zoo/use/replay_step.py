"""The step of a black box, built and run again as the training loop ran it."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from zoo.data.batch import Batch, InputMaker, Inputs
from zoo.errors import CheckpointError
from zoo.models.registry import build_model
from zoo.objectives.classification import ClassificationConfig
from zoo.run.black_box import CHECKPOINT, BlackBox
from zoo.run.data import build_input_maker
from zoo.train.incident import Incident
from zoo.train.seeding import seed_step
from zoo.weights.loaded import Loaded

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Outcome:
    """What came out of a step."""

    loss: float
    grad_norm: float
    """Before clipping."""

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True)
class Step:
    """Everything of a step but its clips, so that it can be run with all of them, or with one."""

    model: nn.Module
    make_inputs: InputMaker
    objective: Any
    incident: Incident
    seed: int
    device: torch.device
    precision: str

    def inputs(self, batch: Batch) -> Inputs:
        """Log-mels under the augmentation of the step's epoch."""
        return self.make_inputs(batch.to(self.device), self.incident.epoch, True)

    def forward(self, batch: Batch, micro: int = 0) -> tuple[Tensor, float, dict[str, Tensor]]:
        """(loss, how much it is a mean over, scalars) of one batch; draws what the training loop drew."""
        seed_step(self.seed, self.incident.step - 1, self.incident.rank, micro)
        with torch.autocast(
            self.device.type, _HALF.get(self.precision, torch.bfloat16), enabled=self.precision in _HALF
        ):
            loss, *count, scalars = self.objective(self.model, self.inputs(batch))
        return loss, float(count[0]) if count else float(len(batch)), scalars

    def run(self, batches: Sequence[Batch]) -> Outcome:
        """Loss and gradient norm of the batches together; the gradients stay in the model."""
        self.model.zero_grad(set_to_none=True)
        total, weight = 0.0, 0.0
        with matrix_products(self.precision):
            for micro, batch in enumerate(batches):
                loss, count, _ = self.forward(batch, micro)
                share = count if len(batches) > 1 else 1.0
                (loss * (share * self.incident.loss_scale)).backward()
                total, weight = total + float(loss.detach()) * share, weight + share
        return Outcome(total / weight, self.grad_norm() / weight)

    def grad_norm(self) -> float:
        """Of the gradients that are there."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        return float(get_total_norm(gradients)) / self.incident.loss_scale if gradients else 0.0

    def without_augmentation(self) -> "Step":
        """The same step on the clips as they are."""
        make_inputs = InputMaker(
            self.make_inputs.front_end, None, self.seed, self.make_inputs.padding, self.make_inputs.n_frames
        )
        return replace(self, make_inputs=make_inputs)

    def in_fp32(self) -> "Step":
        """The same step in full precision."""
        return replace(self, precision="fp32")


def rebuild(box: BlackBox, device: torch.device) -> Step:
    """Model, front end, augmentation and objective of a black box, on a device.

    Raises:
        CheckpointError: the weights are not those of the model that the checkpoint's config describes.
    """
    recipe = box.recipe
    loaded = Loaded(box.folder / CHECKPOINT, box.config, box.state)
    model = build_model(loaded.model_config, pretraining=loaded.pretraining)
    try:
        model.load_state_dict(box.state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{loaded.path}: found other tensors than the model has ({' '.join(str(error).split())[:200]}) - expected "
            "those of its config.json - take an undamaged copy"
        ) from None
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in box.frozen)
    if isinstance(recipe.objective, ClassificationConfig):
        objective = recipe.objective.build(recipe.data.task, box.class_weights)
    else:
        objective = recipe.objective.build(recipe.data.task)
    return Step(
        model.to(device).train(),
        build_input_maker(recipe, loaded.model_config, device),
        objective,
        box.incident,
        recipe.seed,
        device,
        box.incident.precision,
    )


@contextlib.contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """On a GPU, those of fp32 numbers in TF32 within, where `precision` is tf32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
