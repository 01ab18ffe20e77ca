"""The model step alone: forward, loss, backward and fused AdamW on fixed log-mels, in a process of its own."""

import gc
from typing import Any

import torch

from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.precision import Precision, arithmetic, dtype_of, float32_products
from zoo.train.optim import AdamWConfig
from zoo.train.rate import matmul_rate
from zoo.use.bench.usage import peak_memory_mib, resident_mib
from zoo.use.bench.ways import Way, config_of, example_targets, make_way


class Step:
    """One step of training a way, with all that it needs on the device."""

    def __init__(self, made: Way, config: Any, precision: Precision, device: str, compiled: bool) -> None:
        self.device = torch.device(device)
        self.config = config
        self._precision = precision
        self._model, self._loss = made.model.to(self.device), made.loss
        if compiled:
            made.compiled.compile()
        self._optimiser = AdamWConfig(lr=1e-4).build(self._model)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")

    def __call__(self, inputs: Inputs) -> None:
        """The inputs lie on the device. Does not wait for it."""
        self._optimiser.zero_grad(set_to_none=True)
        with float32_products(self._precision, self.device):  # of the backward pass too
            with arithmetic(self._precision, self.device):
                loss = self._loss(self._model, inputs)
            self._scaler.scale(loss).backward()
        self._scaler.step(self._optimiser)
        self._scaler.update()


def synchronise(device: torch.device) -> None:
    """Waits until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class ModelStep:
    """`Work` and `Turns` of `zoo.use.bench.contender`: `steps` steps a round, on the same clips with new draws.

    way: what `make` takes, here the words of `zoo.use.bench.ways`.
    """

    num_workers = 0

    def __init__(
        self, batch: int, steps: int, precision: Precision, device: str, compiled: bool = False, **way: Any
    ) -> None:
        place = torch.device(device)
        with float32_products(precision, place):
            self.matmul = matmul_rate(place, dtype_of(precision)) / 1e12
        torch.manual_seed(0)
        self.step = Step(*self.make(**way), precision, device, compiled)
        config = self.step.config
        generator = torch.Generator().manual_seed(0)
        log_mel = 0.5 * torch.randn(batch, config.n_mels, config.n_frames, generator=generator)
        self.log_mel, self.target = log_mel.to(place), example_targets(batch).to(place)
        self._ids = torch.arange(batch, device=place)
        self._count, self.batch, self.steps = 0, batch, steps
        self._resident = resident_mib()
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)

    @staticmethod
    def make(**way: Any) -> tuple[Way, Any]:
        """What is trained, and the config that says how large its clips are."""
        return make_way(**way), config_of(**way)

    def one(self) -> None:
        """One step of the fixed clips."""
        self._count += 1
        self.step(Inputs(self.log_mel, None, self.target, clip_keys(0, self._count, self._ids), ()))

    def begin_turn(self) -> None:
        if self.step.device.type == "cuda":
            self.one()  # asks for the memory that `end_turn` gave back
            synchronise(self.step.device)

    def run(self) -> int:
        for _ in range(self.steps):
            self.one()
        synchronise(self.step.device)
        return self.steps * self.batch

    def end_turn(self) -> None:
        if self.step.device.type == "cuda":  # all contenders are alive: one at a time has the device's memory
            gc.collect()
            torch.cuda.empty_cache()

    def facts(self) -> dict[str, Any]:
        """`peak_mib`: the most that tensors took on a GPU; on a CPU what the process grew by from its first step on."""
        device = self.step.device
        if device.type == "cuda":
            peak: float | None = torch.cuda.max_memory_allocated(device) / 2**20
        else:
            highest = peak_memory_mib(0)
            peak = None if highest is None or self._resident is None else highest - self._resident
        return {"matmul_tflops": self.matmul, "step_mib": peak, "waiting_share": None}

    def stages(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass
