"""Commands that make and examine data sets."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, app, print_json

Columns = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="OURS=THEIRS", help="A column by another name: labels=category; may be repeated."),
]


@app.command()
def prepare(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A data set; left out: the list of them.")
    ] = None,
    source: Annotated[Path | None, typer.Argument(metavar="[SOURCE]", help="Its folder, as you unpacked it.")] = None,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. label=pitch for nsynth")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write. Default: data/NAME.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Open no audio: hours stay unknown.")] = False,
    as_json: Json = False,
) -> None:
    """Make a manifest and a label table of a known data set, or of any folder.

    Example:  zoo prepare                                       (the data sets that are known)

    Example:  zoo prepare esc50 ~/ESC-50-master

    Example:  zoo prepare folder my_classes labels=folders

    Writes manifest.csv, labels.csv, missing.txt and prepared.json; audio is neither copied nor changed. Prints clips,
    hours, classes, folds, and the hash that every result on this manifest carries.
    """
    from zoo.use.console import Console
    from zoo.use.prepare import describe_preparer, list_preparers
    from zoo.use.prepare import prepare as run_prepare
    from zoo.use.show.prepared import show_prepared, show_preparer, show_preparers

    console = Console(quiet=as_json)
    if name is None:
        rows = list_preparers()
        return print_json(rows) if as_json else show_preparers(console, rows)
    if source is None:
        row = describe_preparer(name)
        return print_json(row) if as_json else show_preparer(console, row)
    report = run_prepare(name, source, options or [], out, quick, counting=console.counting)
    if as_json:
        print_json(report)
    else:
        show_prepared(console, report)


@app.command()
def split(
    manifest: Annotated[str, typer.Argument(help="Manifest, or a folder of classes.")],
    out: Annotated[Path, typer.Argument(help="A new .csv or .jsonl.")],
    by: Annotated[
        Literal["group", "label", "clip"],
        typer.Option(help="group: no group in two folds; label: every class in every fold; clip: at random."),
    ],
    folds: Annotated[int, typer.Option(min=2, max=1000, help="How many.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Another number gives other folds.")] = 0,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Write folds into a manifest, of equal size and classes, with no group in two of them.

    Example:  zoo split meta.csv folds.csv --folds 5 --by group

    Example:  zoo split esc50.csv folds.csv --by label --column labels=category
    """
    from zoo.use.console import Console
    from zoo.use.show.split import show_split
    from zoo.use.split import split_manifest

    report = split_manifest(manifest, out, folds, by, seed, _mapping(columns))
    if as_json:
        print_json(report)
    else:
        show_split(Console(), report)


@app.command()
def audit(
    manifests: Annotated[
        list[str], typer.Argument(metavar="MANIFEST...", help="Manifests or folders; several are sides of a split.")
    ],
    columns: Columns = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Do not read labels.")] = False,
    labels: Annotated[str | None, typer.Option("--labels", help="A label table that all labels must be in.")] = None,
    front_end: Annotated[
        str, typer.Option("--front-end", help="ast, hf, passt or a checkpoint: too short is too short for this one.")
    ] = "ast",
    duplicates: Annotated[
        bool, typer.Option("--near-duplicates/--no-near-duplicates", help="Without: the same samples only.")
    ] = True,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; default one a core.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write all findings here, a JSON object a line.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if there is any error.")] = False,
    as_json: Json = False,
) -> None:
    """Look for what spoils a result: bad audio, bad labels, one recording on both sides of a split.

    Example:  zoo audit train.csv eval.csv --strict

    Example:  zoo audit meta.csv --column labels=category --out findings.jsonl

    Errors are unreadable audio, leaks between splits, folds or manifests, and labels that are not in --labels.
    """
    from zoo.data.audit.report import has_errors
    from zoo.use.audit import audit_manifests
    from zoo.use.console import Console
    from zoo.use.show.audit import bars, show_audit

    console = Console(quiet=as_json)
    with bars(console) as counting:
        report = audit_manifests(
            manifests,
            columns=_mapping(columns),
            unlabelled=unlabelled,
            labels=labels,
            front_end_of=front_end,
            duplicates=duplicates,
            workers=workers,
            out=out,
            counting=counting,
        )
    if as_json:
        print_json(report)
    else:
        show_audit(console, report)
    if strict and has_errors(report):
        raise SystemExit(2)  # of click, which is not its own program here, an Exit would be swallowed


@app.command()
def stats(
    manifest: Annotated[str, typer.Argument(help="A manifest, or a folder of audio.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fields of the front end, e.g. n_mels=64.")
    ] = None,
    front_end: Annotated[str, typer.Option("--front-end", help="ast, hf, passt, or a checkpoint.")] = "ast",
    columns: Columns = None,
    fold: Annotated[list[str] | None, typer.Option(help="Only these folds: those that are trained on.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many clips, evenly spread.")] = None,
    as_source: Annotated[
        int | None,
        typer.Option("--as-source", min=1, max=100_000, metavar="FRAMES", help="Cut or pad clips, and count padding."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that decode; default one a core.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the mean and std that normalise a data set's log-mels.

    Example:  zoo stats train.csv --front-end ast

    Every frame of every clip counts once; nothing is augmented. The result has the lines to put in a recipe.
    """
    from zoo.use.console import Console
    from zoo.use.show.stats import show_stats
    from zoo.use.stats import data_statistics

    console = Console(quiet=as_json)
    with console.counting("measuring") as advance:
        report = data_statistics(
            manifest,
            front_end=front_end,
            overrides=overrides or [],
            fold=fold,
            split=split,
            columns=_mapping(columns),
            limit=limit,
            as_source=as_source,
            device=device,
            workers=workers,
            advance=advance,
        )
    if as_json:
        print_json(report)
    else:
        show_stats(console, report)


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
    columns: Columns = None,
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

    Example:  zoo pack data/train.csv packs/train --as flac

    Example:  zoo pack --verify packs/train

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
    with console.counting("pack") as count:
        report = packing.pack_manifest(
            source,
            out,
            mode="features" if features else as_,
            sample_rate=sample_rate,
            front_end_of=front_end,
            dtype=dtype,
            unlabelled=unlabelled,
            columns=_mapping(columns),
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


def _mapping(pairs: list[str] | None) -> dict[str, str]:
    """`OURS=THEIRS` as the `data.columns` of a recipe."""
    mapping = {}
    for pair in pairs or []:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals):
            raise typer.BadParameter(f"--column {pair}: expected OURS=THEIRS, as in labels=category")
        mapping[ours] = theirs
    return mapping
