"""Packs: clips in webdataset-compatible tar shards, with an index of byte offsets."""
