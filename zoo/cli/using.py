"""Commands that use a model: predictions, embeddings, probes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.cli.program import Json, app, print_json

Checkpoint = Annotated[Path, typer.Argument(help="All that zoo.load takes: a run, a folder, a file, a known name.")]
Audio = Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Files, folders (searched through), manifests.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
BatchSize = Annotated[int, typer.Option(min=1, help="Clips of the model's length at a time.")]
Workers = Annotated[
    int | None, typer.Option(min=0, max=1024, help="Processes that decode. Default: none on a CPU, else one a core.")
]
Layers = Annotated[str, typer.Option(help="last, all, or numbers such as 0,6,12; 0 is what the encoder gets.")]
Task = Literal["single-label", "multi-label"]


@app.command()
def predict(
    checkpoint: Checkpoint,
    audio: Audio,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Classes an answer. Default: 5, or all that reach --threshold.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Only classes of at least this probability.")
    ] = None,
    windows: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="An answer for every stretch of so many seconds.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="From one stretch to the next. Default: side by side.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv, .json or .jsonl file.")] = None,
    labels: Annotated[str | None, typer.Option(help="Label table, where the checkpoint has no names.")] = None,
    task: Annotated[Task | None, typer.Option(help="Where the checkpoint does not say it.")] = None,
    device: Device = "auto",
    batch_size: BatchSize = 32,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """What a trained classifier says of audio of any length, rate and format.

    Example:  zoo predict runs/mine a.wav more_audio --top-k 3

    Example:  zoo predict runs/mine long.flac --windows 2 --hop 1 --threshold 0.5 --out events.csv

    Files that cannot be used are told and left out; only when there is no other is the exit code 2.
    """
    from zoo.use.console import Console
    from zoo.use.passes import check_writable
    from zoo.use.predict import predict as run_predict
    from zoo.use.prediction_files import check_ending, write_predictions
    from zoo.use.show.using import show_predictions

    console = Console(quiet=as_json)
    if out is not None:
        check_ending(out)
        check_writable(out)
    found = run_predict(
        checkpoint,
        audio,
        top_k=top_k,
        threshold=threshold,
        windows=windows,
        hop=hop,
        labels=labels,
        task=task,
        device=device,
        batch_size=batch_size,
        workers=workers,
        counting=console.counting,
    )
    if out is not None:
        write_predictions(out, found)
    report = found.as_json()
    if as_json:
        print_json(report)
    else:
        show_predictions(console, report, None if out is None else str(out))


@app.command()
def embed(
    checkpoint: Checkpoint,
    audio: Audio,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .npz, or a .parquet file (needs pyarrow).")],
    level: Annotated[Literal["clip", "frame", "patch"], typer.Option(help="A vector for each of these.")] = "clip",
    layers: Layers = "last",
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="Of what is written.")] = "float32",
    device: Device = "auto",
    batch_size: BatchSize = 32,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Embeddings of audio from a frozen model: of clips, of frames with their times, or of patches.

    Example:  zoo embed runs/mine my_audio --out embeddings.npz

    Example:  zoo embed runs/mine long.flac --level frame --layers 6,12 --out frames.parquet

    An .npz is put together in memory. A .parquet is written as it comes: take it for what does not fit.
    """
    from zoo.use.console import Console
    from zoo.use.embed import embed_to_file
    from zoo.use.show.using import show_embedded

    console = Console(quiet=as_json)
    report = embed_to_file(
        checkpoint,
        audio,
        out,
        level=level,
        layers=layers,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        workers=workers,
        counting=console.counting,
    )
    if as_json:
        print_json(report)
    else:
        show_embedded(console, report)


@app.command()
def probe(
    checkpoint: Checkpoint,
    manifest: Annotated[str, typer.Argument(help="Labelled clips, or a folder of classes.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="linear|attentive|knn|all", help="Of probe; may be given again. Default: linear."),
    ] = None,
    layers: Layers = "last",
    folds: Annotated[int | None, typer.Option(min=2, max=1000, help="Make so many folds.")] = None,
    fold: Annotated[list[str] | None, typer.Option(help="Test only this fold; may be given again.")] = None,
    test: Annotated[str | None, typer.Option(metavar="MANIFEST", help="Test on these clips instead of folds.")] = None,
    task: Annotated[Task, typer.Option(help="Of the labels.")] = "single-label",
    labels: Annotated[str | None, typer.Option(help="Label table. Default: the names in the manifest.")] = None,
    pool: Annotated[
        Literal["model", "mean"], typer.Option(help="The model's own aggregator, or the mean of the patches.")
    ] = "model",
    inverse_regularisation: Annotated[
        float | None, typer.Option("--c", help="C of the linear probe. Default: chosen on training clips.")
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option("--k", min=1, help="k of kNN. Default: chosen on training clips.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--random/--no-random", help="Also probe the same model with fresh weights.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the attentive probe.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps features. Default: $ZOO_CACHE/features.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .json file for the report.")] = None,
    device: Device = "auto",
    batch_size: BatchSize = 32,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """What the frozen features of a model are worth: probes on its layers, over the folds of a manifest.

    Example:  zoo probe runs/mine esc50/meta.csv --kind all --layers all

    Example:  zoo probe runs/mine train.csv --test test.csv --kind linear --kind knn

    Features are computed once and kept; the next call reads them. Settings are chosen on training clips, never on those
    that are tested.
    """
    from zoo.disk import write_json, written_whole
    from zoo.use.console import Console
    from zoo.use.passes import check_writable
    from zoo.use.probe import KINDS
    from zoo.use.probe import probe as run_probe
    from zoo.use.show.using import show_probes

    console = Console(quiet=as_json)
    asked = kind or ["linear"]
    if out is not None:
        check_writable(out)
    found = run_probe(
        checkpoint,
        manifest,
        kinds=KINDS if "all" in asked else asked,
        layers=layers,
        test=test,
        folds=folds,
        fold=fold,
        task=task,
        labels=labels,
        pool=pool,
        inverse_regularisation=inverse_regularisation,
        neighbours=neighbours,
        untrained=untrained,
        seed=seed,
        cache=cache,
        device=device,
        batch_size=batch_size,
        workers=workers,
        counting=console.counting,
    )
    report = found.as_json()
    if out is not None:
        with written_whole(out) as path:
            write_json(path, report)
    if as_json:
        print_json(report)
    else:
        show_probes(console, report)
