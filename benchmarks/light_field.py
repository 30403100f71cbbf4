"""Every kind of capture from one real light field, solved from files and scored as the field scores; a real Lytro stack.

    python benchmarks/light_field.py [antinous] [lytro]

antinous  HCI 4D benchmark, 9 x 9 views of 512 x 512 px, disparity -3.1 to 2.7 px per view step.  Its camera is not
          published: that of the scene `boxes` is assumed (nothing in the table depends on it but metres).  Stack: 62 frames,
          even in disparity, all views (a disk 9 steps wide); with and without `--fill`.  Pair, dual pixel, quadruple: the
          middle 3 x 3 views made 21 x 21 by `densify` with the true disparity (rendering only; solvers never see it).  No
          noise but the 8 bits of the views.  15 px of border left out, unknown pixels count as bad, MSE of known ones
lytro     12 slices of a processed picture as the camera's software wrote them (JPEG), through `dfd lightfield` and
          `dfd depth`, against Lytro's own 20 x 20 depths: the median of the known pixels of each cell, of cells of which
          at least a half is known, in lambda; beside it the naive argmax of the Laplacian's energy
"""

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import dfd as command
from common import dfd_command, header, load, measure, row, shared_data

import dfd
from dfd.imaging import box_mean, modified_laplacian
from dfd.io.hci import read_parameters
from dfd.io.images import read_grey
from dfd.io.lytro import read_lytro
from dfd.io.maps import read_map

LABELS = np.linspace(-3.3, 2.85, 62)


def scored(result, scene):
    """The figures of a metric result against the light field's truth."""
    return dfd.compare(result, scene.truth, border=15, px_per_dioptre=scene.camera.disparity_rate)


def show(name, figures, cpu):
    """A row of the table."""
    row(name, f"{figures['density']:.1%}",
        " / ".join(f"{figures[f'badpix_{limit}']:.2f}" for limit in ("07", "03", "01")), f"{figures['mse_x100']:.2f}",
        f"{figures['q25_x100']:.2f}", f"{figures['median_relative_error']:.3%}", f"{figures['mean_relative_error']:.2%}",
        f"{figures['coverage_1_sigma']:.0%}", f"{cpu:.0f}")


def antinous(folder):
    """The table of all kinds."""
    source, camera = shared_data("lf/hci_antinous"), shared_data("lf/hci_parameters") / "boxes.cfg"
    header("capture, solver", "known", "BadPix .07 / .03 / .01 [%]", "MSE x 100", "Q25 x 100", "median rel.", "mean rel.",
           "1 sigma", "depth: CPU s")
    scene = dfd.read_light_field(source, camera=replace(read_parameters(camera), assumed=True), check=False)
    foci = ",".join(f"{1 / focus:.9g}" for focus in scene.camera.inverse_depth(LABELS))
    command("lightfield", source, "--camera", camera, "-o", folder / "stack", "--focus", foci)
    for name, more in (("stack, focus-measure", ()), ("stack, focus-measure --fill", ("--fill",))):
        words = ("depth", folder / "stack", "-o", folder / "out", "--align", "none", "--force", *more)
        cost, text = measure(dfd_command(*words))
        if cost.code:
            sys.exit(text)
        show(name, scored(read_map(folder / "out"), scene), cost.cpu)
    small = replace(scene, views=scene.grey[..., None]).narrowed(3).densify(21)
    middle, rate = scene.camera.inverse_depth(-1.0), scene.camera.disparity_rate
    captures = {"pair from the far end": small.aperture_pair(scene.camera.inverse_depth(-3.2)),
                "pair from the near end": small.aperture_pair(scene.camera.inverse_depth(2.75)),
                "dual pixel": small.dual_pixel(middle), "quadruple": small.quadruple(middle, power_step=0.15 / rate)}
    for name, capture in captures.items():
        solvers = {"dual pixel": ("likelihood", "disparity"), "quadruple": ("likelihood", "coupled-derivatives-tls")}
        for solver in solvers.get(name, ("likelihood", "spatial-transform")):
            show_solved(f"{name}, {solver}", capture, solver, scene)


def show_solved(name, capture, solver, scene):
    """Solve in this process, and show."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on the scene, which the table says better
        result = dfd.estimate_depth(capture, solver=solver)
    show(name, scored(result, scene), time.process_time() - start)


def lytro(folder):
    """Correlation with Lytro's depth."""
    source = shared_data("lf/lytro_gen1_lfp_samples/IMG_0001-stk.lfp")
    stack = read_lytro(source)
    command("lightfield", source, "-o", folder / "lytro")
    _, cpu, _ = command("depth", folder / "lytro", "-o", folder / "lytro-depth")
    found = read_map(folder / "lytro-depth").values
    order = np.sort(stack.lambdas)
    slices = [read_grey(path).values for path in sorted((folder / "lytro").glob("*.jpg"))]
    energy = np.stack([box_mean(np.nan_to_num(modified_laplacian(np.nan_to_num(image))) ** 2, 21) for image in slices])
    naive = np.asarray(stack.lambdas)[energy.argmax(axis=0)]
    header("real Lytro stack", "cells that count", "r with Lytro's depth", "median difference [lambda]", "CPU s")
    solved = by_cells(np.interp(found, np.arange(len(order)), order), stack.depth.shape)
    simple = by_cells(naive, stack.depth.shape)
    for name, cells, seconds in (("dfd depth", solved, f"{cpu:.0f}"),
                                 ("argmax of the Laplacian's energy, 21 px", simple, ""),
                                 ("the same, in the cells of dfd depth", np.where(np.isfinite(solved), simple, np.nan), "")):
        known = np.isfinite(cells)
        correlation = np.corrcoef(cells[known], stack.depth[known])[0, 1]
        row(name, f"{known.sum()} of {known.size}", f"{correlation:.3f}",
            f"{np.median(abs(cells - stack.depth)[known]):.2f}", seconds)


def by_cells(values, shape):
    """Median of what is known in every cell; NaN where less than half is."""
    rows, columns = (np.linspace(0, length, count + 1).astype(int)
                     for length, count in zip(values.shape, shape, strict=True))
    out = np.full(shape, np.nan)
    for j, i in np.ndindex(*shape):
        part = values[rows[j]:rows[j + 1], columns[i]:columns[i + 1]]
        part = part[np.isfinite(part)]
        if part.size >= 0.5 * (rows[j + 1] - rows[j]) * (columns[i + 1] - columns[i]):
            out[j, i] = np.median(part)
    return out


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["antinous", "lytro"])
    names = parser.parse_args().names
    print(f"{load()}\n")
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            {"antinous": antinous, "lytro": lytro}[name](Path(temporary))
        print()


if __name__ == "__main__":
    main()
