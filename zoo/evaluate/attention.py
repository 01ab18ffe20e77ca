"""How much a frozen model's tokens say to something that may choose among them: an attentive probe.

A mean over tokens hides what few of them know, as in models that were trained to reconstruct patches. Here a learned
query looks at the tokens first, and a linear classifier sees what it finds: the probe of CAE (Chen et al. 2024) and
V-JEPA (Bardes et al. 2024), without their perceptron, and with the projection of keys folded into the query and that of
values into the classifier, where they make no other function of one query.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.labels import Task
from zoo.draws import clip_keys, combine, stable_id, uniform
from zoo.errors import DataError, ZooError

_PURPOSE = stable_id("attentive probe")


@dataclass(frozen=True)
class AttentionConfig:
    """How the probe is trained. The same seed gives the same numbers, bit for bit on a CPU with as many threads."""

    heads: int = 8
    """Queries, each with a softmax of its own."""
    steps: int = 600
    epochs: int = 10
    """It is trained for so many steps or epochs, whichever is more: a few hundred clips need many rounds."""
    batch_size: int = 64
    lr: float = 1e-2
    """Of AdamW at its highest: it falls to 0 along a half cosine."""
    weight_decay: float = 0.1
    seed: int = 0


class AttentiveProbe(nn.Module):
    """(B, N, D) tokens to (B, C) logits: softmax(q x) x of every head, then a linear map of them all.

    x is a token standardised by `mean` and `deviation`. It starts as a linear classifier of zeros on about the mean of
    the tokens.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        mean: Float[Tensor, "embed"],
        deviation: Float[Tensor, "embed"],
        num_classes: int,
        heads: int,
        seed: int = 0,
    ) -> None:
        super().__init__()
        embed_dim = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        keys = clip_keys(combine(seed, _PURPOSE), 0, torch.arange(heads))
        self.query = nn.Parameter(0.1 * (2 * uniform(keys, "query", embed_dim) - 1))  # (H, D)
        self.linear = nn.utils.skip_init(nn.Linear, heads * embed_dim, num_classes)  # it would draw numbers
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch cls"]:
        # Standardised are the query and what it finds, not the many tokens: a softmax does not see their mean.
        query = self.query / self.deviation * tokens.shape[2] ** -0.5
        likeness = tokens @ query.T  # (B, N, H)
        weights = likeness.masked_fill(is_padded[:, :, None], -torch.inf).softmax(dim=1)
        found = (weights.mT @ tokens - self.mean) / self.deviation  # (B, H, D)
        return self.linear(found.flatten(1))


def attentive_scores(
    train_tokens: Num[Tensor, "n token embed"],
    train_is_padded: Bool[Tensor, "n token"],
    train_targets: Num[Tensor, "n cls"],
    eval_tokens: Num[Tensor, "m token2 embed"],
    eval_is_padded: Bool[Tensor, "m token2"],
    task: Task = "single-label",
    config: AttentionConfig | None = None,
) -> Float[Tensor, "m cls"]:
    """Logits of the evaluation clips from a probe that was trained on the training clips, in float32.

    Tokens are standardised by the mean and deviation of the real training tokens. They may come in half precision: a
    batch at a time is widened.

    Raises: ZooError - tokens that are not finite. DataError - fewer than two classes in the training set.
    """
    config = config or AttentionConfig()
    if task == "single-label" and int((train_targets.sum(dim=0) > 0).sum()) < 2:
        raise DataError("probe: found fewer than two classes in the training clips - expected two - add clips")
    mean, deviation = _moments(train_tokens, train_is_padded)
    if not bool(mean.isfinite().all() & deviation.isfinite().all()):
        raise ZooError("probe: found tokens that are not finite - expected finite numbers - did training diverge?")
    probe = AttentiveProbe(mean, deviation, train_targets.shape[1], config.heads, config.seed)
    probe.to(train_tokens.device)
    targets = train_targets.float()
    steps_per_epoch = -(-len(targets) // config.batch_size)
    optimiser = torch.optim.AdamW(probe.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    epochs = max(config.epochs, -(-config.steps // steps_per_epoch))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps_per_epoch)
    with torch.enable_grad():
        for epoch in range(epochs):
            for rows in _order(len(targets), epoch, config.seed).to(targets.device).split(config.batch_size):
                logits = probe(train_tokens[rows].float(), train_is_padded[rows])
                loss = (
                    F.cross_entropy(logits, targets[rows])
                    if task == "single-label"
                    else F.binary_cross_entropy_with_logits(logits, targets[rows], reduction="sum") / len(rows)
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    with torch.no_grad():
        few = zip(eval_tokens.split(256), eval_is_padded.split(256), strict=True)
        return torch.cat([probe(tokens.float(), is_padded) for tokens, is_padded in few])


def _order(count: int, epoch: int, seed: int) -> Int[Tensor, "{count}"]:
    """The clips in the order of an epoch."""
    keys = clip_keys(combine(seed, _PURPOSE), 1 + epoch, torch.arange(count))
    return uniform(keys, "order", 1)[:, 0].argsort(stable=True)


def _moments(
    tokens: Num[Tensor, "n token embed"], is_padded: Bool[Tensor, "n token"]
) -> tuple[Float[Tensor, "embed"], Float[Tensor, "embed"]]:
    """Mean and deviation of every number of the real tokens, in float32; a deviation of 0 counts as 1."""
    total = torch.zeros(2, tokens.shape[2], dtype=torch.float64, device=tokens.device)
    count = 0
    shift = tokens[0, (~is_padded[0]).nonzero()[0, 0]].double()  # sums of squares of what is far from 0 lose digits
    for few, padded in zip(tokens.split(256), is_padded.split(256), strict=True):
        real = few[~padded].double() - shift
        total += torch.stack([real.sum(dim=0), real.square().sum(dim=0)])
        count += len(real)
    mean, square = total / count
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return (mean + shift).float(), torch.where(deviation > 1e-6 * (1 + (mean + shift).abs()), deviation, 1.0).float()
