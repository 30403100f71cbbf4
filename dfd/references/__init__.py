"""Depth straight from a light field: a reference for results from defocus where there is no ground truth."""

from dfd.references.door import reference_depth

__all__ = ["reference_depth"]
