"""The command that shows what pretraining is worth."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.program import Json, app, print_json


@app.command()
def proof(
    entries: Annotated[
        list[str], typer.Argument(metavar="DATA=FOLDER [KEY=VALUE]...", help="KEY=VALUE is for every recipe.")
    ],
    scale: Annotated[
        str, typer.Option(metavar="cpu|minutes|full|PLAN.YAML", help="A plan that comes along, or a file of your own.")
    ] = "cpu",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where runs and results go. [default: runs/proof-SCALE]")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Runs side by side. [default: one a core; 6 on a GPU]"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="pretrain, pretrain:NAME, TASK, KIND, TASK:KIND, TASK:ROW; several times."),
    ] = None,
    publish: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the pages of the results there, with their pictures.")
    ] = None,
    no_pack: Annotated[
        bool, typer.Option("--no-pack", help="Read the audio as it is, instead of decoding it once into packs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and the seconds they may take.")] = False,
    as_json: Json = False,
) -> None:
    """Pretrain without labels, fine-tune, and hold the result against scratch, probes and every family of the zoo.

    Killed and started again, it goes on where it was. FOLDER has pretrain*/ and tasks/NAME/meta.csv: docs/proof.md.

    Example:  zoo proof DATA=my_audio --scale cpu --out runs/proof

    Example:  zoo proof DATA=my_audio --scale full --only pretrain:patch --only esc10
    """
    from zoo.proof.asked import asked_for
    from zoo.proof.config import find_proof, read_proof
    from zoo.proof.estimate import estimate
    from zoo.proof.proof import proof as run_proof
    from zoo.proof.show import show_estimate, show_results
    from zoo.use.console import Console

    console = Console(quiet=as_json)
    plan = find_proof(scale)
    config = read_proof(plan)
    asked = asked_for(entries, scale, config, out=out, jobs=jobs, only=only or [], pack=not no_pack)
    if dry_run:
        report = estimate(config, asked, console)
        print_json(report) if as_json else show_estimate(console, report)
        return
    results = run_proof(config, asked, console)
    if publish is not None:
        from zoo.proof.publish import publish as write_pages

        write_pages(results, publish, runs=asked.out)
    print_json(results.as_json()) if as_json else show_results(console, results, asked.out)
