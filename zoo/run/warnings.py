"""What is doubtful about a run's data, a line each: for `zoo check`, and for the summary of a run."""

from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.data.problems import listed
from zoo.data.sampling import BalancedConfig
from zoo.objectives.classification import ClassificationConfig
from zoo.recipe import Recipe
from zoo.run.data import FoundData, num_shared

_FEW = 20


def data_warnings(recipe: Recipe, found: FoundData) -> list[str]:
    """Labels ignored, clips and groups on both sides, classes without a training clip, thin folds, classes balanced
    twice, band edges that stay where they are."""
    told = [f"data.{name}: {one.in_words()}" for name, one in found.unknown.items() if one.names]
    if recipe.optim.freeze != "none" and recipe.init.path is None:
        told.append("optim.freeze: keeps fresh weights that nothing has trained - set init.from=CHECKPOINT")
    if recipe.evaluate.select == "best" and found.eval is not None and len(found.eval) < _FEW:
        told.append(f"evaluate.select: best is chosen by {len(found.eval)} watched clips, so by luck")
    judged = f"{found.num_judged:,}"
    if found.num_overlap:
        told.append(f"{found.num_overlap:,} of {judged} evaluation clips are trained on too: that is memory")
    if num_watched := num_shared(found.eval, found.test):
        told.append(f"{num_watched:,} of {judged} test clips are watched too: what is chosen, is by them")
    groups = found.shared_groups
    if groups:
        told.append(
            f"leak: {len(groups):,} groups are trained on and evaluated on ({listed(list(groups), 5)}), with "
            f"{sum(groups.values()):,} of {judged} evaluation clips: what is learned may be the group - "
            "split by group (docs/labels.md)"
        )
    if found.labels is not None and found.train is not None:
        counts = found.labels.counts(found.train)
        absent = [name for name, count in zip(found.labels.names, counts, strict=True) if not count]
        if absent:
            told.append(f"{len(absent):,} of {len(counts):,} classes have no training clip: {listed(absent)}")
    front_end = recipe.front_end
    moves = isinstance(front_end, PasstFrontEndConfig) and max(front_end.f_min_range, front_end.f_max_range) > 1
    if moves and found.train is not None and found.train.front_end is not None:
        told.append(
            f"front_end.f_min_range, f_max_range: {found.train.source} holds log-mels, whose band edges cannot move "
            "any more - train from audio for that, or set both to 1"
        )
    told += dict.fromkeys(
        note for one in (found.train, found.eval, found.test) if one is not None for note in one.notes
    )
    objective = recipe.objective
    is_weighed = isinstance(objective, ClassificationConfig) and objective.class_weights == "balanced"
    if is_weighed and isinstance(recipe.data.sampling, BalancedConfig):
        told.append("data.sampling and objective.class_weights both balance: rare classes count twice - keep one")
    return told
