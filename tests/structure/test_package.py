"""What a stranger installs: the wheel has every module and recipe, and importing it stays cheap."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_import_zoo_does_not_import_torch() -> None:
    done = _run("import sys, zoo; assert 'torch' not in sys.modules; assert zoo.__version__; print('ok')")
    assert done.stdout == "ok\n", done.stderr


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\n"
        "from zoo.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules and 'pydantic' not in sys.modules, 'heavy import'\n"
    )
    done = _run(code)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


def test_torchaudio_is_not_needed_to_build_a_model() -> None:
    code = (
        "import sys\n"
        "sys.modules['torchaudio'] = None\n"
        "import torch, zoo\n"
        "model = zoo.build('ast-tiny', num_classes=3, n_frames=64, depth=1)\n"
        "log_mel = zoo.front_end('ast')(torch.zeros(1, 16000))\n"
        "print(tuple(model(log_mel[..., :64]).shape))\n"
    )
    done = _run(code)
    assert done.stdout == "(1, 3)\n", done.stderr


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_recipe(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(p.relative_to(ROOT)) for p in (ROOT / "zoo").rglob("*.py")}
    expected |= {"zoo/" + str(p.relative_to(ROOT)) for p in (ROOT / "recipes").rglob("*.yaml")}
    expected |= {"zoo/checkpoints/catalogue.yaml"}
    assert expected <= names, sorted(expected - names)


def test_constraints_fit_the_project() -> None:
    """The pinned versions are inside the declared ranges, and name no package index."""
    text = (ROOT / "constraints.txt").read_text()
    lines = [line.split("==") for line in text.splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pins[name], prereleases=True), requirement
    assert "://" not in text
