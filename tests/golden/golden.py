"""Reads reference numbers of the official code: NAME.json says what was computed, NAME.npz has the results.

Weights and inputs are not stored. Each is regenerated from its name: sha256 of the name seeds numpy's PCG64, which
draws float32 standard normals; the fill of a state is those times `fill.std`, plus 1 for one-dimensional `.weight`s.

    golden = Golden(path)
    outputs = KINDS[golden.kind].compute(golden, KINDS[golden.kind].build(golden, folder))
    golden.compare(outputs)

The folder is the one named by the environment variable ZOO_GOLDENS, else `data` beside this file.
"""

import ast
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DATA = Path(__file__).parent / "data"
"""The set that the repository holds."""

FOLDER = Path(os.environ.get("ZOO_GOLDENS") or DATA)

Index = int | slice | list[int] | tuple[int | slice | list[int], ...]


def golden_paths(folder: Path = FOLDER) -> list[Path]:
    """The goldens of a folder, and below it."""
    return sorted(folder.rglob("*.json"))


class Verdict(NamedTuple):
    """How one output compares."""

    output: str
    share: float
    """The worst difference as a share of what is tolerated: at most 1 is good. Infinite when it cannot be compared."""
    problems: tuple[str, ...]


class Golden:
    """One golden: its regenerated weights and inputs, and the comparison with its numbers."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.meta: dict[str, Any] = json.loads(path.read_text())
        self.kind: str = self.meta["kind"]
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            self.arrays: dict[str, np.ndarray] = dict(arrays)

    def state(self, part: str = "main") -> dict[str, np.ndarray]:
        """A state dict under the official key names."""
        fill = self.meta["fill"]
        constants = fill.get("constants", {})
        state = {}
        for key, shape, dtype in sorted(self.meta["state_dicts"][part]):
            if key in constants:
                state[key] = np.asarray(constants[key], dtype=dtype).reshape(shape)
                continue
            assert dtype == "float32", f"{self.name}: {key} has the unknown fill type {dtype}"
            offset = 1.0 if key.endswith(".weight") and len(shape) == 1 else 0.0
            state[key] = normals(key, shape)
            state[key] *= np.float32(fill["std"])  # in place: a full-size model has 88 million of them
            state[key] += np.float32(offset)
        digest = hashlib.sha256()
        for key in sorted(state):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(state[key]).data)
        assert digest.hexdigest() == self.meta["state_sha256"][part], f"{self.name}: numpy draws other weights"
        return state

    def inputs(self) -> dict[str, np.ndarray]:
        """The inputs under the names of their arguments."""
        return {spec["arg"]: self._input(spec) for spec in self.meta["inputs"]}

    def _input(self, spec: dict[str, Any]) -> np.ndarray:
        match spec["rule"]:
            case "normal":
                array = np.asarray(normals(spec["name"], spec["shape"]) * np.float32(spec["scale"]), np.float32)
                found = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
                assert found == spec["sha256"], f"{self.name}: numpy draws another input {spec['name']}"
                return array
            case "waveform":  # its sine may differ in the last bit between machines, so its hash is not compared
                return waveform(spec["kind"], spec["name"], spec["sample_rate"], spec["num_samples"])
            case "stored":
                return self.arrays[spec["name"]]
        raise AssertionError(f"{self.name}: unknown input rule {spec['rule']!r}")

    def compare(self, got: Mapping[str, Any]) -> None:
        """Fail unless every output of the golden is in `got`, in full size and within its tolerance."""
        fail_on_problems(self.name, self.verdicts(got))

    def verdicts(self, got: Mapping[str, Any]) -> list[Verdict]:
        """One for each output of the golden, which says nothing of what else is in `got`."""
        assert self.meta["outputs"], f"{self.name}: a golden without outputs shows nothing"
        return [self._verdict(output, got) for output in self.meta["outputs"]]

    def _verdict(self, output: dict[str, Any], got: Mapping[str, Any]) -> Verdict:
        name, tolerance = output["name"], output["tolerance"]
        if name not in got:
            return Verdict(name, np.inf, (f"{name}: not compared, for nothing computes it",))
        full, want = np.asarray(got[name]), self.arrays[name]
        if list(full.shape) != output.get("full_shape", output["shape"]):
            return _mismatch(name, f"shape {full.shape}, expected {output.get('full_shape', output['shape'])}")
        part = full[parse_index(output["subsample"])] if "subsample" in output else full
        if not part.shape == want.shape == tuple(output["shape"]):
            return _mismatch(name, f"compared {part.shape} with {want.shape}, expected {output['shape']}")
        if tolerance.get("exact"):
            return Verdict(name, 0.0, ()) if np.array_equal(part, want) else _mismatch(name, "not equal")
        difference = np.abs(part.astype(np.float64) - want.astype(np.float64))
        if "atol_array" in tolerance:
            limits = self.arrays[tolerance["atol_array"]]
            # `not all below` and never `any above`: NaN is neither
            problem = () if (difference <= limits).all() else (f"{(~(difference <= limits)).sum()} out of range",)
            return _combined(name, [(difference, limits, problem)])
        limit = tolerance["atol"] + tolerance.get("rtol", 0.0) * np.abs(want).max(initial=0.0)
        worst = difference.max(initial=0.0)
        checks = [(worst, limit, () if worst <= limit else (f"differs by {worst:.3g}, more than {limit:.3g}",))]
        if "mean_abs" in tolerance:
            mean, limit = difference.mean() if difference.size else 0.0, tolerance["mean_abs"]
            text = f"differs by {mean:.3g} on average, more than {limit:.3g}"
            checks.append((mean, limit, () if mean <= limit else (text,)))
        if "sums" in output:
            checks.append(self._check_of_sums(output, full.astype(np.float64)))
        return _combined(name, checks)

    def _check_of_sums(self, output: dict[str, Any], full: np.ndarray) -> tuple[Any, Any, tuple[str, ...]]:
        """Sum, sum of magnitudes and of squares of the whole array guard what is not stored of it."""
        tolerance = output["tolerance"]
        found = np.array([full.sum(), np.abs(full).sum(), np.square(full).sum()])
        slack = tolerance.get("mean_abs", tolerance["atol"]) * full.size
        limits = slack * np.array([1.0, 1.0, 2.0 * max(1.0, output.get("max_abs_value", 1.0))]) + 1e-9
        off = np.abs(found - self.arrays[output["sums"]])
        return off, limits, () if (off <= limits).all() else (f"its sums differ by {off}, more than {limits}",)


def fail_on_problems(name: str, verdicts: list[Verdict]) -> None:
    """Raise AssertionError with all that is wrong with the golden of this name, if anything is."""
    problems = [text for verdict in verdicts for text in verdict.problems]
    assert not problems, "\n".join([f"{name} differs:", *problems])


def _mismatch(name: str, text: str) -> Verdict:
    return Verdict(name, np.inf, (f"{name}: {text}",))


def _combined(name: str, checks: list[tuple[Any, Any, tuple[str, ...]]]) -> Verdict:
    """From (difference, limit, problem) triples."""
    shares = [0.0]
    for difference, limit, _ in checks:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(np.equal(difference, 0.0), 0.0, np.divide(difference, limit))
        shares.append(float(np.nan_to_num(share, nan=np.inf, posinf=np.inf).max(initial=0.0)))
    return Verdict(name, max(shares), tuple(f"{name}: {text}" for *_, problem in checks for text in problem))


def normals(name: str, shape: list[int] | tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 numbers that the name decides."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal(tuple(shape), dtype=np.float32)
    return np.asarray(drawn, dtype=np.float32)


def waveform(kind: str, name: str, sample_rate: int, num_samples: int) -> np.ndarray:
    """A synthetic sound in [-1, 1]; computed in float64, float32 at the end."""
    time = np.arange(num_samples, dtype=np.float64) / sample_rate
    seconds = num_samples / sample_rate
    match kind:
        case "zeros":
            wave = np.zeros(num_samples)
        case "noise":
            wave = 0.1 * _noise(name, num_samples)
        case "silence":
            wave = 1e-5 * _noise(name, num_samples)
        case "quiet":
            wave = 1e-4 * _noise(name, num_samples) * (time / seconds)
        case "chirp":
            low, high = 50.0, 0.45 * sample_rate
            wave = 0.5 * np.sin(2 * np.pi * (low * time + 0.5 * (high - low) * time * time / seconds)) + 0.01
        case "tones":
            wave = np.zeros(num_samples)
            for i, frequency in enumerate((220.0, 1000.0, 3520.0), start=1):
                beat = 0.6 + 0.4 * np.cos(2 * np.pi * i * 0.7 * time)
                wave = wave + 0.2 * np.sin(2 * np.pi * frequency * time) * beat
            wave = wave + 1e-3 * _noise(name, num_samples) + 0.05
        case "clicks":
            wave = 1e-3 * _noise(name, num_samples)
            wave[:: round(0.037 * sample_rate)] += 0.9
        case "sweep":
            low, growth = 30.0, np.log(0.4 * sample_rate / 30.0)
            phase = 2 * np.pi * low * seconds / growth * (np.exp(time / seconds * growth) - 1.0)
            wave = 0.3 * np.sin(phase) * np.exp(-0.5 * time / seconds)
        case _:
            raise AssertionError(f"unknown waveform {kind!r}")
    return np.clip(wave, -1.0, 1.0).astype(np.float32)


def _noise(name: str, num_samples: int) -> np.ndarray:
    return normals(name, (num_samples,)).astype(np.float64)


def parse_index(text: str) -> Index:
    """The index in a text such as `full[:, [0, 1] + list(range(2, 50, 3))]`. Nothing is evaluated."""
    match ast.parse(text, mode="eval").body:
        case ast.Subscript(value=ast.Name(id="full"), slice=ast.Tuple(elts=axes)):
            return tuple(_axis(axis, text) for axis in axes)
        case ast.Subscript(value=ast.Name(id="full"), slice=axis):
            return _axis(axis, text)
    raise ValueError(f"not an index of `full`: {text}")


def _axis(node: ast.expr, text: str) -> int | slice | list[int]:
    match node:
        case ast.Slice(lower, upper, step):
            return slice(*(None if bound is None else _integer(bound, text) for bound in (lower, upper, step)))
        case ast.List(elts=items):
            return [_integer(item, text) for item in items]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _axis(left, text), _axis(right, text)
            if isinstance(first, list) and isinstance(second, list):
                return first + second
        case ast.Call(func=ast.Name(id="list"), args=[inner], keywords=[]):
            return _axis(inner, text)
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]) if bounds:
            return list(range(*(_integer(bound, text) for bound in bounds)))
        case _:
            return _integer(node, text)
    raise ValueError(f"not an index of `full`: {text}")


def _integer(node: ast.expr, text: str) -> int:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)) if not isinstance(number, bool):
            return -number
    raise ValueError(f"not an index of `full`: {text}")
