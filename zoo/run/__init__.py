"""Where the parts meet: `train` makes everything a recipe names and runs it."""

from zoo.run.data import FoundData, RunData, find_data, make_loader, plan_clips, prepare_data
from zoo.run.train import train

__all__ = ["FoundData", "RunData", "find_data", "make_loader", "plan_clips", "prepare_data", "train"]
