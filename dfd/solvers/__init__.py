"""The table of solvers: one row each, a function from a capture to a DepthMap.

A new solver is one file here and one row below; tests/test_solvers.py then holds it to the contract of all solvers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dfd.capture import AperturePair, Capture, DifferentialQuad, DualPixelPair, FocalStack
from dfd.depthmap import DepthMap
from dfd.solvers import (
    blurry_edges,
    coupled,
    coupled_remarks,
    disparity,
    focal_flow,
    focal_split,
    focal_track,
    focus_measure,
    likelihood,
    metalens,
    multiplane,
    pair_signs,
    prior,
    rational,
    spatial_transform,
)

Limits = tuple[float, float] | None


@dataclass(frozen=True)
class Solver:
    """One row: what `dfd solvers` lists, and the captures that the function takes.

    function    (capture, *, limits=None) -> DepthMap; limits are (nearest, farthest) inverse depth [dioptre], of a metric
                capture: what lies outside need not be looked for
    tolerance   error [px of coc] within which the contract tests must find a well textured plane
    halo        (capture, limits) -> px around a pixel that its value may depend on; inf: solved in one piece, never in tiles
    memory      (capture, (H, W), limits) -> bytes that solving its images cut to this size takes, a copy of them included
    room        bytes that all its tiles in work may take together
    seam        what lies beyond the halo changes 99 of 100 values by less than this [their sigma]; 0 = none at all
    cost        (capture, limits) -> nanoseconds of a core per pixel, at about 2.5 GHz
    check       (capture, limits): raises ValueError for a capture or limits that it cannot solve
    remarks     (capture, its DepthMap) -> sentences that the user must be told
    by_name     never chosen by `auto`: for captures that others refuse, or an answer that somebody must want
    sparse      depth at edges alone, NaN elsewhere: held to everything but density
    restores    its DepthMap holds the sharp image too, which takes the place of the restored one
    Images are not looked at by halo, memory, cost and check: they serve before anything is decoded.
    """

    name: str
    function: Callable[..., DepthMap]
    captures: tuple[type[Capture], ...]
    summary: str
    paper: str
    tolerance: float
    halo: Callable[[Capture, Limits], float]
    memory: Callable[[Capture, tuple[int, int], Limits], int]
    cost: Callable[[Capture, Limits], float]
    check: Callable[[Capture, Limits], None]
    room: float = 320e6
    seam: float = 0.0
    remarks: Callable[[Capture, DepthMap], tuple[str, ...]] = lambda *_: ()
    by_name: bool = False
    sparse: bool = False
    restores: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the capture kinds that it solves."""
        return tuple(capture.kind for capture in self.captures)

    def takes(self, capture: Capture) -> bool:
        """Whether it solves this kind; plain views are a kind of their own, not all kinds."""
        return type(capture) in self.captures


def _of_pairs(capture, result):
    """Sentences that hold whatever the solver: of the signs of a dual-pixel pair, of the pairs of a quadruple."""
    return (*coupled_remarks.pairs(capture, result), *pair_signs.remarks(capture, result))


SOLVERS: dict[str, Solver] = {
    row.name: row
    for row in (
        Solver(
            "focus-measure", focus_measure.solve_focus_measure, (FocalStack,),
            "sharpest frame at three scales, refined between the frames; needs no optics and at least 3 frames",
            "Nayar and Nakagawa 1994 (SML, Gaussian peak); Pertuz et al. 2013", 1.0, focus_measure.reach,
            focus_measure.bytes_needed, focus_measure.nanoseconds, focus_measure.check,
        ),
        Solver(
            "disparity", disparity.solve_disparity, (DualPixelPair,),
            "two halves of the pupil: parabolas of their difference added up along paths; any sensor, no PSF",
            "Monin et al. (continuous cost aggregation); Lucas and Kanade 1981; Bleyer and Gelautz 2008", 0.5,
            disparity.reach, disparity.bytes_needed, lambda *_: 800.0, disparity.check, 900e6, 0.4,
            remarks=pair_signs.remarks,
        ),
        Solver(
            "likelihood", likelihood.solve_likelihood,
            (AperturePair, Capture, DifferentialQuad, DualPixelPair, FocalStack),
            "plane sweep with the forward model of every image; needs the optics, near the noise limit",
            "Zhou, Lin and Nayar 2009; Tang et al. 2017; Hirschmueller 2008 (aggregation)", 0.5, likelihood.reach,
            likelihood.bytes_needed, likelihood.nanoseconds, likelihood.check, 900e6, 0.4, remarks=_of_pairs,
        ),
        Solver(
            "likelihood-prior", prior.solve_prior, (AperturePair, Capture, DifferentialQuad, DualPixelPair, FocalStack),
            "likelihood and how blurred textures look: slower, a little nearer to the limit where noise is strong",
            "Zhou, Lin and Nayar 2009; Hirschmueller 2008 (aggregation)", 0.5, prior.reach, prior.bytes_needed,
            prior.nanoseconds, prior.check, 900e6, 0.4, remarks=_of_pairs,
        ),
        Solver(
            "spatial-transform", spatial_transform.solve_spatial_transform, (AperturePair, FocalStack, Capture),
            "two images: their difference over their Laplacian; the fastest, for blurs that differ by a few pixels",
            "Subbarao and Surya 1994; Subbarao and Tyan 1997", 0.5, spatial_transform.reach,
            spatial_transform.bytes_needed, lambda *_: 700.0, spatial_transform.check,
        ),
        Solver(
            "rational", rational.solve_rational, (FocalStack, Capture),
            "two foci: rational operators, filters designed for the pair's own blur; fast, whatever the texture",
            "Watanabe and Nayar 1998; Raj and Staunton 2012", 0.5, rational.reach, rational.bytes_needed,
            lambda *_: 400.0, rational.check,
        ),
        Solver(
            "coupled-derivatives-tls", coupled.solve_total, (DifferentialQuad,),
            "two power and two aperture steps: the ratio of derivatives by total least squares; the fastest, for video",
            "Luo, Liu, Alexander and Guo 2025; Deming 1943, Fuller 1987 (noise)", 0.5, coupled.reach, coupled.bytes_needed,
            lambda *_: 10.0, coupled.check, remarks=coupled_remarks.remarks,
        ),
        Solver(
            "coupled-derivatives", coupled.solve_coupled, (DifferentialQuad,),
            "the same by least squares of depth as published (Python: form=\"ratio\"); noise draws it to focus",
            "Luo, Liu, Alexander and Guo 2025", 0.5, coupled.reach, coupled.bytes_needed, lambda *_: 10.0,
            coupled.check_metres, remarks=coupled_remarks.remarks,
        ),
        Solver(
            "focal-track", focal_track.solve_focal_track, (FocalStack, Capture),
            "two powers of one lens: difference over Laplacian at many scales; also far from both foci",
            "Guo, Alexander and Zickler 2017", 0.5, focal_track.reach, focal_track.bytes_needed, focal_track.nanoseconds,
            focal_track.check,
        ),
        Solver(
            "focal-split", focal_split.solve_focal_split, (FocalStack, Capture),
            "two sensor planes in one shot: difference over Laplacian at one scale, in a box of 21 px",
            "Luo et al. 2025 (Focal Split)", 0.5, focal_split.reach, focal_split.bytes_needed,
            lambda *_: 250.0, focal_split.check,
        ),
        Solver(
            "metalens", metalens.solve_metalens, (FocalStack, Capture),
            "two powers side by side: difference over Laplacian, indifferent to a small shift between the images",
            "Guo et al. 2019", 0.5, metalens.reach, metalens.bytes_needed, lambda *_: 600.0, metalens.check,
        ),
        Solver(
            "focal-flow", focal_flow.solve_focal_flow, (Capture,),
            "frames of a scene that moves towards or away from one lens setting, not aligned (--align none)",
            "Alexander et al. 2016 and 2018", 0.5, focal_flow.reach, focal_flow.bytes_needed, lambda *_: 2000.0,
            focal_flow.check, remarks=focal_flow.remarks, by_name=True,
        ),
        Solver(
            "blurry-edges", blurry_edges.solve_blurry_edges, (FocalStack, Capture),
            "two foci, very little light: widths of edges fitted in both images; depth at edges only",
            "Xu, Wagner, Luo and Guo 2025 (closed form)", 0.5, blurry_edges.reach, blurry_edges.bytes_needed,
            lambda *_: 6000.0, blurry_edges.check, by_name=True, sparse=True,
        ),
        Solver(
            "multiplane", multiplane.solve_multiplane, (DualPixelPair,),
            "depth and the sharp image together: a multiplane image fitted to both views; minutes per megapixel",
            "Xin et al. 2021; Kingma and Ba 2015 (Adam)", 0.5, lambda *_: math.inf, multiplane.bytes_needed,
            multiplane.nanoseconds, multiplane.check, remarks=pair_signs.remarks, by_name=True, restores=True,
        ),
    )
}


def choose(capture: Capture, name: str | Solver = "auto", limits: Limits = None) -> Solver:
    """The solver `name`, or the first row that takes a capture like this one; its images are not looked at.

    name   auto, a name in SOLVERS, or a row of one's own

    Raises ValueError for an unknown name, a kind that no solver takes, or what the solver's check refuses, TypeError when
    the solver does not take the kind.
    """
    if name == "auto":
        return _first_that_fits(capture, limits)
    if not isinstance(name, Solver) and name not in SOLVERS:
        raise ValueError(f"solver ({name!r}) must be auto or one of {', '.join(SOLVERS)}")
    solver = name if isinstance(name, Solver) else SOLVERS[name]
    if not solver.takes(capture):
        raise TypeError(f"solver {solver.name!r} takes {' or '.join(solver.kinds)}, not {capture.kind}; use --solver auto")
    solver.check(capture, limits)
    return solver


def _first_that_fits(capture, limits):
    refused = None
    for solver in SOLVERS.values():
        if solver.takes(capture) and not solver.by_name:
            try:
                solver.check(capture, limits)
                return solver
            except ValueError as error:
                refused = refused or error
    raise refused or ValueError(f"no solver for kind {capture.kind!r} in this version; `dfd solvers` lists what there is")
