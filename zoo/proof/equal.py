"""What is equal between two trainings, in clips of the one: operations, operations with those of pretraining, time."""


def equal_compute(clips: int, flops_per_clip: int, extra: float) -> int:
    """Clips of training that cost what `clips` and `extra` operations cost together."""
    return clips + round(extra / flops_per_clip)


def equal_operations(clips: int, flops_per_clip: int, own_flops_per_clip: int) -> int:
    """Clips that cost a model what `clips` cost another, but for one clip."""
    return clips * flops_per_clip // own_flops_per_clip


def equal_time(clips: int, rate: float, own_rate: float) -> int:
    """Clips that take a model as long as `clips` take another, at these rates (clips a second)."""
    return max(1, round(clips * own_rate / rate))
