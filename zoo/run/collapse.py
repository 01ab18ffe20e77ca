"""Says when the features of a model begin to collapse, once a session, as soon as an evaluation shows it."""

import logging

from zoo.evaluate.feature_health import collapse_sign
from zoo.train.logbook import Scalars

_LOG = logging.getLogger("zoo.run")


class CollapseWatch:
    """Looks at the results of every evaluation."""

    def __init__(self, num_clips: int, embed_dim: int, tells: bool = True) -> None:
        """Args: what `health/*` is measured on; `tells` - whether this process says it aloud."""
        self._num_clips, self._embed_dim = num_clips, embed_dim
        self.told: list[str] = []
        """For the summary: one line, or none."""
        self._tells = tells

    def look(self, results: Scalars, clips: int) -> None:
        """Warns at the first sign."""
        sign = collapse_sign(results, self._num_clips, self._embed_dim)
        if sign is not None and not self.told:
            self.told.append(f"collapse after {clips:,} clips: {sign}")
            if self._tells:
                _LOG.warning("%s - docs/health.md says what to try", self.told[0])
