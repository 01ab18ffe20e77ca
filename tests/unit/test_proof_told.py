"""Pages of a proof say of which runs a number is, and judge nothing that was not trained or not measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.made_up_proof import above, comparison_table, main_table, pretraining, results, row
from zoo.proof.publish import publish
from zoo.proof.publish.answer import answer, bar_table
from zoo.proof.publish.comparison_page import comparison_page
from zoo.proof.publish.curves import draw_pretraining
from zoo.proof.publish.few_labels import labels_table
from zoo.proof.publish.pretraining import pretraining_sentences, pretraining_table
from zoo.proof.publish.result_table import captioned, columns_in_words
from zoo.proof.publish.run_facts import choices_told
from zoo.proof.publish.standing import later_folds
from zoo.proof.publish.words import seeds_in_words, shared_in_words
from zoo.proof.results import Choice, ResultTable, Tried, Value
from zoo.proof.show import show_results
from zoo.use.console import Console


def mixed() -> ResultTable:
    """Patches with three seeds, all else with seed 0."""
    table = main_table("words", seeds=(0, 1, 2))
    rows = []
    for one in table.rows:
        has_three = one.form == "patch" and one.role in ("pretrained", "scratch")
        values = one.values if has_three else tuple(value for value in one.values if value.seed == 0)
        rows.append(replace(one, values=values, deviation=one.deviation if has_three else None))
    return replace(table, rows=tuple(rows))


def test_seeds_are_those_of_the_rows() -> None:
    table = mixed()
    assert seeds_in_words(table) == "1 to 3 seeds, by row"
    assert "1 to 3 seeds, by row" in captioned(results(), table)
    assert "| 9 |" in captioned(results(), table)
    assert "| 3 (seed 0) |" in captioned(results(), table)
    other = replace(table.rows[0], values=tuple(Value(7, one.fold, one.value) for one in table.rows[3].values[:3]))
    assert seeds_in_words(replace(table, rows=(other, table.rows[-1]))) == "1 seed, by row"
    text = "\n".join(answer(results(tables=(table,))))
    assert "Patch: pretraining **helps**, 72.0 % with 3 seeds against 60.0 % with 3 seeds, +12.0 points (95" in text
    assert "Frame: pretraining **helps**, 72.0 % with seed 0 against 60.0 % with seed 0, +12.0 points (95" in text
    assert "(64.0 % with seed 0): +8.0 points, seed 0, no interval is known" in text
    assert "One seed of rows on words (all but pretrained patch and scratch patch): " in text
    assert "One seed on words" not in text


def test_a_difference_of_some_runs_is_marked() -> None:
    table = mixed()
    rows = {one.name: one for one in table.rows}
    alone, scratch = rows["reconstruction only patch"], rows["scratch patch"]
    assert shared_in_words(alone, scratch) == shared_in_words(scratch, alone) == "seed 0"
    assert shared_in_words(rows["pretrained patch"], scratch) == ""
    fewer = replace(alone, values=tuple(value for value in alone.values if value.fold != "2"))
    assert shared_in_words(fewer, scratch) == "seed 0; folds 1, 3"
    holed = replace(scratch, values=scratch.values[1:])
    assert shared_in_words(scratch, holed) == "the runs that both have"
    elsewhere = replace(alone, values=tuple(replace(value, seed=9) for value in alone.values))
    assert shared_in_words(elsewhere, scratch) == "", "of no common seed the means are compared"
    text = captioned(results(), table)
    assert "| +1.0 vs scratch patch (seed 0) |" in text
    assert "| +12.0 vs scratch patch |" in text
    assert "*(seed 0)*; it then is not the difference of the printed means" in columns_in_words()
    assert "No interval is corrected for the number of\n  comparisons" in columns_in_words()
    few = replace(table, kind="labels", share=0.1)
    assert "| +1.0 vs scratch patch (seed 0) |" in labels_table(results(tables=(few,)))


def test_the_bar_is_also_shown_on_later_folds() -> None:
    table = main_table("words")
    pretrained, scratch = table.rows[:2]
    third = tuple(replace(one, value=one.value - 0.05) if one.fold == "3" else one for one in pretrained.values)
    assert later_folds(replace(pretrained, values=third), scratch) == pytest.approx(0.07)
    made = results(tables=(replace(table, rows=(replace(pretrained, values=third), *table.rows[1:])),))
    first = next(line for line in bar_table([made]).split("\n") if "| patch |" in line)
    assert "difference, folds 3 on, points" in bar_table([made])
    assert first.endswith("| met | +7.0 |")
    two = tuple(value for value in scratch.values if value.fold != "3")
    assert later_folds(pretrained, replace(scratch, values=two)) is None
    named = tuple(replace(value, fold=f"maker {value.fold}") for value in scratch.values)
    assert later_folds(replace(pretrained, values=named), replace(scratch, values=named)) is None


def test_an_untrained_head_is_not_judged(tmp_path: Path) -> None:
    runs = (
        pretraining("patch"),
        replace(pretraining("patch", title="told apart", role="classify"), name="c"),
        replace(pretraining("patch", title="rebuilt", role="reconstruct"), name="r"),
    )
    made = results(pretraining=runs)
    lines = {line.split(":")[0]: line for line in pretraining_sentences(made).split("\n") if line.startswith("- ")}
    assert "pretext accuracy" in lines["- told apart"]
    assert "reconstruction" not in lines["- told apart"]
    assert "pretext accuracy" not in lines["- rebuilt"]
    assert "reconstruction error of 0.600 is 40 % below" in lines["- rebuilt"]
    cells = {line.split("|")[1].strip(): line for line in pretraining_table(made).split("\n")}
    assert "| 30.0 | 2.0 | – | – | 50.0 | 40.0 |" in cells["told apart (`c`)"]
    assert "| – | – | 0.600 | 1.000 | 50.0 | 40.0 |" in cells["rebuilt (`r`)"]
    alone = results(pretraining=tuple(replace(run, final={}, curve=_only(run.curve, "loss")) for run in runs[1:2]))
    assert not draw_pretraining(alone, tmp_path / "none.svg"), "no panel without a line"
    joint = replace(alone.pretraining[0], role="pretrained")
    assert draw_pretraining(results(pretraining=(joint,)), tmp_path / "a.svg")


def _only(curve: tuple[dict[str, float], ...], word: str) -> tuple[dict[str, float], ...]:
    return tuple({tag: value for tag, value in point.items() if tag == "clips" or word in tag} for point in curve)


@pytest.mark.parametrize(("seconds", "said"), [(309.0, ""), (330.0, ": **not equal**, +10 %"), (270.0, ", -10 %")])
def test_equal_time_is_told_with_the_seconds_that_it_took(seconds: float, said: str) -> None:
    light = replace(pretraining("patch", role="masked-out", title="Light", seconds=seconds), name="light")
    table = main_table("words")
    masked_out = row("masked out", 0.7, role="masked-out", form="patch", pretraining="light")
    table = replace(table, rows=(*table.rows, above(table.rows[0], masked_out)))
    made = results(tables=(table,), pretraining=(pretraining("patch"), light))
    for text in ("\n".join(answer(made)), pretraining_sentences(made)):
        assert re.search(rf"planned for equal time, .*; took {seconds:.0f} s against 300 s", text)
        assert said in text
        assert ("not equal" in text) == bool(said)


def test_a_probe_has_dashes_for_what_it_did_not_train() -> None:
    table = main_table("words")
    none = {"clips": None, "flops": None, "total_flops": None, "seconds": None}
    probe = row("probe", 0.5, role="probe-pretrained", form="patch", **none)
    made = captioned(results(), replace(table, rows=(*table.rows, probe)))
    line = next(line for line in made.split("\n") if line.startswith("| probe |"))
    assert "| 3 | – | – | – | – | – | 0.84 M |" in line
    assert "Probes\n  train no model" in columns_in_words()


def test_a_terminal_shows_them_as_empty_cells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    none = {"clips": None, "flops": None, "total_flops": None, "seconds": None}
    table = replace(main_table("words"), rows=(row("probe", 0.5, **none),))
    show_results(Console(), results(tables=(table,)), tmp_path)
    shown = capsys.readouterr()
    assert re.search(r"probe[ │]+0\.500[ │]+\n", shown.out + shown.err)


def test_a_comparison_does_not_say_that_seeds_are_the_same() -> None:
    table = comparison_table("words", "equal clips")
    page = comparison_page([results(tables=(table,))], {})
    assert "same seeds" not in page
    assert "One seed (words: CNN, AST, PaSST and SSAST patch, pretrained)" in page
    three = tuple(Value(seed, value.fold, value.value) for value in table.rows[0].values for seed in (0, 1, 2))
    several = replace(table, rows=tuple(replace(one, values=three) for one in table.rows[:1]) + table.rows[1:2])
    assert "One seed (words: AST)" in comparison_page([results(tables=(several,))], {})
    assert "One seed" not in comparison_page([results(tables=(replace(several, rows=several.rows[:1]),))], {})


def test_what_was_chosen_on_how_little_is_told(tmp_path: Path) -> None:
    tried = (Tried("lr 1e-3", 0.5, 1, 1, 64), Tried("lr 1e-4", None, 1, 1))
    choice = Choice("words", tried, "lr 1e-3", "a, from scratch", ("b", "c"))
    made = results(choices=(choice,))
    said = "words, a, from scratch: each setting was tried on 1 fold with 1 seed, judged by 64 validation clips; the "
    said += "same setting is given to b and c, on which it was not tried."
    assert choices_told(made) == f"- CPU scale, {said}"
    old = results(choices=(Choice("words", (Tried("lr 1e-3", 0.5, 2),), "lr 1e-3"),))
    assert choices_told(old) == "- CPU scale, words, SSAST from scratch: each setting was tried on 2 folds."
    publish(made, tmp_path)
    page = (tmp_path / "ssast.md").read_text()
    assert said in page
    assert "nothing is tuned" not in page
    assert "is told under *What was looked into*" not in page
    (tmp_path / "data" / "notes-ssast.md").write_text("Much.\n")
    publish(made, tmp_path)
    assert "Where the settings of *pretraining* come from is told under *What was looked into*." in (
        tmp_path / "ssast.md"
    ).read_text().replace("\n", " ")
