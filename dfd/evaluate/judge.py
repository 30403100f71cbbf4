"""Judge a depth map by a reference: one door, and every figure by name.

Each figure with its formula, its paper and its quirks: docs/compare.md.
"""

from __future__ import annotations

import math

import numpy as np

from dfd.evaluate.benchmark import REGIONS, normal_figures, pixel_figures, region_figures
from dfd.evaluate.errors import error_figures
from dfd.evaluate.fitting import ALIGNMENTS, fit
from dfd.evaluate.grids import grid_record, sizes_differ, to_grid
from dfd.evaluate.honesty import sigma_figures
from dfd.evaluate.inputs import AXES, SUFFIXES, as_mask, on_axis, plain, scales, selection


def compare(result, reference, *, mask=None, align="none", border=0, resize=False, px_per_dioptre=None, intrinsics=None,
            regions=None) -> dict:
    """Figures of merit of `result` against `reference`, a dict that holds JSON types only; None = cannot be computed.

    result      DepthMap, or (H, W) array: metres when the comparison is metric, else the unit of `reference`
    reference   DepthMap, or (H, W) array: metres for a metric result, else the unit of the result; NaN = unknown
    mask        (H, W), zero, False or NaN = leave this pixel out
    align       what may be fitted on the reference first, which is generous, so quote it with every figure:
                "offset" adds median(t - e); "affine" is the least-squares line t = slope e + offset; "monotone" is
                the isotonic regression of t on e, rising or falling, whichever fits better.  All three are fitted on the
                axis: on dioptres where the reference is metric, never on metres
    border      pixels to leave out at each edge
    resize      bring a result of another size to the grid of the reference (`to_grid`); else other sizes are refused
    px_per_dioptre   px of disparity per dioptre of a light field, for the figures of its benchmark; metric only
    intrinsics  (fx, fy, cx, cy) [px] of the reference's grid, for the errors of normals; metric only
    regions     dict of (H, W) masks that are scored by themselves, with names of REGIONS

    Notation: e and t are result and reference on the *axis* of the scale, where errors are uniform: inverse depth
    [dioptre] for metric maps, otherwise the map's own unit; d = 1/e and r = 1/t are metres.  <...> is a mean over the n
    pixels known in both.  A result may be held against a DepthMap of another scale with align "affine" or "monotone":
    the fit then maps its unit to that of the reference, and all figures have the scale of the reference.  The same fit of
    a relative result to an array has the scale "reference": errors are in the unit of that array, which nobody states.

    Keys, with X = dpt (metric), stage_m (stage), frames (steps), px (affine), reference_units (reference):
    scale, unit, align, alignment the scale of the figures, the unit of the axis, what was fitted, and what came out of it
    resize                        None, or {from_px, to_px, ratio, method}
    border_px, mask_share         the border, and the share of the map that mask keeps (None: no mask)
    n_reference, n, density       known reference pixels inside mask and border; those with a value too; their ratio
    rmse_X, mae_X                 sqrt(<(e - t)^2>), <|e - t|>
    median_abs_X, p90_abs_X       50th and 90th percentile of |e - t|
    mean_error_X, median_error_X  signed, e - t: positive = nearer in dioptres, farther in metres
    bad_1_percent, bad_5_percent  share of reference pixels off by more than 1 or 5 % of r, or unknown (metric; where r is
                                  infinite, all but infinite d);
                                  for the other scales, of the reference's 1st to 99th percentile range
    metric only, where d and r are both finite (n_metres pixels):
    rmse_m, mae_m, ...            the same six figures of d - r
    mean_relative_error, median_relative_error, p90_relative_error      of |d - r| / r; the mean is the AbsRel of papers
    squared_relative_m            <(d - r)^2 / r> [m], their SqRel
    rmse_log, log10_error         sqrt(<(ln d - ln r)^2>), <|log10 d - log10 r|>
    delta_1, delta_2, delta_3     share of the reference pixels of finite r with max(d / r, r / d) < 1.25, 1.25^2, 1.25^3;
                                  unknown is not within, unlike in papers, which leave such pixels out
    in px: affine maps as they are, metric ones times px_per_dioptre (its key); percent of the reference pixels:
    badpix_07, badpix_03, badpix_01     off by more than 0.07, 0.03, 0.01 px, or unknown
    badpix_07_nan_counts_good     what the benchmark would say, which takes unknown pixels for good
    mse_x100, q25_x100            100 <(e - t)^2>; 100 times element int(n / 4) of the sorted |e - t|
    bumpiness_x100, bumpiness_density   100 times the mean Hessian norm of e - t, clipped at 0.05 (dfd.evaluate.surface);
                                  the share of the pixels where it is known
    with regions: regions (their names), bumpiness_planes_x100, bumpiness_surfaces_x100 and their densities,
    badpix_07_discontinuities     as above, of the pixels of the mask
    fine_thinning, fine_fattening       percent of `fine` with t - e > 0.15 px, of `fine_surrounding` with t - e < -0.15 px,
                                  or unknown
    with intrinsics, metric only: normal_error_deg, with px_per_dioptre also hci_normal_error_deg, both again with _planes
    and _surfaces: median angle between the normals of the two surfaces; the second as the benchmark has it, with its quirks
    with a sigma s (axis unit; an affine fit scales it by |slope|; a monotone fit leaves only its ranking):
    coverage_1_sigma, coverage_2_sigma     share of |e - t| <= s and <= 2 s; 0.683 and 0.954 if Gaussian
    coverage_1_sigma_quartiles             the first, in four equal groups from the smallest to the largest s
    error_over_sigma_p68                   68.27th percentile of |e - t| / s; 1 = calibrated, above 1 = sigma too small
    sparsification                {removed, rmse_X, mae_X, rmse_oracle_X, mae_oracle_X}: errors of what is left when the
                                  fraction `removed` (0, 0.05 .. 0.95) of largest s, or of largest |e - t|, is dropped
    ause_rmse, ause_mae           area between these two curves over `removed`, divided by the error at removed = 0;
                                  0 = sigma ranks perfectly.  Ties in s count as removed in random order
    ause_rmse_random, ause_mae_random      the same for a constant s: the score of knowing nothing

    Raises ValueError for different sizes (that a resize cannot bring together) or scales, depths at or below 0 m, a
    reference with nothing known, an unknown `align` or region, regions without a unit of px, or a sigma below 0.
    """
    if align not in ALIGNMENTS:
        raise ValueError(f"align ({align!r}) must be one of {', '.join(ALIGNMENTS)}")
    from_scale, scale = scales(result, reference, align)
    result, resized = _same_grid(result, reference, resize)
    estimate, sigma = on_axis(result, from_scale, "result")
    truth, _ = on_axis(reference, scale, "reference")
    if estimate.shape != truth.shape:
        raise sizes_differ(estimate.shape, truth.shape)
    regions, pixels = _regions(regions, truth.shape), _pixels(scale, px_per_dioptre)
    if regions and pixels is None:
        raise ValueError(f"regions ({', '.join(regions)}) are scored in px, and this comparison is in {AXES[scale]}; give "
                         "px_per_dioptre of a metric one, or leave them out")
    wanted = np.isfinite(truth) & selection(truth.shape, mask, border)
    if not wanted.any():
        raise ValueError("the reference has no known pixel inside mask and border; are unknown pixels NaN and mask "
                         "pixels to keep non-zero?")
    e, t = (item[wanted].astype(float) for item in (estimate, truth))
    fitted, slope, said = fit(e, t, align, SUFFIXES[from_scale], SUFFIXES[scale])
    e = fitted(e)
    s = None if sigma is None else np.float32(slope) * sigma[wanted]
    figures = {
        "scale": scale, "unit": AXES[scale], "align": align, "alignment": said, "resize": resized, "border_px": border,
        "mask_share": None if mask is None else float(np.mean(np.asarray(as_mask(mask, truth.shape, "mask")))),
        **error_figures(e, t, scale),
    }
    if pixels is not None:
        figures |= {"px_per_dioptre": px_per_dioptre if scale == "metric" else None, **pixel_figures(pixels * e, pixels * t)}
    figures |= sigma_figures(e, s, t, SUFFIXES[scale], align)
    del s, t, sigma
    if pixels is not None or _has_normals(scale, intrinsics):
        estimate = _everywhere(estimate, e, wanted, fitted, align)
        figures |= _surfaces(estimate, truth, wanted, regions, pixels, intrinsics if scale == "metric" else None)
    return plain(figures)


def _same_grid(result, reference, resize):
    """(the result, on the grid of the reference where `resize` asks for it; what was done or None)."""
    before, after = (tuple(np.shape(getattr(item, "values", item))) for item in (result, reference))
    if not resize or before == after:
        return result, None
    return to_grid(result, after), grid_record(before, after)


def _regions(regions, shape):
    """The masks of `compare` as bool."""
    for name in regions or ():
        if name not in REGIONS:
            raise ValueError(f"regions ({name!r}) must have names of {', '.join(REGIONS)}")
    return {name: as_mask(mask, shape, f"region {name}") for name, mask in (regions or {}).items()}


def _pixels(scale, px_per_dioptre):
    """Factor from the axis to px of disparity, None where nobody states one."""
    if px_per_dioptre is not None and not (math.isfinite(px_per_dioptre) and px_per_dioptre > 0):
        raise ValueError(f"px_per_dioptre ({px_per_dioptre:g}) must be positive and finite: px of disparity per dioptre")
    return {"metric": px_per_dioptre, "affine": 1.0}.get(scale)


def _has_normals(scale, intrinsics):
    if intrinsics is None:
        return False
    if len(intrinsics) != 4 or not all(math.isfinite(value) for value in intrinsics) or min(intrinsics[:2]) <= 0:
        raise ValueError(f"intrinsics {tuple(intrinsics)} must be fx, fy, cx, cy in px, fx and fy positive")
    return scale == "metric"


def _everywhere(estimate, chosen, wanted, fitted, align):
    """(H, W) float64: the fitted result, with neighbours of the chosen pixels; after a monotone fit only these are known."""
    if align != "monotone":
        return fitted(estimate.astype(float))
    found = np.full(estimate.shape, np.nan)
    found[wanted] = chosen
    return found


def _surfaces(estimate, truth, wanted, regions, pixels, intrinsics):
    """Figures that need neighbours."""
    figures = {}
    if pixels is not None:
        figures |= region_figures(pixels * (estimate - truth), wanted, regions)
    if intrinsics is not None:
        figures |= normal_figures(estimate, truth, wanted, regions, intrinsics, hci=pixels is not None)
    return figures
