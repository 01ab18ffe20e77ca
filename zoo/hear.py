"""The module that evaluation kits of HEAR import: `python3 -m heareval.embeddings.runner zoo.hear --model runs/mine`.

The functions are those of HEAR's common interface; `zoo.use.hear` has them, and what they do.
"""

from zoo.use.hear import get_scene_embeddings, get_timestamp_embeddings, load_model

__all__ = ["get_scene_embeddings", "get_timestamp_embeddings", "load_model"]
