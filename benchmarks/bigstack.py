"""Memory, time and depth error of the main job on a large RAW stack: 20 simulated Bayer DNG frames of 24 MP.

    python benchmarks/bigstack.py [--size 6000x4000] [--frames 20] [--work DIR [--keep]] [--options "--workers 1"] ...

Ray tracing 24 MP takes hours, so a small stack is rendered without noise in one pixel grid and continued by mirroring it
in x and y; then every frame gets its own breathing (magnification about the centre, which is exact: blur in pixels grows
with it), unequal channel gains, a Bayer mosaic, fresh Poisson-Gaussian noise at every pixel, 14 bit.  The texture repeats
every two tiles, but the noise does not.  The depth is the small stack's exact one, mirrored alike; within SEAM px of a
mirror the blur is not that of a real scene, so errors are counted elsewhere.  The noise is not stated in capture.toml: it
must be found from the images, as with a real camera's files.

Each --options adds a row: further words for `dfd depth`, none by default.  6 MP (--size 3000x2000) runs quickly.
"""

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from common import dfd_command, header, load, measure, row

from dfd.imaging import warp
from dfd.io.dng import write_dng
from dfd.noise import Noise, expose
from dfd.simulate import PRESETS, simulate_capture

TILE = 750, 500
"""Width and height of the small stack [px]."""

SEAM = 40
"""Half width of the bands along the mirrors in which errors are not counted [px]."""

SCENE, PRESET, NOISE = "slant-sphere", "50mm-f2.8", Noise(20000.0, 3.0)
GAINS = 0.55, 1.0, 0.7
"""Of red, green and blue, as in a RAW file before white balance."""

BLACK, WHITE = 512, 16383
ASKED_MB = 2500
KERNEL = 8
"""Pixels that the interpolation may reach beyond the frame."""


def main():
    """Write the stack, print one row per way of solving it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="6000x4000", metavar="WxH", help="of a frame [px], even (default 6000x4000)")
    parser.add_argument("--frames", type=int, default=20, metavar="N", help="default 20")
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder for frames and results (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the frames in --work, and use those that lie there")
    parser.add_argument("--options", action="append", metavar="WORDS", help='for dfd depth, e.g. --options="--workers 1"')
    options = parser.parse_args()
    width, height = (int(length) for length in options.size.split("x"))
    if width % 2 or height % 2 or (options.keep and not options.work):
        parser.error("a Bayer frame has even sides; --keep needs --work")
    with tempfile.TemporaryDirectory(prefix="bigstack-", dir=options.work) as temporary:
        stack = (options.work if options.keep else Path(temporary)) / f"stack-{width}x{height}x{options.frames}"
        if not (stack / "truth.npy").exists():
            write_stack(stack, (height, width), options.frames)
        solve_all(stack, Path(temporary), options.options or [""])


def solve_all(stack, folder, ways):
    """The table: `dfd depth` on the stack with each of the options."""
    frames = sorted(stack.glob("*.dng"))
    width, height = tifffile.TiffFile(frames[0]).pages[0].shape[::-1]
    size = sum(frame.stat().st_size for frame in frames) / 1e6
    print(f"{len(frames)} frames of {width} x {height} px ({width * height / 1e6:.1f} MP), {size:.0f} MB of DNG; {load()}\n")
    header("dfd depth", f"peak MB (24 MP x 20: at most {ASKED_MB})", "of it private MB", "wall s", "CPU s", "known",
           "median relative error", "within 1 sigma", "seconds by stage")
    for words in ways:
        out = folder / "out"
        cost, text = measure(dfd_command("depth", stack, "-o", out, *shlex.split(words)))
        figures = [f"{cost.peak:.0f}", f"{cost.private:.0f}", f"{cost.wall:.1f}", f"{cost.cpu:.1f}"]
        row(words or "(no option)", *figures, *(judged(out, stack) if cost.code == 0 else failed(cost, text)))
        shutil.rmtree(out, ignore_errors=True)


def failed(cost, text):
    """Cells of a run that did not come to its end."""
    lines = text.strip().splitlines()
    return "failed", f"exit {cost.code}", lines[-1] if lines else "", ""


def judged(out, stack):
    """Cells of a result: known share, median relative error, share of errors within one sigma, the time split."""
    truth = np.load(stack / "truth.npy", mmap_mode="r")
    depth, sigma = tifffile.imread(out / "depth.tiff"), tifffile.imread(out / "sigma.tiff")
    if depth.shape != truth.shape:
        return "n/a", f"{depth.shape[1]} x {depth.shape[0]} px", "", times(out)
    counted = np.logical_and(*np.meshgrid(*(off_seams(*axis) for axis in zip(truth.shape, TILE[::-1], strict=True)),
                                          indexing="ij"))
    known = counted & np.isfinite(depth)
    error = np.abs(depth[known] - truth[known])
    return (f"{known.sum() / counted.sum():.1%}", f"{np.median(error / truth[known]):.3%}" if error.size else "n/a",
            f"{np.mean(error <= sigma[known]):.0%}" if error.size else "n/a", times(out))


def times(out):
    """The stages of result.json with their seconds."""
    stages = json.loads((out / "result.json").read_text())["timings_s"]
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items())


def off_seams(length, tile):
    """(length,) bool: pixels farther than SEAM from every mirror, the first of which is the border of the image."""
    place = np.arange(length) % tile
    return (place >= SEAM) & (place < tile - SEAM)


def write_stack(folder, shape, frames):
    """Render, mirror, expose and write the frames, capture.toml, and last truth.npy [m], which says that all are there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    need, free = 2 * shape[0] * shape[1] * (frames + 2), shutil.disk_usage(folder).free
    if free < 2 * need:
        sys.exit(f"{folder}: {free / 1e9:.1f} GB free, the frames take {need / 1e9:.1f} GB and dfd as much; use --work DIR")
    told(f"rendering {frames} frames of {TILE[0]} x {TILE[1]} px")
    small = simulate_capture("focal-stack", scene=SCENE, preset=PRESET, size=TILE[::-1], noise=0, frames=frames,
                             registered=True)
    lenses = [PRESETS[PRESET].lens(settings.focus_distance.value) for settings in small.settings]
    names = [f"frame_{k:02d}.dng" for k in range(frames)]
    for k, (name, lens) in enumerate(zip(names, lenses, strict=True)):
        told(f"writing {name}")
        values = mosaic(small.radiance[k], shape, lens.fx / lenses[small.reference].fx, np.random.default_rng([1, k]))
        write_dng(folder / name, values, black_level=BLACK, white_level=WHITE, settings=small.settings[k])
    (folder / "capture.toml").write_text(capture_toml(small, names))
    rows, columns = (mirrored(length, tile) for length, tile in zip(shape, TILE[::-1], strict=True))
    partial = folder / "truth.part.npy"
    np.save(partial, (1 / small.truth)[np.ix_(rows, columns)].astype(np.float32))
    partial.rename(folder / "truth.npy")


def mosaic(picture, shape, magnification, random):
    """(H, W) uint16 DN, RGGB: the (h, w, 3) tile continued by mirrors, magnified about the centre, exposed."""
    codes = np.empty(shape, np.uint16)
    margin = [int(np.ceil(length / 2 * abs(1 / magnification - 1))) + KERNEL for length in shape]
    rows, columns = (mirrored(length, tile, extra) for length, tile, extra in zip(shape, TILE[::-1], margin, strict=True))
    for channel, places in enumerate((((0, 0),), ((0, 1), (1, 0)), ((1, 1),))):
        plane = (picture[..., channel] * np.float32(GAINS[channel]))[np.ix_(rows, columns)]
        for down, right in places:
            seen = warp(plane, sampling(shape, magnification, margin, (down, right)), shape=(shape[0] // 2, shape[1] // 2))
            for start in range(0, len(seen), 256):  # a strip at a time: photon counts are 8 bytes each
                strip = expose(seen[start:start + 256], NOISE, random) * np.float32(WHITE - BLACK) + np.float32(BLACK)
                codes[down + 2 * start:down + 2 * (start + len(strip)):2, right::2] = np.clip(np.rint(strip), 0, WHITE)
    return codes


def sampling(shape, magnification, margin, phase):
    """(3, 3): pixel (x, y) of one of the four quarter images of the mosaic -> px of the mirrored plane with its margin."""
    matrix = np.diag([2 / magnification, 2 / magnification, 1.0])
    for axis in (0, 1):
        centre = (shape[1 - axis] - 1) / 2
        matrix[axis, 2] = margin[1 - axis] + centre + (phase[1 - axis] - centre) / magnification
    return matrix


def mirrored(length, tile, extra=0):
    """Indices into the tile of pixels -extra .. length + extra - 1, mirrored at its borders with the edge repeated."""
    place = np.arange(-extra, length + extra) % (2 * tile)
    return np.where(place < tile, place, 2 * tile - 1 - place)


def capture_toml(small, names):
    """What a photographer would state: the camera, and the focus distance and exposure of every frame; no noise."""
    settings = small.settings[small.reference]
    lines = ['kind = "focal-stack"', 'distance_from = "pupil"', "[camera]",
             f"focal_length_mm = {settings.focal_length.value * 1e3:.6g}", f"f_number = {settings.f_number.value:.6g}",
             f"pixel_pitch_um = {settings.pixel_pitch.value * 1e6:.6g}", 'psf = "disk"']
    for k, (name, frame) in enumerate(zip(names, small.settings, strict=True)):
        lines += ["[[frames]]", f'file = "{name}"', f"focus_distance_m = {frame.focus_distance.value!r}",
                  f"exposure_s = {frame.exposure.value!r}", f"iso = {frame.iso.value:g}"]
        lines += ["reference = true"] * (k == small.reference)
    return "\n".join(lines) + "\n"


def told(words):
    """One line of progress on stderr, apart from the table."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
