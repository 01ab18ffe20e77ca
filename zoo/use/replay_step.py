"""The step of a black box, built and run again as the training loop ran it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.batch import Batch, InputMaker
from zoo.errors import CheckpointError
from zoo.group import Group
from zoo.models.registry import build_model
from zoo.objectives.classification import ClassificationConfig
from zoo.precision import arithmetic, float32_products
from zoo.run.black_box import CHECKPOINT, BlackBox
from zoo.run.data import build_input_maker
from zoo.train.incident import Incident
from zoo.train.plan import Plan
from zoo.train.seeding import seed_step
from zoo.train.step import Stepper
from zoo.weights.loaded import Loaded


@dataclass(frozen=True)
class Outcome:
    """What came out of a step."""

    loss: float
    grad_norm: float
    """Before clipping."""
    is_finite: bool
    """As the training loop judges it: gradients of fp16 may overflow, for its scaler then scales them less."""


@dataclass(frozen=True)
class Step:
    """Everything of a step but its clips, so that it can be run with all of them, or with one."""

    model: nn.Module
    make_inputs: InputMaker
    objective: Any
    incident: Incident
    seed: int
    device: torch.device
    precision: Any

    def run(self, batches: Sequence[Batch]) -> Outcome:
        """Loss and gradient norm of these batches as the training loop takes its step, which here is left out. The
        gradients stay in the model."""
        incident, plan = self.incident, Plan(total_clips=1, seed=self.seed, precision=self.precision)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        idle = torch.optim.SGD(trained, lr=0.0, fused=True)
        stepper = Stepper(self.model, self.objective, self.make_inputs, idle, plan, torch.ones_like, self._group)
        with float32_products(self.precision, self.device):
            taken = stepper.take(batches, incident.epoch, incident.step - 1, 1.0)
        return Outcome(float(taken.loss), float(taken.grad_norm), not bool(taken.is_bad))

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(loss, scalars) of a batch, for whoever watches the modules on the way and the gradients on the way back.

        It draws what `run` draws.
        """
        seed_step(self.seed, self.incident.step - 1, self.incident.rank)
        inputs = self.make_inputs(batch.to(self.device), self.incident.epoch, True)
        with arithmetic(self.precision, self.device):
            loss, _, scalars = self.objective(self.model, inputs)
        return loss, scalars

    @property
    def _group(self) -> Group:
        """This process alone, drawing as the one of the incident did."""
        return Group(rank=self.incident.rank)

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
