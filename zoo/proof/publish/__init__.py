"""Results of `zoo proof` as pages for people: docs/results/ssast.md and docs/results/comparison.md."""

from zoo.proof.publish.write import publish

__all__ = ["publish"]
