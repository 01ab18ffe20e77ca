"""Commands that measure speed and memory, side by side with the straightforward way."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoo.cli.program import Json, app, print_json

bench = typer.Typer(
    no_args_is_help=True,
    help="Measure speed and memory beside the straightforward way, in one run (docs/benchmarks/README.md).\n\n"
    "Example:  zoo bench loader my_audio --formats wav,flac --workers 0,2",
)
app.add_typer(bench, name="bench")

ReportOut = Annotated[Path | None, typer.Option("--out", "-o", help="Also write the report as JSON here.")]
Threads = Annotated[int, typer.Option(min=1, help="Of torch, in every process.")]
Rounds = Annotated[int, typer.Option(min=1, help="Of every contender, in turn; medians are shown.")]
Seconds = Annotated[float, typer.Option(min=0.1, max=600.0, help="Length of a clip.")]
Batch = Annotated[int, typer.Option(min=1, max=4096)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
FrontEndName = Annotated[str, typer.Option("--front-end", help="ast or passt")]
Rate = Annotated[int, typer.Option(min=1_000, max=384_000, help="Sampling rate of the files, Hz.")]
Source = Annotated[str | None, typer.Argument(help="A manifest or folder to cut the clips from; else made-up notes.")]


def _finish(report: dict[str, Any], out: Path | None, as_json: bool, show: Any, console: Any) -> None:
    if out is not None:
        from zoo.disk import write_json

        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, report)
    if as_json:
        print_json(report)
    else:
        show(console, report)


def _known_front_end(name: str) -> str:
    if name not in ("ast", "passt"):
        raise typer.BadParameter(f"--front-end: {name!r} - expected ast or passt")
    return name


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number <= 256 for number in numbers):
        raise typer.BadParameter(f"--workers: {text!r} - expected numbers of processes such as 0,2")
    return numbers


@bench.command()
def frontend(
    front_end: FrontEndName = "ast",
    seconds: Seconds = 10.0,
    batch: Batch = 32,
    device: Device = "auto",
    threads: Threads = 1,
    rounds: Rounds = 5,
    out: ReportOut = None,
    as_json: Json = False,
) -> None:
    """Waveforms to log-mels: a batch at a time, against torchaudio a clip at a time.

    Example:  zoo bench frontend --front-end passt --seconds 10
    """
    from zoo.use.bench.speed import bench_front_end
    from zoo.use.console import Console
    from zoo.use.show.bench import show_bench

    console = Console(quiet=as_json)
    kind = _known_front_end(front_end)
    with console.counting("bench frontend", "rounds") as tell:
        report = bench_front_end(kind, seconds, batch, device, threads, rounds, tell)
    _finish(report, out, as_json, show_bench, console)


@bench.command()
def loader(
    source: Source = None,
    formats: Annotated[
        str, typer.Option(help="Some of wav, flac, ogg, opus, mp3, flac-shards, wav-shards, log-mel-shards.")
    ] = "wav,flac,ogg,mp3,flac-shards,wav-shards,log-mel-shards",
    workers: Annotated[str, typer.Option(help="Numbers of worker processes.")] = "0,2",
    rate: Rate = 16_000,
    seconds: Seconds = 10.0,
    clips: Annotated[int, typer.Option(min=1, help="Files of each format.")] = 128,
    front_end: FrontEndName = "ast",
    batch: Batch = 32,
    device: Device = "auto",
    threads: Threads = 1,
    rounds: Rounds = 5,
    out: ReportOut = None,
    as_json: Json = False,
) -> None:
    """Files to batches of log-mels: the loader and front end of a run, against soundfile and torchaudio per clip.

    Example:  zoo bench loader my_audio --formats wav,flac --workers 0,2 --rate 44100
    """
    from zoo.use.bench.speed import bench_loader
    from zoo.use.console import Console
    from zoo.use.show.bench import show_bench

    console = Console(quiet=as_json)
    kind, numbers = _known_front_end(front_end), _numbers(workers)
    with console.counting("bench loader", "rounds") as tell:
        report = bench_loader(
            source,
            formats.split(","),
            numbers,
            kind=kind,
            sample_rate=rate,
            seconds=seconds,
            clips=clips,
            batch=batch,
            device=device,
            threads=threads,
            rounds=rounds,
            on_progress=tell,
        )
    _finish(report, out, as_json, show_bench, console)


@bench.command()
def manifest(
    rows: Annotated[int, typer.Option(min=1, max=100_000_000, help="Of the synthetic manifest.")] = 2_000_000,
    workers: Annotated[int, typer.Option(min=0, max=256)] = 2,
    clips: Annotated[int, typer.Option(min=1, help="How many of them to take from the loader.")] = 100_000,
    batch: Batch = 256,
    out: ReportOut = None,
    as_json: Json = False,
) -> None:
    """Start-up, and memory of the main process and of every worker, over a manifest of millions of rows.

    Example:  zoo bench manifest --rows 2000000 --workers 2
    """
    from zoo.use.bench.manifest import bench_manifest
    from zoo.use.console import Console
    from zoo.use.show.bench import show_bench

    console = Console(quiet=as_json)
    with console.counting("bench manifest", "steps") as tell:
        report = bench_manifest(rows, workers, clips, batch, tell)
    _finish(report, out, as_json, show_bench, console)


@bench.command()
def crop(
    source: Source = None,
    formats: Annotated[str, typer.Option(help="Some of wav, flac, ogg, opus, mp3.")] = "wav,flac,ogg,mp3",
    hours: Annotated[float, typer.Option(min=0.01, max=24.0, help="Length of the long file.")] = 3.0,
    seconds: Seconds = 10.0,
    rate: Rate = 16_000,
    crops: Annotated[int, typer.Option(min=1, help="At random places of each file.")] = 20,
    out: ReportOut = None,
    as_json: Json = False,
) -> None:
    """Ten seconds out of an hour-long file, against a file of ten seconds. Encoding the long ones takes minutes.

    Example:  zoo bench crop --hours 3 --formats wav,flac
    """
    from zoo.use.bench.long_files import bench_crop
    from zoo.use.console import Console
    from zoo.use.show.bench import show_bench

    console = Console(quiet=as_json)
    with console.counting("bench crop", "formats") as tell:
        report = bench_crop(
            source, formats.split(","), hours=hours, seconds=seconds, sample_rate=rate, crops=crops, on_progress=tell
        )
    _finish(report, out, as_json, show_bench, console)


@bench.command()
def train(
    families: Annotated[list[str] | None, typer.Argument(help="Some of ast, ssast, passt; all without.")] = None,
    size: Annotated[Literal["tiny", "small", "base"], typer.Option(help="Of the presets.")] = "base",
    batch: Batch = 32,
    seconds: Seconds = 10.0,
    precision: Annotated[str, typer.Option(help="auto, fp32, tf32, bf16 or fp16; auto is bf16 on a GPU.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="torch.compile, of both.")] = False,
    origins: Annotated[
        str, typer.Option("--from", help="log-mel, the model step alone; waveform, from audio files; or both.")
    ] = "log-mel,waveform",
    audio: Annotated[
        str | None, typer.Option(help="A manifest or folder to cut the clips from; else made-up notes.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=256, help="Processes that decode, for each; as a run would without.")
    ] = None,
    peer: Annotated[bool, typer.Option("--peer/--no-peer", help="Race with other code too.")] = True,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a round; 2 on a CPU, 20 on a GPU without.")] = None,
    device: Device = "auto",
    threads: Threads = 1,
    rounds: Rounds = 5,
    out: ReportOut = None,
    as_json: Json = False,
) -> None:
    """Training steps of each family, against other code at the same work: clips and operations a second, memory.

    Example:  zoo bench train ast --size tiny --batch 4 --seconds 2 --threads 2
    """
    from zoo.data.config import DataConfig
    from zoo.provenance import pick_device
    from zoo.use.bench.train import bench_train
    from zoo.use.bench.ways import WAYS
    from zoo.use.console import Console
    from zoo.use.show.bench import show_bench

    console = Console(quiet=as_json)
    number = DataConfig(num_workers=workers).workers(pick_device(device).type)
    with console.counting("bench train", "rounds") as tell:
        report = bench_train(
            families or list(WAYS),
            origins.split(","),
            size=size,
            seconds=seconds,
            batch=batch,
            steps=steps,
            precision=precision,
            compiled=compiled,
            source=audio,
            workers=number,
            with_peer=peer,
            device=device,
            threads=threads,
            rounds=rounds,
            on_progress=tell,
        )
    _finish(report, out, as_json, show_bench, console)


@bench.command()
def pretext(
    forms: Annotated[list[str] | None, typer.Argument(help="patch, frame or both; patch without.")] = None,
    size: Annotated[
        Literal["tiny", "small", "base"] | None, typer.Option(help="Of the presets; tiny on a CPU, base on a GPU.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, max=4096, help="Clips; 4 on a CPU, 32 on a GPU without.")] = None,
    frames: Annotated[
        int | None, typer.Option(min=16, max=60_000, help="Of 10 ms, of a clip; 192 on a CPU, 1024 on a GPU without.")
    ] = None,
    masks: Annotated[int, typer.Option(min=1, max=64, help="A clip, of the ways with several; 1 leaves them out.")] = 4,
    precision: Annotated[str, typer.Option(help="auto, fp32, tf32, bf16 or fp16; auto is bf16 on a GPU.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="torch.compile, of all.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a round; 1 on a CPU, 20 on a GPU without.")] = None,
    device: Device = "auto",
    threads: Threads = 1,
    rounds: Annotated[int | None, typer.Option(min=1, help="Of every way; 3 on a CPU, 5 on a GPU without.")] = None,
    out: ReportOut = None,
    as_json: Json = False,
) -> None:
    """Pretraining steps of SSAST: the released way, ours in one and two passes, several masks, visible patches alone.

    Example:  zoo bench pretext patch --size tiny --batch 8 --frames 256 --threads 2
    """
    from zoo.use.bench.pretext import bench_pretext
    from zoo.use.console import Console
    from zoo.use.show.bench import show_bench

    console = Console(quiet=as_json)
    with console.counting("bench pretext", "rounds") as tell:
        report = bench_pretext(
            forms or ["patch"],
            size=size,
            batch=batch,
            n_frames=frames,
            masks=masks,
            steps=steps,
            precision=precision,
            compiled=compiled,
            device=device,
            threads=threads,
            rounds=rounds,
            on_progress=tell,
        )
    _finish(report, out, as_json, show_bench, console)
