"""Recipes: YAML in, one frozen and checked value out, and back."""

from zoo.recipe.files import COMPARISON, PROOF, find_recipe, head_comment, recipe_files, recipe_names, recipes_folder
from zoo.recipe.recipe import Recipe, dump_recipe, parse_recipe, read_recipe, recipe_differences, resolved
from zoo.recipe.sections import EvaluateConfig, InitConfig, LogConfig, TrainConfig

__all__ = [
    "COMPARISON",
    "PROOF",
    "EvaluateConfig",
    "InitConfig",
    "LogConfig",
    "Recipe",
    "TrainConfig",
    "dump_recipe",
    "find_recipe",
    "head_comment",
    "parse_recipe",
    "read_recipe",
    "recipe_differences",
    "recipe_files",
    "recipe_names",
    "recipes_folder",
    "resolved",
]
