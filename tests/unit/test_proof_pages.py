"""Pages of a proof: sentences follow from numbers, nothing is hidden, and no folder of this machine is named."""

import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.made_up_proof import above, labels_table, main_table, pretraining, results, row
from zoo.errors import DataError
from zoo.proof.publish import publish
from zoo.proof.publish.answer import answer, bar_sentence
from zoo.proof.publish.curves import draw_pretraining
from zoo.proof.publish.numbers import duration, interval, operations, percent, points
from zoo.proof.publish.pretraining import pretraining_sentences
from zoo.proof.publish.private import without_paths
from zoo.proof.publish.result_table import captioned
from zoo.proof.publish.standing import gain
from zoo.proof.results import Difference, ResultTable, Value, read


def told(*tables: ResultTable) -> str:
    """The answer of a CPU scale with these tables."""
    return "\n".join(answer(results(tables=tables)))


def test_the_answer_follows_the_sign() -> None:
    helps, hurts, unclear = (told(main_table("words", gain=by)) for by in (0.12, -0.12, 0.01))
    assert (
        "pretraining **helps** in 2 of 2 cases (1 task, each form a case of its own): words (patch and frame)" in helps
    )
    assert "Patch: pretraining **helps**, 72.0 % against 60.0 %, +12.0 points (95 %: +9.0 … +15.0 over folds" in helps
    assert "pretraining **does not help**" in hurts
    assert "clearly worse in 2" in hurts
    assert "Patch: pretraining **hurts**, 48.0 % against 60.0 %, -12.0 points" in hurts
    assert "pretraining **does not help**" in unclear
    assert "no clear difference in 2" in unclear
    assert "Patch: pretraining **does not clearly help**, 61.0 % against 60.0 %, +1.0 points" in unclear


@pytest.mark.parametrize(
    ("by", "half", "said"),
    [
        (0.12, 0.03, "met on words"),
        (0.079, 0.03, "met on no task"),
        (0.2, 0.5, "met on no task"),
        (-0.1, 0.03, "met on no task"),
    ],
)
def test_the_bar_is_eight_points_outside_of_the_paired_interval(by: float, half: float, said: str) -> None:
    table = main_table("words", gain=by)
    scratch = {one.form: one for one in table.rows if one.role == "scratch"}
    rows = [above(scratch[one.form], one, half) if one.role == "pretrained" else one for one in table.rows]
    found = bar_sentence(results(tables=(replace(table, rows=tuple(rows)),)))
    assert f"patch against scratch at the same fine-tuning budget: {said}" in found


def test_without_a_paired_interval_the_bar_is_not_shown_to_be_met() -> None:
    table = main_table("words")
    rows = [replace(one, difference=None) if one.role == "pretrained" else one for one in table.rows]
    assert "met on no task" in bar_sentence(results(tables=(replace(table, rows=tuple(rows)),)))


def test_the_bar_is_also_held_against_scratch_that_converged() -> None:
    table = main_table("words")
    converged = row("scratch patch, converged", 0.71, role="scratch-converged", form="patch")
    pretrained = table.rows[0]
    assert pretrained.role == "pretrained"
    converged = above(pretrained, converged)  # told from the other side
    made = results(tables=(replace(table, rows=(*table.rows, converged)),))
    said = bar_sentence(made)
    assert "patch against scratch trained until it stops improving: met on no task" in said
    found = gain(made, made.tables[0], pretrained, converged)
    assert found is not None
    assert found.mean == pytest.approx(0.01)
    assert found.over_folds == pytest.approx((-0.02, 0.04))
    assert "Against scratch trained until it stops improving (71.0 %): +1.0 points" in "\n".join(answer(made))


def test_a_difference_that_is_not_given_follows_from_the_runs() -> None:
    """The corrected resampled t-test by hand, of three folds."""
    first = replace(row("a", 0.6), values=(Value(0, "1", 0.5), Value(0, "2", 0.7), Value(0, "3", 0.6)))
    second = replace(row("b", 0.4), values=tuple(Value(0, fold, 0.4) for fold in "123"))
    made = results(tables=(replace(main_table("words"), rows=(first, second)),))
    found = gain(made, made.tables[0], first, second)
    assert found is not None
    half = 4.302652729749464 * (0.01 * (1 / 3 + 1 / 2)) ** 0.5  # t of two degrees of freedom; variance of .1, .3, .2
    assert found.over_folds == pytest.approx((0.2 - half, 0.2 + half))
    assert found.over_clips is None
    other_seed = replace(second, values=tuple(Value(7, value.fold, value.value) for value in second.values))
    unpaired = gain(made, made.tables[0], first, other_seed)
    assert unpaired is not None
    assert unpaired.over_folds is None


def test_one_seed_has_no_deviation_and_is_warned_of() -> None:
    one, three = main_table("words", seeds=(0,)), main_table("words", seeds=(0, 1, 2))
    assert "± seeds" not in captioned(results(), one)
    assert "seed 0 alone" in captioned(results(), one)
    assert "| 72.0 | 0.4 | 1.0 |" in captioned(results(), three)
    assert "3 seeds (0, 1, 2)" in captioned(results(), three)
    assert "One seed on words" in told(one)
    assert "One seed" not in told(three)


def test_a_row_of_fewer_seeds_says_so_and_is_compared_on_them() -> None:
    table = main_table("words", seeds=(0, 1, 2))
    single = row("scratch patch, equal compute", 0.64, seeds=(2,), role="scratch-compute", form="patch")
    rows = [single if one.name == single.name else one for one in table.rows]
    made = results(tables=(replace(table, rows=tuple(rows)),))
    assert "| 3 (seed 2) |" in captioned(made, made.tables[0])
    found = gain(made, made.tables[0], rows[0], single)
    assert found is not None
    assert found.mean == pytest.approx(0.72 + 0.004 - 0.64)  # seed 2 of both


def test_a_failed_run_is_listed_and_counted() -> None:
    table = main_table("words")
    reason = "seed 1, fold 2: the loss is not finite\nat step 7"
    broken = replace(table.rows[-1], mean=None, deviation=None, fold_deviation=None, values=(), failed=(reason,) * 3)
    table = replace(table, rows=(*table.rows[:-1], broken))
    text = captioned(results(), table)
    assert "- CNN: seed 1, fold 2: the loss is not finite at step 7" in text
    assert re.search(r"\| CNN \| what CNN is \| failed \|.*\| 0, 3 failed \|", text)
    assert "3 runs failed; they are in no mean" in told(table)
    assert "CNN 70" not in told(table)


def test_a_caption_says_scale_folds_seeds_budget_and_device() -> None:
    table = replace(main_table("words"), folds=("1", "2"))
    text = captioned(results("full"), table)
    assert text.startswith("**words, full scale: pretrained and from scratch** (accuracy in %; 400 clips of 10 classes")
    for part in (
        "2 of 3 folds (1, 2)",
        "seed 0",
        "budget 9,600 clips (200 TFLOP a run)",
        "a processor (2 threads), 2 cores",
    ):
        assert part in text
    assert "10 % of the training labels" in captioned(results(), replace(table, share=0.1))


def test_objectives_and_masked_out_are_held_against_the_joint_one() -> None:
    table = main_table("words")
    masked_out = row("masked out", 0.7, role="masked-out", form="patch", pretraining="light")
    joint = table.rows[0]
    made = results(
        tables=(replace(table, rows=(*table.rows, above(joint, masked_out))),),
        pretraining=(pretraining("patch"), replace(pretraining("patch"), name="light", clips_per_second=250.0)),
    )
    text = "\n".join(answer(made))
    assert "words with patch: 70.0 % against 72.0 %, -2.0 points" in text
    assert "(pretrained at 250 against 100 clips/s, 2.5 times)" in text
    assert "words with patch: 72.0 % against 61.0 % by reconstruction alone, +11.0 points" in text


def test_pretraining_that_learned_nothing_is_told() -> None:
    good, bad = pretraining("patch"), pretraining("frame")
    bad = replace(bad, final=bad.final | {"eval/pretext_accuracy": 0.01, "eval/loss_reconstruct": 1.2})
    said = pretraining_sentences(results(pretraining=(good, bad)))
    assert "SSAST patch: the pretext accuracy of 30.0 % is above chance (2.0 %, 15.0 times it)" in said
    assert "40 % below that of the mean patch (1.000)" in said
    assert "SSAST frame: the pretext accuracy of 1.0 % is **not above chance** (2.0 %)" in said
    assert "the reconstruction error of 1.200 is **not below that of the mean patch** (1.000)" in said


def test_another_scale_keeps_the_tables_of_the_first(tmp_path: Path) -> None:
    publish(results("cpu"), tmp_path)
    before = (tmp_path / "data" / "proof-cpu.json").read_bytes()
    publish(results("full", tables=(main_table("words", gain=0.3),)), tmp_path)
    page = (tmp_path / "ssast.md").read_text()
    assert (tmp_path / "data" / "proof-cpu.json").read_bytes() == before
    assert page.index("**words, full scale: pretrained") < page.index("**words, CPU scale: pretrained")
    assert "90.0 % against 60.0 %, +30.0 points" in page
    assert "72.0 % against 60.0 %, +12.0 points" in page
    comparison = (tmp_path / "comparison.md").read_text()
    assert "CPU scale" in comparison
    assert "Full scale" not in comparison  # it has no comparison yet
    publish(results("cpu", tables=(main_table("words", gain=-0.1),)), tmp_path)
    assert "50.0 % against 60.0 %, -10.0 points" in (tmp_path / "ssast.md").read_text()
    assert not (tmp_path / "pictures" / "comparison-cpu.svg").exists()


def test_pages_are_well_formed(tmp_path: Path) -> None:
    odd = main_table("words", title="with | a stroke\nand a line")
    odd = replace(odd, rows=(replace(odd.rows[0], what="with | a stroke\nand a line"), *odd.rows[1:]))
    written = publish(results(tables=(odd, *results().tables)), tmp_path)
    assert len(written) == len(set(written))
    assert all(path.is_file() for path in written)
    for name in ("ssast.md", "comparison.md"):
        text = (tmp_path / name).read_text()
        for table in _tables(text):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1, table
            assert re.fullmatch(r"\|(---\|)+", table[1])
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if not target.startswith(("http", "../comparing")):
                assert (tmp_path / target).exists(), target
    pictures = list((tmp_path / "pictures").iterdir())
    assert len(pictures) == 3
    assert all(path.stat().st_size < 150_000 for path in pictures)
    assert read(tmp_path / "data" / "proof-cpu.json").scale == "cpu"


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first = {path.relative_to(tmp_path / "a"): path.read_bytes() for path in publish(results(), tmp_path / "a")}
    second = {path.relative_to(tmp_path / "b"): path.read_bytes() for path in publish(results(), tmp_path / "b")}
    assert first == second


def test_no_folder_of_this_machine_is_published(tmp_path: Path) -> None:
    failed = replace(main_table("words").rows[0], failed=("/home/me/out/runs/x: the loss is not finite",))
    made = results(
        command="/opt/python/bin/zoo proof DATA=/home/me/audio --out /scratch/out",
        pretraining=(replace(pretraining("patch"), folder="/scratch/out/pretrain/patch"),),
        tables=(replace(main_table("words"), rows=(failed, *main_table("words").rows[1:])),),
        notes=("read from file:///home/me/audio",),
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes-ssast.md").write_text("Looked at `/home/me/out` by hand.\n")
    for path in publish(made, tmp_path):
        text = path.read_text()
        assert not re.search(r"/(home|scratch|opt|me)\b", text), path
    page = (tmp_path / "ssast.md").read_text()
    assert "…/zoo proof DATA=…/audio --out …/out" in page
    assert "…/x: the loss is not finite" in page
    assert "Looked at `…/out` by hand." in page
    assert "https://github.com/karolpiczak/ESC-50" in page
    assert read(tmp_path / "data" / "proof-cpu.json").pretraining[0].folder is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("clips/s and 100/250/400 or 3 / 4", "clips/s and 100/250/400 or 3 / 4"),
        ("https://a.b/c/d", "https://a.b/c/d"),
        ("[data](data/x.json) ../comparing.md", "[data](data/x.json) ../comparing.md"),
        ("A=/tmp, '/a b'", "A=…/tmp, '…/a b'"),
        (r"C:\Users\me\x.wav", "…/x.wav"),
    ],
)
def test_only_paths_are_taken_out(text: str, left: str) -> None:
    assert without_paths(text) == left
    assert without_paths(left) == left


def test_a_foreign_file_among_the_results_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "proof-old.json").write_text("{}")
    with pytest.raises(DataError, match=r"proof-old\.json"):
        publish(results(), tmp_path)


def test_results_with_little_in_them_give_pages_too(tmp_path: Path) -> None:
    publish(results(tables=(), pretraining=(), choices=()), tmp_path)
    page = (tmp_path / "ssast.md").read_text()
    assert "no row of these results holds a pretrained model against one from scratch" in page
    assert "## Pretraining" not in page
    assert "No results hold a comparison yet." in (tmp_path / "comparison.md").read_text()
    assert not (tmp_path / "pictures").exists()
    assert not draw_pretraining(results(pretraining=(pretraining("patch", curve=()),)), tmp_path / "x.svg")


def test_few_labels_take_all_labels_from_the_main_table(tmp_path: Path) -> None:
    publish(results(tables=(main_table("words"), labels_table("words", 0.1))), tmp_path)
    page = (tmp_path / "ssast.md").read_text()
    assert "- words, 10 % of the labels: patch pretraining helps, +20.0 points; frame" in page
    assert "- words, all of the labels: patch pretraining helps, +12.0 points" in page
    assert "| words | 10 % | scratch patch | 60.0 |" in page
    assert "| words | all | scratch patch | 60.0 |" in page
    assert "![" in page
    assert "(pictures/labels-cpu.svg)" in page


def test_patch_and_frame_are_told_by_domain(tmp_path: Path) -> None:
    table = main_table("words")
    frame = row("pretrained frame", 0.9, role="pretrained", form="frame")
    patch = table.rows[0]
    frame = replace(frame, also=(Difference(patch.name, 0.18, 0.1, 0.26, 0.12, 0.2),))
    rows = [frame if one.role == "pretrained" and one.form == "frame" else one for one in table.rows]
    publish(results(tables=(replace(table, rows=tuple(rows)), main_table("noises"))), tmp_path)
    page = (tmp_path / "ssast.md").read_text()
    assert "on speech pretrained frames against patches +18.0 points (95 %: +10.0 … +26.0 over folds" in page
    assert "on sound pretrained frames against patches 0.0 points on noises" in page


@pytest.mark.parametrize("role", ["esc10", "speech_commands12"])
def test_the_commands_for_strangers_make_what_a_proof_takes(tmp_path: Path, role: str) -> None:
    """Each snippet of the page, run on a made-up copy of what it names."""
    publish(results(tables=()), tmp_path / "results")
    page = (tmp_path / "results" / "ssast.md").read_text()
    snippet = next(text for text in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if f"tasks/{role}" in text)
    if role == "esc10":
        root = tmp_path / "ESC-50-master"
        (root / "audio").mkdir(parents=True)
        (root / "meta").mkdir()
        (root / "audio" / "1-7-A-0.wav").write_bytes(b"x")
        head = "filename,fold,target,category,esc10,src_file,take\n"
        (root / "meta" / "esc50.csv").write_text(f"{head}1-7-A-0.wav,1,0,dog,True,7,A\n1-8-A-1.wav,2,1,cat,False,8,A\n")
        expected = ["filename,label,fold,group", "1-7-A-0.wav,dog,1,7"]
    else:
        for folder, name in (("yes", "ab_nohash_0.wav"), ("_unknown_", "ab_nohash_0.wav")):
            (tmp_path / "speech_commands_test_set_v0.02" / folder).mkdir(parents=True)
            (tmp_path / "speech_commands_test_set_v0.02" / folder / name).write_bytes(b"x")
        expected = ["filename,label,fold,group"]
        expected += [f"{label}-ab_nohash_0.wav,{label},{zlib.crc32(b'ab') % 5 + 1},ab" for label in ("unknown", "yes")]
    snippet = snippet.replace("python -", f"'{sys.executable}' -", 1)
    subprocess.run(["bash", "-ec", snippet], cwd=tmp_path, check=True, timeout=60)
    made = tmp_path / "DATA" / "tasks" / role
    assert (made / "meta.csv").read_text().split() == expected
    assert sorted(path.name for path in (made / "audio").iterdir()) == sorted(
        line.split(",")[0] for line in expected[1:]
    )


def test_numbers_as_people_read_them() -> None:
    assert (percent(0.7123), percent(None), points(0.0512), points(-0.0001)) == ("71.2", "–", "+5.1", "0.0")
    assert (interval(-0.01, 0.02), interval(None, 0.1)) == ("-1.0 … +2.0", "–")
    assert (operations(3.2e15), operations(4.56e11), operations(0.0)) == ("3.2 PFLOP", "456 GFLOP", "–")
    assert (duration(41.2), duration(700.0), duration(3_900.0)) == ("41 s", "12 min", "1 h 5 min")


def _tables(text: str) -> Iterator[list[str]]:
    """Blocks of lines that are a table."""
    for block in text.split("\n\n"):
        lines = block.strip().split("\n")
        if lines[0].startswith("|"):
            yield lines
