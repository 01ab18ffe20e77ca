"""Random numbers that depend on (seed, epoch, clip) alone, never on what was drawn before.

Every crop, mask, patchout and augmentation of the zoo is drawn here, so that nothing has to be saved for a run to go
on bit for bit after a crash, and the number of workers or processes cannot change what a clip looks like. The
generator is SplitMix64 (Steele, Lea and Flood 2014) used as a counter-based hash; on integers it is exact on every
device, and one call serves a whole batch without waiting for the device.
"""

import hashlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The same 64 bits as torch's signed int64."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def stable_id(text: str) -> int:
    """A non-negative 63-bit number for a name; the same on every machine and in every version of Python."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "little") >> 1


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical shift: torch's `>>` keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def _mix_int(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def combine(*numbers: int) -> int:
    """One non-negative 63-bit number from several: a seed for one step, one shuffle, one file."""
    state = 0
    for number in numbers:
        state = _mix_int(state ^ (number & _MASK))
    return state >> 1


def clip_keys(seed: int, epoch: int, ids: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
    """The key of every clip in this epoch, from which all of its draws follow."""
    return _mix((ids ^ combine(seed, epoch)) + _GOLDEN)


def random_keys(batch: int, device: torch.device | str = "cpu") -> Int[Tensor, "batch"]:
    """Keys from torch's own generator, for callers that have no clip ids."""
    return torch.randint(-(1 << 62), 1 << 62, (batch,), device=device, dtype=torch.int64)


@torch.compiler.assume_constant_result
def _purpose_bits(purpose: str) -> int:
    """torch.compile cannot trace a SHA-256; the number is a constant of the program anyway."""
    return _signed(stable_id(purpose))


def uniform(keys: Int[Tensor, "batch"], purpose: str, count: int) -> Float[Tensor, "batch {count}"]:
    """`count` numbers in [0, 1) for every clip. Two purposes of one clip are independent.

    The first k numbers do not depend on `count`: a narrower grid sees the beginning of what a wider one sees.
    """
    # The exclusive or changes nothing, but for torch.compile's inductor: it would take places times a constant for an
    # index, which it computes without wrapping around, and stop as that leaves 64 bits.
    counter = torch.arange(1, count + 1, device=keys.device, dtype=torch.int64) ^ 0
    start = _mix(keys ^ _purpose_bits(purpose))
    bits = _mix(start[:, None] + counter * _GOLDEN)
    return _shift_right(bits, 40).to(torch.float32) * 2.0**-24


def whole(number: Float[Tensor, "*shape"], low: Tensor | int, high: Tensor | int) -> Int[Tensor, "*shape"]:
    """Whole numbers from `low` to `high`, both included and all alike, from numbers in [0, 1)."""
    return (number * (high - low + 1)).long() + low
