"""The plans that come along: their recipes are there, and the CPU scale is as small as it says."""

from pathlib import Path

import numpy as np
import soundfile

from zoo.compare.costs import trained_on_meta
from zoo.models.cost import num_parameters
from zoo.proof.audio import find_audio
from zoo.proof.config import find_proof, proof_names, read_proof
from zoo.proof.planned import Planner
from zoo.recipe import find_recipe, read_recipe
from zoo.run import find_data


def test_the_plans_that_come_along_name_recipes_that_there_are() -> None:
    assert proof_names() == ["cpu", "full", "minutes"]
    for scale in proof_names():
        config = read_proof(find_proof(scale))
        assert config.scale == scale
        rows = [row for table in config.tables for row in table.rows]
        for source in {*(row.recipe for row in rows), *(one.recipe for one in config.pretrainings)} - {None}:
            assert source is not None
            find_recipe(source)
        sources = {row.recipe for row in rows if row.start is not None and row.recipe is not None}
        recipes = [
            read_recipe(find_recipe(source)) for source in {*sources, *(one.recipe for one in config.pretrainings)}
        ]
        assert all(recipe.front_end == recipes[0].front_end for recipe in recipes)
        kinds = {table.kind for table in config.tables}
        assert kinds == ({"ssast"} if scale == "minutes" else {"ssast", "labels", "comparison"})


def test_the_cpu_scale_has_small_models_and_short_crops(tmp_path: Path) -> None:
    """At most 1 M parameters, heads of pretraining among them, and 2 s, in every run."""
    config = read_proof(find_proof("cpu"))
    assert not any(task.set for task in config.tasks), "a task with other models would have to be planned too"
    config = config.model_copy(update={"tasks": config.tasks[:1]})
    assert config.watch is not None
    assert config.watch.task == config.tasks[0].name
    (tmp_path / "pretrain").mkdir()
    for number in range(20):
        soundfile.write(tmp_path / "pretrain" / f"{number}.wav", np.zeros(1600, dtype=np.float32), 16_000)
    (task := tmp_path / "tasks" / config.tasks[0].name).mkdir(parents=True)
    rows = [f"{i}.wav,c{i % 12},{1 + i // 12},g{i}" for i in range(60)]  # 12 classes: the most of any task
    (task / "meta.csv").write_text("\n".join(["filename,label,fold,group", *rows]) + "\n")
    planner = Planner(config, find_audio(tmp_path, [config.tasks[0].name]), tmp_path / "out")
    runs = [row.runs[0] for table in planner.tables({}) for row in table.rows if row.runs]
    runs += [*planner.pretrainings(), *(choice.runs[0][0] for choice in planner.choices())]
    sizes = {}
    for run in runs:
        recipe = run.recipe
        sizes[run.contender] = num_parameters(trained_on_meta(recipe, find_data(recipe).model_config))
        front_end = recipe.front_end.build()
        samples = front_end.min_samples + (recipe.model.n_frames - 1) * front_end.config.hop_length
        assert samples <= 2 * front_end.config.sample_rate, run.contender
    assert {"patch", "patch-visible", "frame pretrained", "AST", "PaSST", "minimal AST"} <= sizes.keys()
    assert max(sizes.values()) <= 1_000_000, sizes
    assert sizes["patch"] > 500_000, "heads and encoder are counted"
