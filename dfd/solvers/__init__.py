"""The table of solvers: one row each, a function from a capture to a DepthMap.

A new solver is one file here and one row below; tests/test_solvers.py then holds it to the contract of all solvers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dfd.capture import Capture, FocalStack
from dfd.depthmap import DepthMap
from dfd.solvers.focus_measure import REACH, bytes_needed, check_images, solve_focus_measure


@dataclass(frozen=True)
class Solver:
    """One row: what `dfd solvers` lists, and the captures that the function takes.

    halo        px around a pixel that its value may depend on
    memory      (K, (H, W)) -> bytes that solving so many images of this size takes, a copy of them included
    check       refuses a number of images that is too small, with a ValueError
    tolerance   error [px of coc] within which the contract tests must find a well textured plane
    """

    name: str
    function: Callable[..., DepthMap]
    captures: tuple[type[Capture], ...]
    summary: str
    paper: str
    tolerance: float
    halo: int
    memory: Callable[[int, tuple[int, int]], int]
    check: Callable[[int], None]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the capture kinds that it solves."""
        return tuple(capture.kind for capture in self.captures)


SOLVERS: dict[str, Solver] = {
    row.name: row
    for row in (
        Solver(
            "focus-measure", solve_focus_measure, (FocalStack,),
            "sharpest frame at three scales, refined between the frames; needs no optics and at least 3 frames",
            "Nayar and Nakagawa 1994 (SML, Gaussian peak); Pertuz et al. 2013", 1.0, REACH, bytes_needed, check_images,
        ),
    )
}


def choose(capture: type[Capture], name: str = "auto") -> Solver:
    """The solver `name`, or the first row that takes this class of captures.

    Raises ValueError for an unknown name or a kind that no solver takes, TypeError when the solver does not take it.
    """
    if name == "auto":
        fitting = [solver for solver in SOLVERS.values() if issubclass(capture, solver.captures)]
        if not fitting:
            raise ValueError(f"no solver for kind {capture.kind!r} in this version; `dfd solvers` lists what there is")
        return fitting[0]
    if name not in SOLVERS:
        raise ValueError(f"solver ({name!r}) must be auto or one of {', '.join(SOLVERS)}")
    solver = SOLVERS[name]
    if not issubclass(capture, solver.captures):
        raise TypeError(f"solver {name!r} takes {' or '.join(solver.kinds)}, not {capture.kind}; use --solver auto")
    return solver
