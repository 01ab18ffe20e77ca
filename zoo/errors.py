"""What can go wrong through the user's input. Every message says where, what was found, what was expected, what to do.

The command line prints a `ZooError` as one line and exits with 2; anything else is our own bug and keeps its traceback.
"""


class ZooError(Exception):
    """Something the user can put right."""


class RecipeError(ZooError):
    """A recipe, an override or a preset's keyword that does not fit. One problem a line."""


class DataError(ZooError):
    """A manifest, a folder, a label or an audio file that cannot be used."""


class CheckpointError(ZooError):
    """A checkpoint that is missing, damaged, or of another shape than the model."""


class ShapeError(ZooError):
    """A tensor or a geometry of the wrong size; the message has both numbers."""
