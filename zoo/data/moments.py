"""Mean and deviation of every mel band, as numbers that are joined exactly: batch by batch, in any number of parts."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Of so many frames: the mean of every band, and the sum of the squared distances from it; float64."""

    count: int
    mean: Float64[Tensor, "mel"]
    squares: Float64[Tensor, "mel"]

    @classmethod
    def none(cls, n_mels: int) -> "Moments":
        """Of no frames."""
        return cls(0, torch.zeros(n_mels, dtype=torch.float64), torch.zeros(n_mels, dtype=torch.float64))

    @classmethod
    def of(cls, log_mel: Tensor, is_counted: Bool[Tensor, "batch frame"]) -> "Moments":
        """Of the frames of a batch (B, M, T) that are counted. Two passes, on the device that the batch is on."""
        frames = log_mel.as_subclass(Tensor).transpose(1, 2)[is_counted].double()  # (N, M)
        if frames.shape[0] == 0:
            return cls.none(log_mel.shape[1])
        mean = frames.mean(0)
        return cls(frames.shape[0], mean.cpu(), (frames - mean).square().sum(0).cpu())

    def joined(self, other: "Moments") -> "Moments":
        """Of both together (Chan, Golub and LeVeque 1979): no large sums are subtracted from each other."""
        count = self.count + other.count
        if count == 0:
            return self
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        squares = self.squares + other.squares + apart.square() * (self.count * other.count / count)
        return Moments(count, mean, squares)

    def overall(self) -> tuple[float, float]:
        """Mean and deviation over all bands and frames; the deviation is that of the whole, divided by its count."""
        mean = self.mean.mean()
        within = self.squares.sum() + self.count * (self.mean - mean).square().sum()
        return float(mean), float((within / max(1, self.count * len(self.mean))).sqrt())

    def by_band(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of every band."""
        return self.mean.tolist(), (self.squares / max(1, self.count)).sqrt().tolist()
