"""The command line: parsing and printing only, a file for each group of commands."""

from zoo.cli import bench, checkpoints, comparing, data, proof, protocols, report, training, using
from zoo.cli.program import app, main

__all__ = [
    "app",
    "bench",
    "checkpoints",
    "comparing",
    "data",
    "main",
    "proof",
    "protocols",
    "report",
    "training",
    "using",
]
