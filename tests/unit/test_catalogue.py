"""The catalogue of published checkpoints: every entry is whole, and agrees with the models that it describes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import zoo
from zoo.audio.front_ends import parse_front_end
from zoo.errors import CheckpointError
from zoo.models.cost import build_on_meta, num_parameters
from zoo.models.registry import ModelConfig, parse_model_config
from zoo.weights import catalogue as module
from zoo.weights.catalogue import Known, catalogue, checkpoints, find

ENTRIES = list(catalogue().values())
IMAGENET_CLASSES = 1000
SAMPLE = """
checkpoints:
  - {name: one, family: ast, file: one.pth, url: "https://example.org/one.pth", own: {kind: ast}, aliases: [first]}
  - {name: two, family: ast, file: two.pth, url: "https://example.org/two.pth", own: {kind: ast}}
"""


def config_of(known: Known) -> ModelConfig:
    return parse_model_config(known.own)


def unused_values(known: Known, width: int) -> int:
    """Numbers that are in the released file, and in no model of the zoo."""
    if known.family == "passt":
        return known.own["num_classes"] * (width + 1)  # head_dist
    heads = 2 * IMAGENET_CLASSES * (width + 1)  # v.head and v.head_dist
    if known.family == "deit":
        area = known.own["patch_size"][0] * known.own["patch_size"][1]
        return heads + 2 * area * width  # the kernel's other two colours
    return heads + 2 * known.pretraining  # p_input_fdim and p_input_tdim


@pytest.mark.parametrize("known", ENTRIES, ids=lambda known: known.name)
class TestEntry:
    def test_its_geometry_is_a_model_of_as_many_numbers_as_the_file(self, known: Known) -> None:
        config: Any = config_of(known)
        model = build_on_meta(config, pretraining=known.pretraining)
        assert known.values == num_parameters(model) + unused_values(known, config.embed_dim)

    def test_its_geometry_is_complete(self, known: Known) -> None:
        """Nothing that a file's keys may leave open is left to a default."""
        stated = {"kind", "embed_dim", "depth", "num_heads", "patch_size", "stride", "n_mels", "n_frames"}
        assert stated | {"num_classes"} <= set(known.own)
        assert known.pretraining == (known.family == "ssast")
        assert known.pretraining == ("num_masked" in known.own and "cluster_size" in known.own)

    def test_its_front_end_hears_what_the_model_takes(self, known: Known) -> None:
        if known.family == "deit":
            assert known.front_end is None
            return
        assert known.front_end is not None
        front_end = parse_front_end(known.front_end)
        assert front_end.kind == ("passt" if known.family == "passt" else "ast")
        assert front_end.n_mels == known.own["n_mels"]
        assert {"mean", "std"} <= set(known.front_end)

    def test_its_addresses_are_encrypted_and_direct(self, known: Known) -> None:
        for url in (known.url, *known.mirrors):
            assert url.startswith("https://")
            assert ("dropbox.com" in url) == url.endswith("?dl=1")
        assert known.url.removesuffix("?dl=1").endswith("/" + known.file)
        assert all(page.startswith("https://") for page in known.pages)

    def test_what_its_names_say_is_what_is_stated(self, known: Known) -> None:
        stride = re.search(r"stride(\d+)", known.name)
        if stride:
            assert known.own["stride"] == (int(stride[1]), int(stride[1]))
        value = re.search(r"(?:-|ap|acc)(0\.\d+)", known.name)
        if value:
            assert known.metric is not None
            assert abs(known.metric.value - float(value[1])) < 1e-3  # "ap0.47" is 0.4708
        if known.family == "deit":
            assert known.sha256 is not None
            assert known.file.endswith(f"-{known.sha256}.pth")  # torch.hub's rule

    def test_its_classes_are_counted(self, known: Known) -> None:
        assert (known.task is not None) == (known.own["num_classes"] > 0)
        if known.labels is not None:
            assert len(set(known.labels)) == known.own["num_classes"]


def test_every_released_file_is_there() -> None:
    families = [known.family for known in ENTRIES]
    assert {family: families.count(family) for family in families} == {"ast": 9, "ssast": 13, "passt": 25, "deit": 4}
    assert len({known.file for known in ENTRIES}) == len({known.url for known in ENTRIES}) == len(ENTRIES)


def test_names_of_torch_only_ast_are_kept() -> None:
    assert {
        "ast-base-stride10",
        "multitask-ssast-patch-base-400",
        "multitask-ssast-frame-base-400",
        "passt-base-stride10-struct-ap0.476-swa",
    } <= set(zoo.checkpoints())


@pytest.mark.parametrize(
    ("name", "num_columns"),
    [
        ("passt-base-stride10-struct-ap0.476-swa", 99),
        ("passt-base-stride12-struct-ap0.473-swa", 83),
        ("passt-base-stride14-struct-ap0.471-swa", 71),
        ("passt-base-stride16-struct-ap0.473-swa", 62),
        ("passt-base-stride10-20sec-ap0.474-swa", 200),
        ("passt-base-stride10-30sec-ap0.473-swa", 300),
        ("passt-base-stride10-stfthop160-ap0.473-swa", 200),
        ("passt-base-stride10-stfthop100-ap0.473-swa", 320),
    ],
)
def test_the_released_tables_of_passt(name: str, num_columns: int) -> None:
    state = build_on_meta(config_of(find(name))).state_dict()
    assert state["embedding.position.time"].shape == (num_columns, 768)


def test_speech_commands_has_its_own_labels_and_normalisation() -> None:
    known = find("ast-base-stride10-speech-commands")
    assert known.labels is not None
    assert known.labels[:6] == ("backward", "follow", "five", "bed", "zero", "on")
    assert known.front_end == {"kind": "ast", "mean": -6.845978, "std": 5.5654526}


def test_the_public_list_is_the_catalogue() -> None:
    assert zoo.checkpoints() == checkpoints() == list(catalogue())


def test_the_list_is_the_callers_own() -> None:
    catalogue().clear()
    assert catalogue()


def test_the_authors_own_names_are_understood() -> None:
    assert find("passt_s_swa_p16_128_ap476").name == "passt-base-stride10-struct-ap0.476-swa"
    assert find("deit_base_distilled_patch16_384").name == "deit-base-384"


def test_an_unknown_name_gets_its_neighbours() -> None:
    with pytest.raises(CheckpointError, match=r"'ast-base-strid10'.*did you mean ast-base-stride10") as raised:
        find("ast-base-strid10")
    assert "\n" not in str(raised.value)
    with pytest.raises(CheckpointError, match="zoo checkpoints"):
        find("x" * 10_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "file:///etc/passwd"},
        {"url": "ftp://example.org/one.pth"},
        {"mirrors": ["/one.pth"]},
        {"file": "../one.pth"},
        {"file": ".one.pth"},
        {"name": "One"},
        {"sha256": "12345"},
        {"values": 0},
        {"size": 3},
    ],
)
def test_a_wrong_entry_is_refused(wrong: dict[str, Any]) -> None:
    right = {"name": "one", "family": "ast", "file": "one.pth", "url": "https://example.org/one.pth", "own": {}}
    assert Known.model_validate(right).size_range is None
    with pytest.raises(ValidationError):
        Known.model_validate({**right, **wrong})


@pytest.fixture
def file_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "catalogue.yaml"
        path.write_text(text)
        monkeypatch.setattr(module, "_catalogue_file", lambda: path)
        module._read.cache_clear()
        return path

    return write


def test_a_sample_file_is_read(file_with: Callable[[str], Path]) -> None:
    file_with(SAMPLE)
    assert checkpoints() == ["one", "two"]
    assert find("first").name == "one"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("name: two", "name: one"), "found one twice"),
        (lambda text: text.replace("name: two", "name: first"), "found first twice"),
        (lambda text: text.replace("kind: ast}}", "kind: ast}, licens: MIT}"), r"checkpoints\.1\.licens"),
        (lambda text: text.replace("[first]", "[first"), "not readable"),
        (lambda text: text.replace("checkpoints", "checkpoint"), "'checkpoints'"),
        (lambda text: "[]", "not readable"),
    ],
)
def test_a_wrong_file_is_one_line(file_with: Callable[[str], Path], change: Callable[[str], str], words: str) -> None:
    path = file_with(change(SAMPLE))
    with pytest.raises(CheckpointError, match=words) as raised:
        catalogue()
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
