"""How good is a depth map: errors in plain units, the scores of the field, and whether its sigma is honest.

    judge      compare: the door, and every key that it returns
    inputs     what is compared: scales, axes, masks, JSON
    grids      a result brought to another grid, only where that is asked for
    fitting    what may be fitted first
    errors     errors on the axis, in metres, relative
    benchmark  figures of the HCI 4D Light Field Benchmark, in px;   surface   its operators
    honesty    coverage of sigma, sparsification

Unknown pixels are never silently good: they lower `density` and count as bad in every share.
"""

from dfd.evaluate.benchmark import REGIONS
from dfd.evaluate.grids import to_grid
from dfd.evaluate.honesty import sparsification
from dfd.evaluate.inputs import SUFFIXES
from dfd.evaluate.judge import compare

__all__ = ["REGIONS", "SUFFIXES", "compare", "sparsification", "to_grid"]
