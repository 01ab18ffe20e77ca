"""What `import zoo` offers, and that it costs nothing before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import zoo

ROOT = Path(zoo.__file__).parents[1]


def _in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", zoo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(zoo, name)
    assert callable(value)
    assert value.__doc__
    assert name in dir(zoo)


def test_names_and_their_table_agree() -> None:
    eager = {"CheckpointError", "DataError", "RecipeError", "ShapeError", "ZooError", "models"}
    assert set(zoo.__all__) == set(zoo._WHERE) | eager
    assert list(zoo.__all__) == sorted(zoo.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'bild'"):
        zoo.bild  # noqa: B018
    assert not hasattr(zoo, "__path_of_nowhere__")


def test_import_is_light() -> None:
    code = (
        "import sys, zoo\n"
        "dir(zoo), zoo.__version__, zoo.ZooError\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'jaxtyping') if m in sys.modules])"
    )
    assert _in_a_fresh_process(code) == "[]\n"


def test_models_is_a_call_and_a_folder() -> None:
    code = (
        "import zoo\n"
        "print(zoo.models()[:2], zoo.models.ast.AstConfig.__name__)\n"
        "import zoo.models.cnn\n"
        "print(zoo.models()[:1], zoo.models.cnn.CnnConfig.__name__)\n"
        "from zoo import models\n"
        "print(models is zoo.models, len(models()) == len(set(models())))\n"
    )
    assert _in_a_fresh_process(code).splitlines() == [
        "['ast-tiny', 'ast-small'] AstConfig",
        "['ast-tiny'] CnnConfig",
        "True True",
    ]


def test_star_import() -> None:
    assert _in_a_fresh_process("from zoo import *\nprint(issubclass(ShapeError, ZooError), callable(build))") == (
        "True True\n"
    )


def test_errors_are_one_family() -> None:
    for name in ("CheckpointError", "DataError", "RecipeError", "ShapeError"):
        assert issubclass(getattr(zoo, name), zoo.ZooError)
