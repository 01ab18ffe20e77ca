"""The command line: parsing and printing only. Heavy imports wait until a command needs them."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.errors import ZooError

_INTERRUPTED = 130
_IN_TORCHRUN = "LOCAL_RANK"  # a variable that torchrun sets
_FOR_TORCHRUN = ("pretrain", "finetune")

app = typer.Typer(
    name="zoo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pretrain, fine-tune and compare transformers on audio spectrograms.\n\n"
    "First time here:  zoo quickstart   (real audio, a few minutes on a CPU)",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Run folder. Default: runs/NAME of the recipe.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. optim.lr=1e-4")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run folder.")]


def _version(value: bool | None) -> None:
    if value:
        from zoo import __version__

        typer.echo(f"zoo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Options of the program itself."""


def print_json(value: Any) -> None:
    """A report for scripts."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _check_shared(arguments: Sequence[str]) -> None:
    """Raises ZooError where torchrun has started several processes for a command that is for one."""
    if _IN_TORCHRUN not in os.environ or not arguments or arguments[0].startswith("-"):
        return
    from zoo.torchrun import is_started_by_torchrun

    if is_started_by_torchrun() and arguments[0] not in _FOR_TORCHRUN:
        raise ZooError(
            f"zoo {arguments[0]}: started by torchrun as {os.environ['WORLD_SIZE']} processes - expected one, for "
            f"only {' and '.join(_FOR_TORCHRUN)} share their work - start it without torchrun"
        )


def _complain(text: str) -> None:
    """To stderr; of several processes that have found the same, one says it."""
    if _IN_TORCHRUN in os.environ:
        from zoo.torchrun import is_first_to_say

        if not is_first_to_say(text):
            return
    typer.echo(text, err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program. Exit codes: 0 done, 2 the user's input, 1 our bug, 130/143 interrupted after a checkpoint."""
    try:
        _check_shared(sys.argv[1:] if arguments is None else arguments)
        stopped = app(args=list(arguments) if arguments is not None else None, prog_name="zoo", standalone_mode=False)
        if stopped == _INTERRUPTED:
            raise KeyboardInterrupt  # which typer has made a number of
    except ZooError as error:
        _complain("\n".join(str(error).splitlines()))
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        _complain(f"{error.filename}: {error.strerror} - expected a path that can be used - choose another")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        sys.exit(_INTERRUPTED)
    except Exception as stop:
        # Wrong options (which can show themselves), and `Interrupted`, which lives beside torch and is not imported.
        if not hasattr(stop, "exit_code"):
            raise
        message = getattr(stop, "format_message", lambda: str(stop))()
        if message:
            asked = getattr(getattr(stop, "ctx", None), "command_path", "zoo")
            _complain(message + (f" - see {asked} --help" if stop.exit_code == 2 else ""))
        sys.exit(stop.exit_code)
