"""What is written as a manifest or a label table is read back the same, whatever the names are."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.clip import Clip, clean_label, parse_labels
from zoo.data.labels import LabelTable
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.written import is_writable, labels_cell, write_label_table, write_lines, write_manifest

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(clean_label).filter(bool)
awkward = st.sampled_from(["a;b", "[x]", "[", "]", '"', "'", ",", "a\nb", "a\rb", "1", "é", "[1, 2]", '["a"]', "#"])
labels = st.lists(names | awkward, max_size=4, unique=True)
words = st.none() | st.text("ab1,;\"' é", min_size=1, max_size=5).map(str.strip).filter(bool)
paths = st.text("ab./é;,\"' #[]", min_size=1, max_size=10).filter(
    lambda text: is_writable(text) and not text.startswith("/") and Path(text).as_posix() == text and ".." not in text
)


@given(labels)
def test_labels_in_a_cell(given_labels: list[str]) -> None:
    assert parse_labels(labels_cell(given_labels)) == tuple(given_labels)


@given(
    st.lists(st.tuples(paths, labels, words, words, st.booleans()), min_size=1, max_size=5, unique_by=lambda t: t[0])
)
def test_manifests(rows: list[tuple[str, list[str], str | None, str | None, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clips = [
            Clip(
                Path(folder, "sub" if is_inside else "..", path),
                path,
                tuple(names),
                start=0.1 if fold else None,
                stop=1e9 if split else None,
                split=split,
                group=fold,
            )
            for path, names, fold, split, is_inside in rows
        ]
        manifest = Path(folder) / "out" / "manifest.csv"
        write_manifest(manifest, clips)
        labelled = any(clip.labels for clip in clips)
        read = read_manifest(SourceConfig(path=str(manifest)), labelled=labelled).clips
        for clip, again in zip(clips, read, strict=True):
            assert (again.id, again.labels, again.start, again.stop, again.split, again.group) == (
                *(clip.id, clip.labels, clip.start, clip.stop, clip.split, clip.group),
            )
            assert again.path.resolve() == clip.path.resolve()


@given(st.lists(names | awkward, min_size=1, max_size=8, unique=True), st.booleans())
def test_label_tables(given_names: list[str], has_mids: bool) -> None:
    aliases = {f"/m/{index}": name for index, name in enumerate(given_names)} if has_mids else {}
    table = LabelTable(tuple(given_names), "multi-label", aliases)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        write_label_table(path, table)
        assert LabelTable.read(str(path), "multi-label") == replace(table, by_index=True)


def test_lines_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    write_lines(path, ["a\nb.wav", "é.wav", "\udcff.wav"])
    assert path.read_text(encoding="utf-8") == "a\\nb.wav\né.wav\n\\udcff.wav\n"
    write_lines(path, [])
    assert not path.exists()
