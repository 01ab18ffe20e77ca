"""A proof as it is asked for on the command line."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import RecipeError
from zoo.proof.config import ProofConfig
from zoo.proof.proof import Asked

_DATA = "DATA"


def asked_for(
    entries: Sequence[str],
    scale: str,
    config: ProofConfig,
    *,
    out: Path | None,
    jobs: int | None,
    only: Sequence[str],
    pack: bool,
) -> Asked:
    """Args: `entries`: DATA=FOLDER, and KEY=VALUE of every recipe. Raises RecipeError: entries that are none."""
    folders = [one.split("=", 1)[1] for one in entries if one.split("=", 1)[0] == _DATA and "=" in one]
    overrides = tuple(one for one in entries if one.split("=", 1)[0] != _DATA)
    for one in overrides:
        if "=" not in one:
            raise RecipeError(f"<command line>: found '{one}' - expected DATA=FOLDER and KEY=VALUE - write it so")
    if len(folders) != 1 or not folders[0]:
        raise RecipeError(
            f"<command line>: found {len(folders)} DATA=FOLDER - expected one, with pretrain*/ and tasks/ - give it"
        )
    words = ["zoo", "proof", *entries, "--scale", scale]
    words += ["--out", str(out)] if out is not None else []
    words += ["--jobs", str(jobs)] if jobs is not None else []
    words += [word for part in only for word in ("--only", part)]
    words += [] if pack else ["--no-pack"]
    shown = [f"{_DATA}=FOLDER" if word.startswith(f"{_DATA}=") else shlex.quote(word) for word in words]
    return Asked(
        data=Path(folders[0]).expanduser(),
        out=out or Path("runs") / config.name,
        overrides=overrides,
        only=tuple(only),
        jobs=jobs,
        pack=pack,
        command=" ".join(shown),
    )
