"""What one clip goes through in a step, stage by stage: the range of each, and where it first is not finite."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.batch import Batch
from zoo.precision import float32_products
from zoo.run.black_box import as_text
from zoo.use.replay_step import Step


@dataclass(frozen=True)
class Stage:
    """The numbers of one stage. Range and largest are those of its finite numbers; None where there are none."""

    name: str
    shape: tuple[int, ...]
    lowest: float | None
    highest: float | None
    num_nan: int
    num_inf: int
    is_shown: bool = True
    """False inside a layer of many: it only tells more exactly where."""

    @property
    def is_finite(self) -> bool:
        return self.num_nan == 0 and self.num_inf == 0

    def as_report(self) -> dict[str, Any]:
        """For JSON."""
        known = [abs(value) for value in (self.lowest, self.highest) if value is not None]
        return {
            "stage": self.name,
            "shape": list(self.shape),
            "min": self.lowest,
            "max": self.highest,
            "abs_max": max(known) if known else None,
            "nan": self.num_nan,
            "inf": self.num_inf,
        }


@dataclass
class Trace:
    """All stages in the order in which they were reached."""

    stages: list[Stage] = field(default_factory=list)
    gradients: dict[str, float] = field(default_factory=dict)
    """Norm of each parameter's gradient, in the order in which the backward pass reached them."""

    @property
    def first(self) -> Stage | None:
        """The first stage of the way to the loss that is not finite."""
        return next((stage for stage in self.stages if stage.is_shown and not stage.is_finite), None)

    def as_report(self) -> dict[str, Any]:
        """For JSON."""
        exactly = next((stage.name for stage in self.stages if not stage.is_finite), None)
        bad = [name for name, norm in self.gradients.items() if not math.isfinite(norm)]
        largest = max(self.gradients, key=lambda name: _as_rank(self.gradients[name]), default=None)
        return {
            "stages": [stage.as_report() for stage in self.stages if stage.is_shown],
            "first_not_finite": None if self.first is None else self.first.name,
            "first_module": exactly,
            "gradients": {
                "not_finite": len(bad),
                "first_not_finite": bad[0] if bad else None,
                "largest": largest,
                "largest_norm": None if largest is None else as_text(self.gradients[largest]),
            },
        }


def trace(step: Step, batch: Batch) -> Trace:
    """Runs a step on these clips, as a rule on one, and watches."""
    found = Trace()
    _add(found, "waveform" if batch.waveform is not None else "stored log-mel", batch.waveform, batch.log_mel)
    if batch.partners is not None:
        _add(found, "partners", batch.partners.waveform, batch.partners.log_mel)
    step.model.zero_grad(set_to_none=True)
    with float32_products(step.precision, step.device):
        with _watched(step, found):
            loss, scalars = step.forward(batch)
        for tag, value in scalars.items():
            if tag.startswith("loss/"):
                _add(found, tag, value)
        _add(found, "loss", loss)
        with _gradients_in_order(step.model, found):
            loss.backward()
    step.model.zero_grad(set_to_none=True)
    return found


@contextlib.contextmanager
def _watched(step: Step, found: Trace) -> Iterator[None]:
    """Adds what front end, augmentation and every module of the model give."""
    make_inputs, model = step.make_inputs, step.model
    handles = []
    if make_inputs.augment is not None and make_inputs.augment.config.needs_waveform:
        handles.append(
            make_inputs.front_end.register_forward_pre_hook(
                lambda _, given: _add(found, "waveform, augmented", given[0])
            )
        )
    handles.append(make_inputs.front_end.register_forward_hook(lambda _, given, out: _add(found, "log-mel", out)))
    # The model's own input: after augmentation, and for stored log-mels after normalising.
    handles.append(
        model.register_forward_pre_hook(lambda _, given: _add(found, "log-mel as the model sees it", given[0]))
    )
    many = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    for name, module in model.named_modules():
        if name and name not in many:
            inside = any(name.startswith(f"{one}.") and "." in name[len(one) + 1 :] for one in many)
            handles.append(module.register_forward_hook(_adding(found, name, is_shown=not inside)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _adding(found: Trace, name: str, is_shown: bool) -> Any:
    """A hook for one module."""

    def add(module: nn.Module, given: Any, out: Any) -> None:
        _add(found, name, *_tensors_in(out), is_shown=is_shown)

    return add


@contextlib.contextmanager
def _gradients_in_order(model: nn.Module, found: Trace) -> Iterator[None]:
    def noting(name: str) -> Any:
        def note(parameter: Tensor) -> None:
            assert parameter.grad is not None
            found.gradients[name] = float(parameter.grad.norm())

        return note

    handles = [
        parameter.register_post_accumulate_grad_hook(noting(name))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _add(found: Trace, name: str, *tensors: Tensor | None, is_shown: bool = True) -> None:
    """One stage of all the numbers in these tensors; nothing where there are none."""
    parts = [tensor.detach().as_subclass(Tensor) for tensor in tensors if tensor is not None]
    parts = [part for part in parts if part.is_floating_point()]
    if not parts:
        return
    numbers = torch.cat([part.float().flatten() for part in parts])
    finite = numbers[numbers.isfinite()]
    found.stages.append(
        Stage(
            name,
            tuple(parts[0].shape),
            float(finite.min()) if finite.numel() else None,
            float(finite.max()) if finite.numel() else None,
            int(numbers.isnan().sum()),
            int(numbers.isinf().sum()),
            is_shown,
        )
    )


def _tensors_in(value: Any) -> list[Tensor]:
    """The tensors in what a module gave: one, or tuples of them."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [tensor for part in value for tensor in _tensors_in(part)]
    return []


def _as_rank(norm: float) -> float:
    """NaN above everything."""
    return math.inf if math.isnan(norm) else norm
