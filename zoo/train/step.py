"""One step of the optimiser: nothing in it waits for the device, and however its batch is split, it does the same."""

import contextlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_

from zoo.data.batch import Batch, Inputs
from zoo.group import ALONE, Group
from zoo.precision import arithmetic
from zoo.train.gradient_norms import TAG, GradientNorms
from zoo.train.plan import Plan
from zoo.train.seeding import seed_step

Objective = Callable[[nn.Module, Inputs], tuple[Tensor, Tensor, dict[str, Tensor]]]
"""(model, inputs) -> (loss, count of what it is a mean over, scalars by tag), as in `zoo.objectives.objective`."""
MakeInputs = Callable[[Batch, int, bool], Inputs]
"""(batch, epoch, training) -> what the objective gets."""


@dataclass(frozen=True)
class Taken:
    """What came out of a step, on the device."""

    scalars: Sequence[dict[str, Tensor]]
    """Of each part of this process, with `loss/total`, `optim/grad_norm` and the norms of the model's parts."""
    shares: Sequence[Float[Tensor, ""]]
    """Of each part in the batch of all processes: they are weights for means."""
    loss: Float[Tensor, ""]
    """Of this process's parts."""
    grad_norm: Float[Tensor, ""]
    """Of the whole batch, before it is clipped."""
    is_bad: Bool[Tensor, ""]
    """Whether the loss or the gradient was not finite, in any process; an overflow of fp16 is none of these."""
    is_left_out: Bool[Tensor, ""]
    """Whether the optimiser did not step, for whichever reason."""


class Stepper:
    """Takes steps with a model, an objective and an optimiser.

    The loss of a batch is the mean over all that it counts (clips, or masked patches), in all parts and processes:
    every part is weighed by its count, so that neither `Plan.accumulate` nor the number of processes changes it.

    Args:
        model: on its device already. With several processes, its gradients are averaged by DistributedDataParallel.
        judge: whether a step is bad -> whether to leave it out.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        make_inputs: MakeInputs,
        optimiser: torch.optim.Optimizer,
        plan: Plan,
        judge: Callable[[Tensor], Tensor],
        group: Group = ALONE,
    ) -> None:
        self.device = next(model.parameters()).device
        self._norms = GradientNorms(model)
        self._trained = self._norms.parameters
        self._model: nn.Module = model
        if group.world > 1:
            self._model = _in_several_processes(model, self.device)
        self._objective = objective
        self._make_inputs = make_inputs
        self.optimiser = optimiser
        self._plan = plan
        self._judge = judge
        self._group = group
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=plan.precision == "fp16")
        for one in optimiser.param_groups:
            one.setdefault("initial_lr", one["lr"])  # torch's own name for the rate that a schedule scales

    def take(self, batches: Sequence[Batch], epoch: int, step: int, factor: float) -> Taken:
        """A step over all parts of a batch. `step` is how many were taken before; `factor` scales the learning rate."""
        for one in self.optimiser.param_groups:
            one["lr"] = one["initial_lr"] * factor
        self.optimiser.zero_grad(set_to_none=True)
        losses, counts, scalars = [], [], []
        reference = total = torch.ones((), device=self.device)
        for part, batch in enumerate(batches):
            seed_step(self._plan.seed, step, self._group.rank, part)
            inputs = self._make_inputs(batch.to(self.device), epoch, True)
            is_last = part == len(batches) - 1
            with contextlib.nullcontext() if is_last else self._unshared():
                with arithmetic(self._plan.precision, self.device):
                    loss, count, found = self._objective(self._model, inputs)
                of_all = self._group.sum(count)
                # Parts are first weighed against the first one, for the count of later ones is not known yet.
                reference = of_all.clamp(min=1) if part == 0 else reference
                total = of_all if part == 0 else total + of_all
                weight = count / reference * self._group.world  # gradients are averaged over processes, not summed
                self.scaler.scale(loss * weight).backward()
            losses.append(loss.detach())
            counts.append(count)
            scalars.append(found)
        total = total.clamp(min=1)
        self.scaler.unscale_(self.optimiser)
        gradients = [parameter.grad for parameter in self._trained if parameter.grad is not None]
        if len(batches) > 1:
            torch._foreach_mul_(gradients, reference / total)
        grad_norm, of_parts = self._norms.measure()
        if self._plan.grad_clip is not None:
            clip_grads_with_norm_(self._trained, self._plan.grad_clip, grad_norm)
        loss, is_bad, is_left_out = self._step(losses, grad_norm)
        shares = [count / total for count in counts]
        tagged = [
            {"loss/total": one, **found, TAG: grad_norm, **of_parts} for one, found in zip(losses, scalars, strict=True)
        ]
        return Taken(tagged, shares, loss, grad_norm, is_bad, is_left_out)

    def _step(self, losses: Sequence[Tensor], grad_norm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lets the optimiser step, unless something is not finite. Returns the loss, whether the step was bad, and
        whether it was left out."""
        loss = torch.stack([one.float() for one in losses]).mean()
        is_finite = loss.isfinite() & (self._group.sum((~loss.isfinite()).float()) == 0)
        # The gradients of fp16 overflow now and then; the scaler then scales them less. That is no bad step, unless
        # they would not be finite unscaled either.
        can_overflow = self.scaler.is_enabled() & (self.scaler.scale(torch.ones_like(loss)) >= 1)
        is_bad = ~is_finite | (~grad_norm.isfinite() & ~can_overflow)
        leave_out = self._judge(is_bad) | ~grad_norm.isfinite()
        # Fused optimisers leave a step out by themselves when this is 1, so that nobody has to wait and look.
        self.optimiser.found_inf = leave_out.float()  # type: ignore[attr-defined]
        self.optimiser.step()
        self.scaler.update()
        return loss, is_bad, leave_out

    def _unshared(self) -> contextlib.AbstractContextManager[Any]:
        """Within, gradients stay in this process: they are exchanged once a step."""
        model = self._model
        return model.no_sync() if isinstance(model, DistributedDataParallel) else contextlib.nullcontext()


def _in_several_processes(model: nn.Module, device: torch.device) -> DistributedDataParallel:
    # No buffer of a model changes in training; releases of torch differ in how that is said.
    names = inspect.signature(DistributedDataParallel).parameters
    unchanged: dict[str, Any] = {
        "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False
    }
    # The gradient of a token (1, 1, D) has other strides on its axes of length 1, where they mean nothing.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    devices = [device.index] if device.type == "cuda" else None
    # A view saves a copy of all gradients.
    return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True, **unchanged)
