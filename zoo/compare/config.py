"""A comparison as a YAML file: who is compared, over which seeds and folds, at which budget."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from zoo.audio.front_ends import FrontEndConfig
from zoo.compare.folds import Rule
from zoo.config import Config
from zoo.recipe.document import Document, did_you_mean
from zoo.recipe.plain_words import checked
from zoo.recipe.recipe import folder_name
from zoo.recipe.strict_yaml import read_document

OWN = "own"


def as_tuple(value: Any) -> Any:
    """A list of YAML as a tuple; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else as_tuple(value)


def as_names(value: Any) -> Any:
    """A list of names as a tuple, in which a number is a name; anything else, such as `all`, as it is."""
    if isinstance(value, list):
        return tuple(str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value)
    return value


Name = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(folder_name)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = Annotated[
    Annotated[int, Field(ge=1, le=100)] | Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100)],
    BeforeValidator(as_tuple, json_schema_input_type=int | list[int]),
]
Folds = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1, max_length=1_000)] | str | None,
    BeforeValidator(as_names, json_schema_input_type=str | list[str | int] | None),
]
Amount = Annotated[float, Field(gt=0, le=1e30)]


class ContenderConfig(Config):
    """One row of the table: a recipe to be run, or runs that are there already."""

    recipe: Annotated[str, Field(min_length=1)] | None = None
    """A recipe, as a path or a name. Exactly one of recipe and runs is set."""
    runs: Annotated[
        tuple[str, ...] | None, BeforeValidator(_one_or_more, json_schema_input_type=str | list[str] | None)
    ] = None
    """Folders of finished runs that differ in their seeds and folds alone, or a folder of such."""
    name: Name | None = None
    """In the table, and of the folder of its runs; null: the recipe's."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Overrides of its recipe: `{optim.lr: 1e-4}`."""

    @model_validator(mode="after")
    def _one_source(self) -> "ContenderConfig":
        if (self.recipe is None) == (self.runs is None):
            found = "neither recipe nor runs" if self.recipe is None else "recipe beside runs"
            raise ValueError(f"found {found} - expected exactly one of the two - set one")
        if self.runs is not None and self.set:
            raise ValueError("set: found beside runs, which are finished - expected it beside a recipe - leave it out")
        return self


class BudgetConfig(Config):
    """What is equal for all contenders that are trained. Exactly one is set."""

    clips: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Clips seen in training."""
    flops: Amount | None = None
    """Operations of training, forward and backward, a multiply-add counted as two."""
    seconds: Amount | None = None
    """Of training on this device, at the rate that each contender is measured to have there."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "BudgetConfig":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"found {' and '.join(given) or 'nothing'} - expected exactly one of clips, flops, seconds"
            )
        return self

    @property
    def kind(self) -> str:
        """clips, flops or seconds."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def amount(self) -> float:
        """Of that kind."""
        return float(getattr(self, self.kind))


class ComparisonConfig(Config):
    """Contenders × seeds × folds, at one budget, behind one front end."""

    name: Name = "compare"
    """Of the comparison; its runs go to runs/NAME."""
    contenders: Annotated[tuple[ContenderConfig, ...], Field(min_length=1, max_length=1_000), BeforeValidator(as_tuple)]
    reference: str | None = None
    """The contender that the others are tested against; null: the first one."""
    seeds: Seeds = 1
    """How many, counted up from the reference's own, or which. All contenders get the same."""
    folds: Folds = None
    """`all`: one run for each fold of the data, judged on that fold; or names of some. null: no cross-validation."""
    rule: Rule = "validation"
    """Of folds: how the judged weights are chosen. `validation`, `last`, or `official`, which flatters."""
    budget: BudgetConfig | None = None
    """null: as long as each recipe says."""
    front_end: FrontEndConfig | str | None = None
    """Of every recipe. null: the reference's; `own`: each its own, which is flagged where they differ."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Overrides of every recipe: `{data.train: train.csv}`."""

    @model_validator(mode="after")
    def _no_contradictions(self) -> "ComparisonConfig":
        if isinstance(self.front_end, str) and self.front_end != OWN:
            raise ValueError(f"front_end: found {self.front_end!r} - expected a front end, null, or '{OWN}'")
        if isinstance(self.folds, str) and self.folds != "all":
            raise ValueError(f"folds: found {self.folds!r} - expected 'all', a list of names, or null")
        names = [one.name for one in self.contenders if one.name is not None]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise ValueError(f"contenders: found {twice[0]!r} twice - expected one name each")
        return self

    @property
    def fold_names(self) -> tuple[str, ...] | None:
        """The folds that are asked for; None is all."""
        return None if self.folds is None or isinstance(self.folds, str) else self.folds


def is_comparison(path: str) -> bool:
    """Whether this is a file that describes a comparison, and not a recipe: it has `contenders`."""
    if not path.lower().endswith((".yaml", ".yml")) or not Path(path).is_file():
        return False
    value = read_document(path).value
    return isinstance(value, dict) and "contenders" in value


def read_comparison(path: str | Path) -> ComparisonConfig:
    """The comparison in a file.

    Raises: RecipeError: one line for every mistake, as `matrix.yaml:12: seeds: ...`.
    """
    document = read_document(path)
    _check_mapping(document)
    known = ComparisonConfig.model_fields
    for key in document.value:
        if key not in known:
            document.report((key,), f"unknown key{did_you_mean(key, known) or '.'} Known: {', '.join(known)}")
    document.value = {key: value for key, value in document.value.items() if key in known}
    found = checked(ComparisonConfig, document, ())
    document.check()
    assert isinstance(found, ComparisonConfig)
    return found


def _check_mapping(document: Document) -> None:
    if document.is_whole and not isinstance(document.value, dict):
        document.report((), "found no keys - expected 'contenders:' and the like")
    if document.problems and not isinstance(document.value, dict):
        document.check()
