"""Names of the tensors that differ in form from code to code, as a transformer of the zoo has them."""

KERNEL = "embedding.patch.proj.weight"
CLS, DIST = "embedding.prefix.cls_token", "embedding.prefix.dist_token"
PREFIX_POSITION = "embedding.prefix.position"
TABLE = "embedding.position.table"
"""Of `LearnedPosition`."""
FREQ, TIME = "embedding.position.freq", "embedding.position.time"
"""Of `FrequencyTimePosition`."""
