"""The tree is the architecture: imports point one way, files stay small, nothing hides in a function."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "zoo"
FILES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of the others. Folders are the stages of the data flow (docs/architecture.md).
BASE = {"errors", "config", "draws", "disk", "group", "precision", "torchrun"}
AUDIO = BASE | {"audio"}
NN = BASE | {"nn"}
DATA = AUDIO | {"data"}
MODELS = NN | {"models"}
TRAIN = BASE | {"train"}
EVALUATE = DATA | {"evaluate"}
WEIGHTS = MODELS | TRAIN | AUDIO | {"weights"}
RECIPE = DATA | WEIGHTS | {"objectives", "recipe"}
RUN = RECIPE | EVALUATE | WEIGHTS | {"__version__", "provenance", "run"}
COMPARE = RUN | {"compare"}
USE = COMPARE | {"use"}
PROOF = USE | {"proof"}
ALLOWED = {
    "errors": set(),
    "config": set(),
    "draws": set(),
    "disk": {"errors"},
    "group": {"errors", "torchrun"},
    "torchrun": set(),
    "precision": set(),
    "provenance": BASE | {"provenance"},
    "audio": AUDIO,
    "nn": NN,
    "data": DATA,
    "models": MODELS,
    "objectives": BASE | {"data.batch", "objectives"},
    "train": TRAIN | {"data.batch"},
    "evaluate": EVALUATE,
    "weights": WEIGHTS,
    "recipe": RECIPE,
    "run": RUN,
    "compare": COMPARE,
    "use": USE,
    "proof": PROOF,
    "cli": PROOF | {"cli"},
    "hear": USE,
    "__main__": {"cli"},
    "__init__": USE,
}
LAZY_IMPORTS = ("cli/", "__init__.py", "audio/resample.py")


def _zoo_imports(tree: ast.AST) -> list[str]:
    """Dotted names inside the package that a file imports, `zoo.` left out."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "zoo":
            inner = (node.module or "").removeprefix("zoo").removeprefix(".")
            names += [inner] if inner else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.append("<relative import>")
        elif isinstance(node, ast.Import):
            names += [alias.name.removeprefix("zoo.") for alias in node.names if alias.name.startswith("zoo.")]
    return names


def _part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def _is_allowed(name: str, allowed: set[str]) -> bool:
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = _part(path)
    assert part in ALLOWED, f"{part}: a new part needs its place in the order of this test"
    wrong = [name for name in _zoo_imports(ast.parse(path.read_text())) if not _is_allowed(name, ALLOWED[part])]
    assert not wrong, f"{path.name} ({part}) imports {wrong}"


def test_the_import_check_can_fail() -> None:
    tree = ast.parse("from zoo.run import train\nimport zoo.cli\nfrom zoo import compare\n")
    assert _zoo_imports(tree) == ["run", "cli", "compare"]
    assert not any(_is_allowed(name, ALLOWED["nn"]) for name in _zoo_imports(tree))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 320, f"{path.name} has {lines} lines: split it by concept"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_inside_a_function(path: Path) -> None:
    if path.relative_to(PACKAGE).as_posix().startswith(LAZY_IMPORTS):
        return
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [n.lineno for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert not inside, f"imports inside functions on lines {inside}"


def test_file_names_say_what_is_inside() -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "base"}
    assert not [path for path in FILES if path.stem in vague]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_things_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    bare = [] if ast.get_docstring(tree) or path.name == "__init__.py" else ["the module"]
    bare += [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare, f"no docstring: {bare}"


def test_nn_never_sees_a_config() -> None:
    for path in (PACKAGE / "nn").glob("*.py"):
        assert "zoo.config" not in path.read_text(), f"{path.name}: parts take numbers, not configs"
