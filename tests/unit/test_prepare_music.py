"""Music: GTZAN, NSynth and OpenMIC-2018, each in a small imitation of its layout."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.errors import DataError
from zoo.use.prepare import prepare

Tree = Callable[..., Path]


def clips_of(report: dict) -> dict[str, Clip]:
    manifest = read_manifest(SourceConfig(path=report["manifest"]), labelled=True)
    assert manifest.hash == report["hash"]
    return {clip.id: clip for clip in manifest.clips}


# GTZAN

PIECES = [("blues", 0), ("blues", 1), ("jazz", 53), ("jazz", 54), ("rock", 99)]


def gtzan(root: Path, tree: Tree, folder: str = "genres_original", suffix: str = ".wav") -> Path:
    audio = {f"{folder}/{genre}/{genre}.{number:05d}{suffix}": 0.2 for genre, number in PIECES}
    broken = f"{folder}/jazz/jazz.00054{suffix}"
    return tree(root, {**audio, broken: b"not audio", f"{folder}/blues/blues.00100{suffix}": 0.1})


@pytest.mark.parametrize(("folder", "suffix"), [("genres_original", ".wav"), ("genres", ".au"), ("genres", ".wav")])
def test_gtzan(tmp_path: Path, file_tree: Tree, folder: str, suffix: str) -> None:
    report = prepare("gtzan", gtzan(tmp_path / "gtzan", file_tree, folder, suffix), out=tmp_path / "out")
    clips = clips_of(report)
    assert list(clips) == [f"{genre}/{genre}.{number:05d}" for genre, number in PIECES]
    assert clips["rock/rock.00099"].labels == ("rock",)
    # The known broken piece is kept, told, and left out of hours.
    assert report["unreadable"]["first"] == ["jazz/jazz.00054: not audio, or damaged from the start"]
    assert (tmp_path / "out" / "unreadable.txt").read_text() == "\n".join(report["unreadable"]["first"]) + "\n"
    assert report["hours"] == pytest.approx(4 * 0.2 / 3600, abs=1e-4)
    assert report["missing"]["count"] == 995
    assert report["extra"]["count"] == 1
    assert len(LabelTable.read(report["labels"], "single-label")) == 10
    assert report["splits"] == report["folds"] == {}


def test_gtzan_with_the_fault_filtered_lists(tmp_path: Path, file_tree: Tree) -> None:
    root = gtzan(tmp_path / "gtzan", file_tree)
    file_tree(
        root,
        {
            "train_filtered.txt": "blues/blues.00000.wav\njazz/jazz.00053.wav\n",
            "valid_filtered.txt": "blues/blues.00001.wav\n",
            "test_filtered.txt": "rock/rock.00099.wav\r\n",
        },
    )
    report = prepare("gtzan", root, out=tmp_path / "out")
    splits = {name: clip.split for name, clip in clips_of(report).items()}
    assert splits == {
        "blues/blues.00000": "train",
        "blues/blues.00001": "valid",
        "jazz/jazz.00053": "train",
        "jazz/jazz.00054": None,
        "rock/rock.00099": "test",
    }
    assert report["without_split"] == 1


# NSynth


def note(instrument: str, family: str, source: str, pitch: int) -> dict[str, object]:
    return {
        "instrument_str": instrument,
        "instrument_family_str": family,
        "instrument_source_str": source,
        "pitch": pitch,
        "qualities": [0] * 10,
    }


def nsynth(root: Path, tree: Tree) -> Path:
    train = {
        "bass_synthetic_068-049-025": note("bass_synthetic_068", "bass", "synthetic", 49),
        "synth_lead_synthetic_001-101-075": note("synth_lead_synthetic_001", "synth_lead", "synthetic", 101),
        "vocal_acoustic_000-060-127": note("vocal_acoustic_000", "vocal", "acoustic", 60),
    }
    test = {"keyboard_electronic_001-021-127": note("keyboard_electronic_001", "keyboard", "electronic", 21)}
    audio = {f"nsynth-train/audio/{name}.wav": 0.4 for name in list(train)[:2]}
    return tree(
        root,
        {
            "nsynth-train/examples.json": json.dumps(train),
            "nsynth-test/examples.json": json.dumps(test),
            **audio,
            "nsynth-test/audio/keyboard_electronic_001-021-127.wav": 0.4,
            "nsynth-test/audio/keyboard_electronic_001-022-127.wav": 0.4,
        },
    )


@pytest.mark.parametrize(
    ("options", "label", "classes", "place"),
    [
        ([], "synth_lead", 11, 9),
        (["label=source"], "synthetic", 3, 2),
        (["label=pitch"], "101", 128, 101),
    ],
)
def test_nsynth(tmp_path: Path, file_tree: Tree, options: list[str], label: str, classes: int, place: int) -> None:
    report = prepare("nsynth", nsynth(tmp_path / "nsynth", file_tree), options, out=tmp_path / "out")
    clips = clips_of(report)
    lead = clips["nsynth-train/audio/synth_lead_synthetic_001-101-075.wav"]
    assert (lead.labels, lead.split, lead.group) == ((label,), "train", "synth_lead_synthetic_001")
    table = LabelTable.read(report["labels"], "single-label")
    assert len(table) == classes
    assert table.places(lead) == (place,)
    assert report["splits"]["train"] | {"hash": ""} == {"clips": 2, "missing": 1, "hours": 0.00022, "hash": ""}
    assert report["splits"]["test"]["clips"] == report["extra"]["count"] == 1
    assert report["notes"] == ["no nsynth-valid: left out"]
    assert report["groups_in_several"]["split"] == 0


def test_nsynth_without_the_wanted_field(tmp_path: Path, file_tree: Tree) -> None:
    root = nsynth(tmp_path / "nsynth", file_tree)
    (root / "nsynth-test" / "examples.json").write_text('{"a": {"pitch": 3}}')
    with pytest.raises(DataError, match="expected NSynth's notes with instrument_family_str"):
        prepare("nsynth", root, out=tmp_path / "out")


# OpenMIC-2018


def openmic(root: Path, tree: Tree, metadata: bool = True) -> Path:
    rows = [
        "000046_3840,clarinet,0.17105,3",
        "000046_3840,flute,0.5,3",
        "000135_483840,voice,1.0,3",
        "000135_483840,guitar,0.85,5",
        "155310_0,banjo,0.1,3",
        "155311_0,drums,0.9,3",
    ]
    files: dict[str, float | str | bytes] = {
        "openmic-2018-aggregated-labels.csv": "sample_key,instrument,relevance,num_responses\n"
        + "\n".join(rows)
        + "\n",
        "partitions/split01_train.csv": "000046_3840\n000135_483840\n155311_0\n",
        "partitions/split01_test.csv": "155310_0\n",
        "audio/000/000046_3840.ogg": 0.3,
        "audio/000/000135_483840.ogg": 0.3,
        "audio/155/155310_0.ogg": 0.3,
        "vggish/000/000046_3840.json": "{}",
    }
    if metadata:
        artists = "sample_key,track_id,artist_id\n000046_3840,1,7\n000135_483840,2,7\n155310_0,3,9\n155311_0,4,9\n"
        files["openmic-2018-metadata.csv"] = artists
    return tree(root, files)


def test_openmic2018(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("openmic2018", openmic(tmp_path / "openmic-2018", file_tree), out=tmp_path / "out")
    clips = clips_of(report)
    flute = clips["audio/000/000046_3840.ogg"]
    assert (flute.labels, flute.split, flute.group) == (("flute",), "train", "7")
    assert clips["audio/000/000135_483840.ogg"].labels == ("guitar", "voice")
    absent = clips["audio/155/155310_0.ogg"]
    assert (absent.labels, absent.split) == ((), "test")  # asked about, and absent
    assert report["missing"]["first"] == ["audio/155/155311_0.ogg"]
    table = LabelTable.read(report["labels"], "multi-label")
    assert len(table) == 20
    assert table.places(clips["audio/000/000135_483840.ogg"]) == (8, 19)
    assert any(text.startswith("6 of 80 pairs") for text in report["notes"])


def test_an_instrument_that_is_none_of_the_20(tmp_path: Path, file_tree: Tree) -> None:
    root = openmic(tmp_path / "o", file_tree, metadata=False)
    table = root / "openmic-2018-aggregated-labels.csv"
    table.write_text(table.read_text() + "155310_0,kazoo,1.0,3\n")
    with pytest.raises(DataError, match="kazoo"):
        prepare("openmic2018", root, out=tmp_path / "out")


def test_a_relevance_that_is_no_number(tmp_path: Path, file_tree: Tree) -> None:
    root = openmic(tmp_path / "o", file_tree)
    table = root / "openmic-2018-aggregated-labels.csv"
    table.write_text(table.read_text().replace("0.85", "much"))
    with pytest.raises(DataError, match="relevance 'much' of 000135_483840"):
        prepare("openmic2018", root, out=tmp_path / "out")
