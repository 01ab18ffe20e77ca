"""A recipe: everything about a run that is not data, as one frozen value, read from YAML and written back complete.

Every mistake of a recipe and of its overrides is told at once, by line and key: what YAML cannot say
(`zoo.recipe.strict_yaml`), what does not fit a section (`zoo.recipe.plain_words`), and what two sections contradict
each other in (`zoo.recipe.rules`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml
from pydantic import AfterValidator, Field, model_validator

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.augment import AugmentConfig
from zoo.audio.front_ends import FrontEndConfig
from zoo.config import Config
from zoo.data.config import DataConfig
from zoo.data.windows import LongClips, WindowConfig
from zoo.models import AnyModelConfig
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.recipe.document import Document, KeyPath, Problem, did_you_mean, key_text
from zoo.recipe.files import find_recipe
from zoo.recipe.plain_words import checked, fields_of
from zoo.recipe.rules import broken_rules, metrics_for
from zoo.recipe.sections import EvaluateConfig, InitConfig, LogConfig, TrainConfig
from zoo.recipe.strict_yaml import parse_document, plain_value, read_document, split_pair
from zoo.train.optim import AdamWConfig, OptimConfig
from zoo.train.schedule import CosineConfig, ScheduleConfig

ObjectiveConfig = Annotated[MaskedPatchConfig | ClassificationConfig, Field(discriminator="kind")]

# Of each group one key is set; an override of one replaces the others.
_ONE_OF = (
    (("train", "epochs"), ("train", "clips"), ("train", "steps")),
    (("evaluate", "every_epochs"), ("evaluate", "every_clips")),
)


def _folder_name(name: str) -> str:
    if not name.isprintable() or name != name.strip() or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
        raise ValueError(f"found {name!r} - expected the name of a folder, so no '/' and the like - choose another")
    return name


class Recipe(Config):
    """One run. The sections are the configs of the parts; each is documented where the part is."""

    name: Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_folder_name)]
    """Names the run, in tables and as a folder."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Every draw follows from it."""
    model: AnyModelConfig
    init: InitConfig = InitConfig()
    front_end: FrontEndConfig = AstFrontEndConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    objective: ObjectiveConfig
    optim: OptimConfig = AdamWConfig()
    schedule: ScheduleConfig = CosineConfig()
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _no_contradictions(self) -> "Recipe":
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        found = [f"{'.'.join(map(str, path))}: {text}" for path, text in broken_rules(sections)]
        if found:
            raise ValueError("\n".join(found))
        return self

    @property
    def metric(self) -> str:
        """The metric that decides which checkpoint is best: as stated, or the objective's and the task's own."""
        return self.evaluate.metric or metrics_for(self.objective, self.data.task)[0][0]

    @property
    def windows(self) -> WindowConfig:
        """What an evaluation does with long clips: as stated, or by objective."""
        on = self.evaluate
        by_objective: LongClips = "beginning" if self.objective.kind == "masked-patch" else "windows"
        return WindowConfig(long_clips=on.long_clips or by_objective, overlap=on.overlap, max_seconds=on.max_seconds)


def read_recipe(path: str | Path, overrides: Sequence[str] = (), *, for_training: bool = False) -> Recipe:
    """The recipe in a file, or of a name that `find_recipe` knows, with KEY=VALUE overrides.

    Args:
        overrides: `optim.lr=1e-4`; values are read as in a recipe. One of train.epochs, clips and steps replaces the
            others, and so does one of evaluate.every_epochs and every_clips.
        for_training: also refuse a recipe without training data.

    Raises:
        RecipeError: one line for every mistake.
    """
    return _recipe(read_document(find_recipe(path)), overrides, for_training)


def parse_recipe(text: str, where: str, overrides: Sequence[str] = (), *, for_training: bool = False) -> Recipe:
    """As `read_recipe`, from text; `where` is what messages call it."""
    return _recipe(parse_document(text, where), overrides, for_training)


def _recipe(document: Document, overrides: Sequence[str], for_training: bool) -> Recipe:
    if document.is_whole and not isinstance(document.value, dict):
        found = "nothing" if document.value is None else "a list" if isinstance(document.value, list) else "text"
        document.problems.append(Problem(1, "", f"found {found} - expected sections like 'model:' and 'train:'"))
        document.is_whole = False
    if not document.is_whole:
        document.check()
    _override(document, overrides)
    types = get_type_hints(Recipe, include_extras=True)
    elsewhere = {key: f"{section}.{key}" for section in reversed(types) for key in fields_of(types[section])}
    del elsewhere["kind"]
    for key in document.value:
        if key not in Recipe.model_fields:
            hint = did_you_mean(key, types) or (f"; did you mean '{elsewhere[key]}'?" if key in elsewhere else ".")
            document.report((key,), f"unknown key{hint} Known: {', '.join(Recipe.model_fields)}")
    sections: dict[str, Any] = {}
    for name, field in Recipe.model_fields.items():
        is_section = name not in ("name", "seed")
        if is_section and name in document.value and document.value[name] is None:
            document.value[name] = {}  # every key of it is commented out
        if name in document.value:
            before = len(document.problems)
            value = checked(types[name], document, (name,), elsewhere)
            if len(document.problems) == before and value is not None:
                sections[name] = value
        elif field.is_required():
            document.report((name,), f"required {'section' if is_section else 'key'} is missing")
        else:
            sections[name] = field.default
    for path, text in broken_rules(sections):
        document.report(path, text)
    if for_training and "data" in sections and not sections["data"].train:
        document.report(("data", "train"), "found nothing - expected a folder or a manifest - add data.train=PATH")
    if for_training and "evaluate" in sections and "data" in sections and not sections["data"].is_watched:
        on = sections["evaluate"]
        needing = {"patience": on.patience and "early stopping", "select": on.select == "best" and "'best'"}
        for key, what in needing.items():
            if what:
                text = f"found {what} without evaluation clips - expected some - add data.eval=PATH or"
                document.report(("evaluate", key), f"{text} data.validation={{share: 0.1}}, or leave it out")
    document.check()
    return Recipe(**sections)


def _override(document: Document, overrides: Sequence[str]) -> None:
    """Puts KEY=VALUE pairs into the document; what cannot be read of them becomes its problems."""
    given: dict[str, Any] = {}
    for override in overrides:
        try:
            key, value = split_pair(override, given, "optim.lr=1e-4")
        except ValueError as error:
            document.problems += [Problem(None, "", line) for line in str(error).splitlines()]
            continue
        path: KeyPath = tuple(key.split("."))
        parents = [document.at(path[:depth]) for depth in range(1, len(path))]
        if any(isinstance(parent, list) for parent in parents):
            document.problems.append(Problem(None, key_text(path), "inside a list - override the list as a whole"))
            continue
        given[key] = value
        if path[0] == "data" and len(path) > 2 and isinstance(parents[1], str):
            # data.train was a plain path, or data.sampling a kind.
            document.put(path[:2], {"kind" if path[1] == "sampling" else "path": parents[1]})
        document.put(path, value)
    for group in _ONE_OF:
        if any(given.get(key_text(path)) is not None for path in group):
            for path in group:
                if key_text(path) not in given:
                    document.drop(path)


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values with all defaults, as a YAML file would have them.

    `model.num_classes` is left out where the recipe leaves it out: it then follows the data, and no default is meant.
    """
    values = recipe.model_dump(mode="json", by_alias=True)
    if "num_classes" not in recipe.model.model_fields_set:
        del values["model"]["num_classes"]
    return values


def dump_recipe(recipe: Recipe) -> str:
    """The complete recipe as YAML; reading it gives an equal recipe."""
    return yaml.dump(resolved(recipe), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31)


class _Dumper(yaml.SafeDumper):
    """Quotes what our reader or another would not take for text; writes lists of values on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.Node:
        try:
            is_plain = plain_value(text) == text
        except ValueError:
            is_plain = False
        style = '"' if not text.isprintable() else None if is_plain else "'"  # in '' a line break may change its kind
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def represent_values(self, values: list[Any]) -> yaml.Node:
        is_short = not any(isinstance(value, dict | list) for value in values) and len(values) <= 16
        return self.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_short)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(list, _Dumper.represent_values)


def recipe_differences(a: Recipe, b: Recipe) -> list[tuple[str, Any, Any]]:
    """Every key whose value differs, with both values; None where a recipe has no such key."""
    left, right = dict(_flat(resolved(a))), dict(_flat(resolved(b)))
    keys = dict.fromkeys([*left, *right])
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
