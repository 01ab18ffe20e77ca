"""Commands that prepare data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, app, print_json


@app.command()
def pack(
    source: Annotated[str, typer.Argument(metavar="MANIFEST", help="Manifest or folder; a pack with --verify.")],
    out: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="Folder for the shards.")] = None,
    as_: Annotated[
        Literal["original", "flac", "wav"], typer.Option("--as", help="The files as they are, or 16-bit mono.")
    ] = "original",
    sample_rate: Annotated[
        int | None, typer.Option(min=1_000, max=384_000, help="Hz, of flac and wav. Default 16000.")
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Pack log-mels of --front-end instead of audio.")
    ] = False,
    front_end: Annotated[
        str | None, typer.Option(help="ast, passt, a checkpoint or a recipe: its sampling rate, its log-mels.")
    ] = None,
    dtype: Annotated[Literal["float16", "float32"], typer.Option(help="Of the log-mels.")] = "float16",
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Read no labels.")] = False,
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="As data.columns of a recipe; repeatable.")
    ] = None,
    shard_mb: Annotated[float, typer.Option(min=0.02, max=10_000_000, help="Largest size of a shard, MB.")] = 1000.0,
    shard_clips: Annotated[int | None, typer.Option(min=1, help="Most members of a shard.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=1024, help="Processes. Default: one a core, at most 8; 0 for a few clips.")
    ] = None,
    max_bad_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Unusable clips allowed, 0 to 1.")] = 0.5,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of a finished pack and tell what is wrong.")
    ] = False,
    index: Annotated[bool, typer.Option("--index", help="Index a folder of webdataset shards, in place.")] = False,
    as_json: Json = False,
) -> None:
    """Pack clips into tar shards with an index: fast to copy, fast to read, read by webdataset too.

    Example:  zoo pack data/train.csv packs/train --as flac        zoo pack --verify packs/train

    Example:  zoo pack data/train.csv packs/log-mels --features --front-end ast

    Train from it with data.train=packs/train. The same command goes on with a pack that was interrupted.
    """
    from zoo.use import pack as packing
    from zoo.use.console import Console
    from zoo.use.show.packed import show_packed, show_verified

    console = Console(quiet=as_json)
    if verify and index:
        raise typer.BadParameter("--verify and --index: give one of them")
    if verify or index:
        if out is not None:
            raise typer.BadParameter(f"{'--verify' if verify else '--index'} takes one folder, not two")
        with console.counting("verify" if verify else "index", "shards") as count:
            report = packing.verify(source, count) if verify else packing.index(source, count)
        if as_json:
            print_json(report)
        else:
            (show_verified if verify else show_packed)(console, report)
        return
    if out is None:
        raise typer.BadParameter("give the folder for the shards: zoo pack MANIFEST OUT")
    if features and as_ != "original":
        raise typer.BadParameter("--features and --as: give one of them")
    columns = dict(pair.split("=", 1) for pair in column or [] if "=" in pair)
    if len(columns) < len(column or []):
        raise typer.BadParameter("--column takes OURS=THEIRS, such as labels=category, each of ours once")
    with console.counting("pack") as count:
        report = packing.pack_manifest(
            source,
            out,
            mode="features" if features else as_,
            sample_rate=sample_rate,
            front_end_of=front_end,
            dtype=dtype,
            unlabelled=unlabelled,
            columns=columns,
            shard_megabytes=shard_mb,
            shard_clips=shard_clips,
            workers=workers,
            max_bad_share=max_bad_share,
            on_progress=count,
        )
    if as_json:
        print_json(report)
    else:
        show_packed(console, report)
