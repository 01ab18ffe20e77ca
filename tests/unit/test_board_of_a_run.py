"""What TensorBoard shows of whole runs: every tag, read back from the event files and by its plugins' backends."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginEventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

import zoo
from zoo.evaluate.answers import hardest
from zoo.evaluate.predictions import Predictions
from zoo.recipe import parse_recipe
from zoo.run import train
from zoo.run.charts import CHARTS
from zoo.train.checkpoint import latest

BODY = "n_frames: 48, embed_dim: 16, depth: 3, num_heads: 2, patch_size: [16, 16], stride: [16, 16]"
COMMON = """
data: {train: CLIPS, eval: CLIPS, task: TASK, num_workers: 0}
train: {clips: 16, batch_size: 4, precision: fp32, device: cpu}
evaluate: {every_clips: 8}
log: {every_clips: 8, images: 2}
"""
FINETUNE = (
    f"name: fine\nmodel: {{kind: ast, {BODY}}}\nobjective: {{kind: classification}}\n"
    "optim: {kind: adamw, lr: 0.01, layer_decay: 0.7}" + COMMON.replace("TASK", "single-label")
)
SEVERAL = FINETUNE.replace("single-label", "multi-label").replace("name: fine", "name: several")
PRETRAIN = f"name: pre\nmodel: {{kind: ssast, {BODY}, num_masked: 8}}\nobjective: {{kind: masked-patch}}" + (
    COMMON.replace("TASK", "null").replace("every_clips: 8}", "every_clips: 8, probe: {train: CLIPS, share: 0.34}}", 1)
)
SHARED_SCALARS = {
    *("loss/total", "optim/lr", "data/bad_clips", "data/seconds_waiting", "perf/clips_per_second", "perf/tflops"),
    *("health/skipped_steps", "health/weight_norm", "health/update_ratio"),
    *(f"optim/grad_norm{part}" for part in ("", "/input", "/early_blocks", "/middle_blocks", "/late_blocks", "/head")),
}
RATES = {f"optim/lr/{part}" for part in ("input", "block_00", "block_01", "block_02", "norm", "head")}
TEXTS = {f"{name}/text_summary" for name in ("recipe", "model", "data", "environment")}


class Runs:
    """Trains into folders of one place, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summaries: dict[str, Any] = {}
        time = np.arange(8_000) / 16_000
        for i, label in enumerate(("low", "high", "noise")):
            (folder / "clips" / label).mkdir(parents=True)
            for clip in range(3):
                wave = 0.3 * np.sin(2 * np.pi * 300 * (i + 1) * time + clip)
                wave += 0.01 * i * np.random.default_rng(clip).standard_normal(time.size)
                soundfile.write(folder / "clips" / label / f"{label}_{clip}.wav", wave.astype(np.float32), 16_000)

    def train(self, name: str, recipe: str, *overrides: str, **more: Any) -> Path:
        text = recipe.replace("CLIPS", str(self.folder / "clips"))
        parsed = parse_recipe(text, "x.yaml", overrides, for_training=True)
        command = "pretrain" if parsed.objective.kind == "masked-patch" else "finetune"
        self.summaries[name] = train(parsed, self.folder / "runs" / name, command=command, **more)
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    torch.set_num_threads(1)
    runs = Runs(tmp_path_factory.mktemp("board"))
    runs.train("fine", FINETUNE, f"data.test={runs.folder / 'clips'}")
    runs.train("pre", PRETRAIN)
    runs.train("several", SEVERAL)
    return runs


def events(run: Path) -> EventAccumulator:
    sizes = dict.fromkeys(("scalars", "images", "tensors", "audio"), 0)
    return EventAccumulator(str(run), size_guidance=sizes).Reload()


def backend(folder: Path) -> TBContext:
    """What TensorBoard's plugins get when it is started on a folder of runs."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return TBContext(
        logdir=str(folder), multiplexer=multiplexer, data_provider=MultiplexerDataProvider(multiplexer, str(folder))
    )


def expected_tensors(*classes: str, data_set: str = "eval") -> set[str]:
    return {f"{data_set}/pr/{name}" for name in ("all classes", *classes)}


def test_all_tags_of_finetuning(runs: Runs) -> None:
    tags = events(runs.folder / "runs" / "fine").Tags()
    metrics = {"accuracy", "balanced_accuracy", "mAP", "auc", "f1", "classes_without_positives"}
    measured = {f"{where}/{name}" for where in ("eval", "test", "final") for name in metrics}
    found = {tag for tag in tags["scalars"] if tag != "perf/utilisation"}
    extra = {tag for tag in found if tag.startswith(("eval/", "test/", "final/"))} - measured  # further metrics
    assert found - extra == SHARED_SCALARS | RATES | measured | {"train/accuracy"}
    assert set(tags["images"]) == {
        *("log_mel/input", "log_mel/input-2", "hardest/1", "hardest/2", "eval/confusion", "eval/classes"),
        *("hardest_test/1", "hardest_test/2", "test/confusion", "test/classes"),
    }
    # The sound of the hardest is that of the clips which judge the run.
    assert set(tags["audio"]) == {"sound/input", "sound/input-2", "sound/hardest_test-1", "sound/hardest_test-2"}
    classes = ("high", "low", "noise")
    assert set(tags["tensors"]) == (
        TEXTS | {"custom_scalars__config__"} | expected_tensors(*classes) | expected_tensors(*classes, data_set="test")
    )


def test_all_tags_of_pretraining(runs: Runs) -> None:
    tags = events(runs.folder / "runs" / "pre").Tags()
    losses = {"loss", "loss_reconstruct", "loss_classify", "pretext_accuracy", "pretext_chance", "mean_patch_loss"}
    losses |= {"probe_knn", "probe_linear", "probe_chance"}
    health = {"embedding_std", "effective_rank", "dead_dimensions", "attention_entropy", "attention_entropy_lowest"}
    assert {tag for tag in tags["scalars"] if tag != "perf/utilisation"} == (
        SHARED_SCALARS
        | {"loss/reconstruct", "loss/classify", "pretext/accuracy", "pretext/chance"}
        | {f"{where}/{name}" for where in ("eval", "final") for name in losses}
        | {f"health/{name}" for name in health}
    )
    pictures = {f"log_mel/{what}{of}" for what in ("input", "masked", "reconstructed") for of in ("", "-2")}
    assert set(tags["images"]) == pictures
    assert set(tags["audio"]) == {"sound/input", "sound/input-2"}
    assert set(tags["tensors"]) == TEXTS | {"custom_scalars__config__"}
    assert not (runs.folder / "runs/pre/projector").exists()  # there are no labels


def test_pretraining_draws_the_same_clips_under_the_same_masks(runs: Runs) -> None:
    found = events(runs.folder / "runs" / "pre")
    for tag, stays in (("log_mel/input", True), ("log_mel/masked", True), ("log_mel/reconstructed", False)):
        for name in (tag, f"{tag}-2"):
            first, second = (event.encoded_image_string for event in found.Images(name))
            assert (first == second) == stays, name
    assert (
        found.Images("log_mel/input")[0].encoded_image_string != found.Images("log_mel/input-2")[0].encoded_image_string
    )


def test_all_pictures_of_several_labels(runs: Runs) -> None:
    tags = events(runs.folder / "runs" / "several").Tags()
    assert set(tags["images"]) == {"log_mel/input", "log_mel/input-2", "hardest/1", "hardest/2", "eval/classes"}
    assert set(tags["audio"]) == {"sound/input", "sound/input-2", "sound/hardest-1", "sound/hardest-2"}
    assert set(tags["tensors"]) == (TEXTS | {"custom_scalars__config__"} | expected_tensors("high", "low", "noise"))


def test_runs_lie_over_each_other_by_clips_seen(runs: Runs) -> None:
    for name in ("fine", "pre"):
        found = events(runs.folder / "runs" / name)
        assert [event.step for event in found.Scalars("loss/total")] == [8, 16]
        assert [event.step for event in found.Images("log_mel/input")] == [8, 16]
    found = events(runs.folder / "runs" / "fine")
    assert [event.step for event in found.Images("hardest/1")] == [8, 16]
    assert [event.step for event in found.Tensors("eval/pr/all classes")] == [8, 16]
    assert [event.step for event in found.Audio("sound/hardest_test-1")] == [16]


def test_every_chart_has_lines_and_the_layout_is_there_once(runs: Runs) -> None:
    folder = runs.folder / "runs"
    tags = {tag for name in ("fine", "pre", "several") for tag in events(folder / name).Tags()["scalars"]}
    tags |= {"perf/gpu_memory_gib", "optim/loss_scale", "perf/utilisation"}  # of GPUs and fp16
    for category in CHARTS.values():
        for title, patterns in category.items():
            for pattern in patterns:
                assert any(re.match(pattern, tag) for tag in tags), (title, pattern)
    charted = {
        tag for tag in tags for some in CHARTS.values() for all_ in some.values() for p in all_ if re.match(p, tag)
    }
    assert {tag for tag in tags - charted if "classes_without" not in tag} <= {"train/loss"}
    plugin = CustomScalarsPlugin(backend(folder))
    layout = json.loads(plugin.layout_impl(context.RequestContext(), ""))
    assert [category["title"] for category in layout["category"]] == list(CHARTS)
    assert [len(category["chart"]) for category in layout["category"]] == [len(one) for one in CHARTS.values()]
    (event,) = events(folder / "fine").Tensors("custom_scalars__config__")
    parsed = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    assert parsed.category[0].chart[0].multiline.tag == ["loss/.*"]


def sessions(folder: Path) -> tuple[dict[str, dict[str, float]], set[str]]:
    """({run: {metric: value}}, columns of metrics) of TensorBoard's HParams table."""
    found, tensorboard = Context(backend(folder)), context.RequestContext()
    experiment = get_experiment.Handler(tensorboard, found, "", api_pb2.GetExperimentRequest()).run()
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=100,
        allowed_statuses=list(api_pb2.Status.values()),
        col_params=[api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos],
    )
    response = list_session_groups.Handler(tensorboard, found, "", request).run()
    rows = {
        session.name: {value.name.tag: value.value for value in session.metric_values}
        for group in response.session_groups
        for session in group.sessions
    }
    assert sum(len(group.sessions) for group in response.session_groups) == len(rows)
    return rows, {info.name.tag for info in experiment.metric_infos}


def test_hparams_have_a_row_a_run_with_its_final_metrics(runs: Runs) -> None:
    """In whatever order the runs come: the columns are those of all kinds of run."""
    rows, columns = sessions(runs.folder / "runs")
    assert set(rows) >= {"fine", "pre", "several"}
    assert {"final/accuracy", "final/mAP", "final/loss", "final/pretext_accuracy"} <= columns
    for name in ("fine", "pre", "several"):
        expected = {f"final/{tag}": value for tag, value in runs.summaries[name]["metrics"].items()}
        common = expected.keys() & columns
        assert len(common) >= 2
        assert {tag: rows[name][tag] for tag in common} == pytest.approx({tag: expected[tag] for tag in common})
    folders = {path.parent.name for path in (runs.folder / "runs").rglob("*tfevents*")}
    assert folders == {path.name for path in (runs.folder / "runs").iterdir()}  # no run beside or in a run


def test_the_hardest_clip_is_the_one_that_is_heard(runs: Runs) -> None:
    run = runs.folder / "runs" / "fine"
    said = Predictions.read(run / "predictions.npz")
    (row, _), *_ = hardest(said.scores, said.targets, said.task, 1)
    (event,) = events(run).Audio("sound/hardest_test-1")
    heard, rate = soundfile.read(io.BytesIO(event.encoded_audio_string))
    wave, _ = soundfile.read(runs.folder / "clips" / said.names[row])
    assert rate == 16_000
    np.testing.assert_allclose(heard, wave, atol=1e-3)


def test_the_projector_shows_what_the_model_makes_of_the_clips(runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs.folder / "runs" / "several", tmp_path / "moved" / "run")
    plugin = ProjectorPlugin(backend(tmp_path / "moved"))
    plugin._update_configs()
    assert list(plugin._configs) == ["run"]
    (embedding,) = plugin._configs["run"].embeddings
    assert list(embedding.tensor_shape) == [9, 16]
    run = tmp_path / "moved" / "run"
    vectors = torch.from_numpy(np.loadtxt(run / "projector/vectors.tsv", delimiter="\t", dtype=np.float32))
    header, *rows = [line.split("\t") for line in (run / "projector/clips.tsv").read_text().splitlines()]
    assert header == ["label", "predicted", "right", "probability", "loss", "clip"]
    model: Any = zoo.load(run)
    said = Predictions.read(run / "predictions.npz")
    for vector, row in zip(vectors, rows, strict=True):
        named = dict(zip(header, row, strict=True))
        wave, _ = soundfile.read(runs.folder / "clips" / named["clip"], dtype="float32")
        with torch.no_grad():
            log_mel = zoo.front_end(run)(torch.from_numpy(wave)[None])
            torch.testing.assert_close(vector, model.features(log_mel)[0], atol=1e-3, rtol=1e-3)
        scores = said.scores[said.names.index(named["clip"])]
        assert named["label"] == named["clip"].split("/")[0]
        assert named["predicted"] == said.labels[int(scores.argmax())]
        assert float(named["probability"]) == pytest.approx(float(scores.sigmoid().max()), abs=1e-3)
        assert named["right"] == ("yes" if named["label"] == named["predicted"] else "no")


def text(run: Path, tag: str) -> list[tuple[int, str]]:
    """As TensorBoard itself reads it, which hides what a resumed run says anew."""
    found = PluginEventAccumulator(str(run)).Reload().Tensors(f"{tag}/text_summary")
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in found]


def test_texts(runs: Runs) -> None:
    run = runs.folder / "runs" / "fine"
    summary = runs.summaries["fine"]
    ((step, model),) = text(run, "model")
    assert step == 0
    assert f"| parameters | {summary['parameters']:,} |" in model
    assert "| grid of patches (freq x time) | 8 x 3 |" in model
    assert "| encoder.blocks.2 | Block | 1 x 26 x 16 |" in model
    assert "| head | MLPHead | 1 x 3 |" in model
    ((_, data),) = text(run, "data")
    assert f"| test | 9 | {runs.folder / 'clips'} | {summary['judged_manifest']} |" in data
    assert "| noise | 3 | 3 | 3 |" in data
    assert "9 of 9 evaluation clips are trained on too" in data
    ((_, environment),) = text(run, "environment")
    assert f"| torch | {summary['versions']['torch']} |" in environment
    ((_, recipe),) = text(run, "recipe")
    assert recipe == "    " + (run / "recipe.yaml").read_text().replace("\n", "\n    ")
    assert "masked-patch pretraining" in text(runs.folder / "runs" / "pre", "model")[0][1]


class KilledError(Exception):
    """Stands for the end of a process."""


def shown(run: Path, skip: Callable[[str], bool]) -> dict[tuple[str, str], list[tuple[int, bytes]]]:
    """Everything that is drawn, heard or curved, by kind and tag."""
    found = events(run)
    tags = found.Tags()
    result: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    for tag in tags["images"]:
        result["image", tag] = [(event.step, event.encoded_image_string) for event in found.Images(tag)]
    for tag in tags["audio"]:
        if not skip(tag):
            result["audio", tag] = [(event.step, event.encoded_audio_string) for event in found.Audio(tag)]
    for tag in tags["tensors"]:
        if not tag.endswith("text_summary"):
            result["tensor", tag] = [(e.step, e.tensor_proto.SerializeToString()) for e in found.Tensors(tag)]
    return result


def test_a_resumed_run_shows_the_same(runs: Runs) -> None:
    def kill(report: Any) -> None:
        if report.clips >= 12:
            raise KilledError

    with pytest.raises(KilledError):
        runs.train("killed", SEVERAL, "name=several", on_progress=kill)
    run = runs.folder / "runs" / "killed"
    assert latest(run / "checkpoints") is not None
    runs.train("killed", SEVERAL, "name=several", resume=True)
    whole = runs.folder / "runs" / "several"

    def of_a_session(tag: str) -> bool:
        return tag.startswith("sound/input")

    assert shown(run, of_a_session) == shown(whole, of_a_session)
    for name in ("vectors.tsv", "clips.tsv", "pictures.png"):
        assert (run / "projector" / name).read_bytes() == (whole / "projector" / name).read_bytes()
    # What is said once a session stands where the session begins; on its third start, not twice.
    assert [step for step, _ in text(run, "recipe")] == [0, 9]
    assert [event.step for event in events(run).Scalars("final/mAP")] == [16]
    assert set(sessions(runs.folder / "runs")[0]) == {path.name for path in (runs.folder / "runs").iterdir()}
    shutil.rmtree(run)


def test_a_run_that_starts_again_has_no_trace_of_the_first_start(runs: Runs) -> None:
    def kill(report: Any) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        runs.train("again", SEVERAL, on_progress=kill)
    run = runs.train("again", SEVERAL, resume=True)
    assert [step for step, _ in text(run, "model")] == [0]
    assert len(PluginEventAccumulator(str(run)).Reload().Tensors("custom_scalars__config__")) == 1
    shutil.rmtree(run)


def test_without_pictures_nothing_is_shown_but_numbers_and_texts(runs: Runs) -> None:
    run = runs.train("plain", FINETUNE, "log.images=0")
    tags = events(run).Tags()
    assert (tags["images"], tags["audio"]) == ([], [])
    assert set(tags["tensors"]) == TEXTS | {"custom_scalars__config__"}
    assert {"final/accuracy", "loss/total"} <= set(tags["scalars"])
    assert not (run / "projector").exists()
    shutil.rmtree(run)
