"""Evaluation of segmentations: counts, per-image table, aggregates whose names carry the policy."""
