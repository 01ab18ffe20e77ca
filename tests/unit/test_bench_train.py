"""`zoo bench train`: that both sides do the same work, how much it is, and what the report says."""

import io
from typing import Any

import pytest
import rich.console
import torch
from torch import Tensor, nn

from zoo.data.batch import Inputs
from zoo.errors import DataError, RecipeError
from zoo.models.masked_patch import MaskedPatchModel
from zoo.models.registry import build_model, preset_config
from zoo.nn.released_masking import draw_released_mask
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.use.bench import train as train_module
from zoo.use.bench import ways
from zoo.use.bench.contender import Contender, Round
from zoo.use.bench.flops import step_flops_per_clip
from zoo.use.bench.precision import pick_precision
from zoo.use.bench.released_ssast import ReleasedSsast
from zoo.use.bench.steps import ModelStep
from zoo.use.bench.train import bench_train
from zoo.use.bench.ways import OURS, PEER, WAYS, config_of, make_way, n_frames_of
from zoo.use.console import Console
from zoo.use.show.bench import show_bench


def pretraining_model(form: str) -> MaskedPatchModel:
    numbers: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 128, "num_masked": 20}
    config = preset_config(f"ssast-{form}-tiny", **numbers, separate_masks=True)
    model: Any = build_model(config, pretraining=True)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.train()


class Stated(nn.Module):
    """Our pretraining model, told what to mask."""

    def __init__(self, model: MaskedPatchModel, masks: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.model, self.masks = model, masks

    def forward(self, log_mel: Tensor, num_frames: Tensor | None, keys: Tensor) -> Any:
        return self.model(log_mel, num_frames, keys, self.masks)


@pytest.mark.parametrize("form", ["patch", "frame"])
def test_the_released_way_has_our_losses_and_gradients(form: str) -> None:
    """At the same masks: the race is over one amount of work."""
    model, x, keys = pretraining_model(form), torch.randn(3, 128, 128), torch.arange(3)
    grid = model.backbone.embedding.grid_for(128)
    masks: Any = tuple(draw_released_mask(grid, 20, model.cluster_size, keys, purpose=word) for word in ("a", "b"))
    inputs = Inputs(x, None, None, keys, ("a", "b", "c"))
    objective = MaskedPatchConfig(softmax_over="predictions").build()
    found = []
    for loss in (lambda: objective(Stated(model, masks), inputs)[0], lambda: ReleasedSsast(model)(x, masks)):
        model.zero_grad()
        value = loss()
        value.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found.append((value.detach(), gradients))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    assert found[0][1].keys() == found[1][1].keys()
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][name], rtol=1e-4, atol=1e-5)
    swapped = ReleasedSsast(model)(x, (masks[1], masks[0]))
    assert (swapped - found[0][0]).abs() > 1e-3  # each loss has its own mask


def test_the_released_way_draws_its_own_masks() -> None:
    model, x = pretraining_model("patch"), torch.randn(2, 128, 128)
    released = ReleasedSsast(model)
    first, other = (released(x).detach() for _ in range(2))
    assert first.isfinite()
    assert first != other


def test_operations_of_a_step_are_those_of_the_formula() -> None:
    """Three times the products of the forward pass, but twice those with a side that needs no gradient."""
    width, depth, values = 192, 12, 256

    def layers(tokens: int) -> int:
        return 3 * depth * (24 * tokens * width**2 + 4 * tokens**2 * width)

    def embedding(patches: int) -> int:
        return 2 * 2 * patches * width * values

    head = 3 * 2 * width * ways.NUM_CLASSES
    assert n_frames_of("ast", 2.5) == 256
    ast = 12 * ((256 - 16) // 10 + 1)
    assert step_flops_per_clip("ast", "tiny", 2.5, OURS) == layers(ast + 2) + embedding(ast) + head
    assert config_of("ast", "tiny", 2.5, PEER) == config_of("ast", "tiny", 2.5, OURS)

    columns = (n_frames_of("passt", 2.5) - 16) // 10 + 1
    kept = (12 - 4) * (columns - round(columns * 40 / 99))
    passt = step_flops_per_clip("passt", "tiny", 2.5, OURS)
    assert passt == layers(kept + 2) + embedding(12 * columns) + head
    whole = step_flops_per_clip("passt", "tiny", 2.5, "no-patchout")
    assert whole == layers(12 * columns + 2) + embedding(12 * columns) + head
    assert whole > 2 * passt

    patches = 8 * 16
    masked = patches * 400 // 512
    heads = 2 * 3 * 2 * masked * (width**2 + width * values)
    one = step_flops_per_clip("ssast", "tiny", 2.5, OURS)
    assert one == layers(patches + 2) + embedding(patches) + heads
    assert step_flops_per_clip("ssast", "tiny", 2.5, PEER) == one + layers(patches + 2)


def test_ten_seconds_are_the_presets_length() -> None:
    assert [n_frames_of(family, 10.0) for family in ("ast", "ssast", "passt")] == [1024, 1024, 998]
    assert config_of("ssast", "base", 10.0, OURS) == preset_config("ssast-patch-base")
    assert config_of("passt", "base", 10.0, OURS) == preset_config("passt-base")
    assert config_of("ast", "base", 10.0, OURS) == preset_config("ast-base")


@pytest.mark.parametrize("family", WAYS)
def test_every_way_takes_steps(family: str) -> None:
    for way in WAYS[family]:
        if way == PEER and ways.why_no_peer(family):
            continue
        options = {"family": family, "size": "tiny", "seconds": 0.5, "way": way}
        work = ModelStep(2, 1, **options, precision="fp32", device="cpu", compiled=False)
        before = [p.detach().clone() for p in work.step._model.parameters()]
        assert work.run() == 2
        changed = [not torch.equal(p, old) for p, old in zip(work.step._model.parameters(), before, strict=True)]
        assert sum(changed) > 0.9 * len(changed), way
        facts = work.facts()
        assert facts["matmul_tflops"] > 0
        assert facts["waiting_share"] is None


def test_peers_are_named_when_they_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ways.PEER_PACKAGES, "ast", "no_such_package")
    assert ways.why_no_peer("ast").startswith("no_such_package does not import: No module named 'no_such_package'")
    assert ways.why_no_peer("ssast") == ""


def test_precisions() -> None:
    cpu = torch.device("cpu")
    assert pick_precision("auto", cpu) == "fp32"
    assert pick_precision("bf16", cpu) == "bf16"
    with pytest.raises(RecipeError, match="'tf32' on a CPU"):
        pick_precision("tf32", cpu)
    with pytest.raises(RecipeError, match="--precision: 'half' - expected one of auto, fp32"):
        pick_precision("half", cpu)


class Counted(Contender):
    """Stands in for a process: so many clips a second by the way's name."""

    RATES: dict[str, float] = {OURS: 30.0, "no-patchout": 10.0, PEER: 20.0}  # noqa: RUF012

    def __init__(self, build: Any, options: Any, threads: int) -> None:
        self.way, self.start_seconds = options["way"], 0.5

    def round(self) -> Round:
        return Round(60, 60 / self.RATES[self.way], None)

    def peak_memory_mib(self) -> float:
        return 900.0

    def facts(self) -> dict[str, Any]:
        yardstick = 2.0 if self.way == PEER else 1.5
        return {"matmul_tflops": yardstick, "step_mib": None, "waiting_share": 0.25}

    def close(self) -> None:
        pass


ARGUMENTS: dict[str, Any] = {
    "size": "tiny",
    "seconds": 1.0,
    "batch": 2,
    "steps": None,
    "precision": "fp32",
    "compiled": False,
    "source": None,
    "workers": 0,
    "device": "cpu",
    "threads": 1,
    "rounds": 2,
}


@pytest.mark.parametrize("peer", ["there", "missing", "unwanted"])
def test_the_report_adds_up(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "Contender", Counted)
    monkeypatch.setattr(
        train_module, "step_flops_per_clip", lambda *of: 3_000_000 if "no-patchout" in of else 1_000_000
    )
    why = {"there": "", "missing": "hear21passt does not import", "unwanted": ""}[peer]
    for name in ("why_no_peer", "why_no_peer_from_waveform"):
        monkeypatch.setattr(train_module, name, lambda _family: why)
    told: list[tuple[int, int]] = []
    report = bench_train(
        ["passt"],
        ["log-mel", "waveform"],
        **ARGUMENTS,
        with_peer=peer != "unwanted",
        on_progress=lambda done, total: told.append((done, total)),
    )
    has_peer = peer == "there"
    model, sound = report["rows"]
    assert list(model["ways"]) == ["ours", "no-patchout", "peer"][: 2 + has_peer]
    assert list(sound["ways"]) == ["ours", "peer"][: 1 + has_peer]
    assert told[-1] == (2 * (3 + 2 * has_peer), 2 * (3 + 2 * has_peer))
    assert report["matmul_tflops"] == (2.0 if has_peer else 1.5)
    for row in report["rows"]:
        for way in row["ways"].values():
            assert way["tflops"] == pytest.approx(way["clips_per_second"] * way["flops_per_clip"] / 1e12)
            assert way["utilisation"] == pytest.approx(way["tflops"] / report["matmul_tflops"])
        expected = {"ours": 1.5, "no-patchout": 0.5} if has_peer else {"ours": None, "no-patchout": None}
        assert row["ratios"] == {way: expected[way] for way in row["ratios"]}
    assert report["remarks"] == ({} if has_peer else {"passt": why or "not asked for"})
    assert report["steps"] == 2
    console = Console()
    console.out = rich.console.Console(file=io.StringIO(), width=200)
    show_bench(console, report)
    text: str = console.out.file.getvalue()  # type: ignore[attr-defined]
    assert "no-patchout" in text
    assert ("1.50×" in text) is has_peer
    assert "25.0%" in text


@pytest.mark.parametrize(
    ("families", "origins", "text"),
    [
        (["vit"], ["log-mel"], "FAMILY: 'vit' - expected some of ast, ssast, passt"),
        (["ast"], ["mp3"], "--from: 'mp3' - expected some of log-mel, waveform"),
        (["ast", "ast"], ["log-mel"], "FAMILY: ast, ast - expected some of ast, ssast, passt, each once"),
    ],
)
def test_wrong_words(families: list[str], origins: list[str], text: str) -> None:
    with pytest.raises(DataError, match=text):
        bench_train(families, origins, **ARGUMENTS, with_peer=False, on_progress=lambda _done, _total: None)


@pytest.mark.parametrize("family", WAYS)
def test_both_from_waveform_see_the_same_log_mels(family: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inputs of our step and of the peer's, of the same files."""
    if ways.why_no_peer_from_waveform(family):
        pytest.skip("the peer is not installed")
    manifest = train_module.write_clips(None, family, 0.5, 4, tmp_path)
    options = {"family": family, "size": "tiny", "seconds": 0.5, "batch": 4, "steps": 1}
    options |= {"precision": "fp32", "device": "cpu", "compiled": False}
    seen: dict[str, Tensor] = {}
    builds = train_module._from_waveform(manifest, [OURS, PEER], 0)
    for way, (build, own) in builds.items():
        work = build(**own, **options, way=way)

        def note(inputs: Inputs, way: str = way) -> None:
            assert inputs.num_frames is None
            assert inputs.target is not None
            seen[way] = inputs.log_mel.as_subclass(Tensor).clone()

        note.device, note.config = work.step.device, work.step.config  # type: ignore[attr-defined]
        work.step = note
        assert work.run() == 4
        assert 0 <= work.facts()["waiting_share"] <= 1
        work.close()
    ours, peers = (log_mel.sort(dim=0).values for log_mel in (seen[OURS], seen[PEER]))
    assert ours.shape == peers.shape == (4, 128, n_frames_of(family, 0.5))
    if family != "passt":  # whose band edges are drawn, there for a batch
        # transformers keeps the mean of the waveform, ours takes it off; the notes have next to none.
        torch.testing.assert_close(ours[:, :, :40], peers[:, :, :40], rtol=0, atol=2e-2)


def test_ways_are_described() -> None:
    for family, found in WAYS.items():
        assert {OURS, PEER} <= set(found)
        assert found[PEER]
        assert make_way(family, "tiny", 0.5, OURS).model.training
