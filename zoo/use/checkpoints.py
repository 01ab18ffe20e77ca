"""What `zoo checkpoints` tells: the published checkpoints, one of them in full, and the way to its file."""

from typing import Any

from zoo.weights.catalogue import Known, catalogue, find
from zoo.weights.download import cached
from zoo.weights.download_bar import fetch_with_bar


def list_checkpoints() -> list[dict[str, Any]]:
    """Every published checkpoint with all that is known; `cached` is where its file lies, None when it does not."""
    return [_row(known) for known in catalogue().values()]


def describe_known(name: str, download: bool = False) -> dict[str, Any]:
    """All that is known about one.

    Args:
        download: fetch its file, with a progress bar on stderr, if it is not here, and verify it in any case.

    Raises:
        CheckpointError: the name is not known, or the file cannot be had or is not the published one.
    """
    known = find(name)
    if download:
        fetch_with_bar(known)
    return _row(known)


def _row(known: Known) -> dict[str, Any]:
    path = cached(known)
    size = known.size_range
    return {
        **known.model_dump(mode="json"),
        "megabytes": None if size is None else round(size[0] / 1e6, 1),
        "cached": None if path is None else str(path),
    }
