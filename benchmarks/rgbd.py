"""Real texture with known depth: every kind of capture rendered from RGB-D pictures, solved, compared with that depth.

    python benchmarks/rgbd.py [motorcycle] [wide] [nyuv2] [dense] [antinous] [--noise-free] [--noise-only] [--kinds ...]

motorcycle  Middlebury 2014, 741 x 500 px, 2.11-5.02 m, 92.65 % known.  fx of the picture (994.978 px) behind 50 mm, which
            makes the sensor 37 mm wide (virtual pitch 50.25 um); f/1.8: 27.6 px per dioptre, 7.6 px of blur from the
            nearest to the farthest point.  Stack: 16 foci, even in dioptres, from a twentieth of the range before the
            nearest point to as much behind the farthest
wide        the same at f/1.2: 11.4 px
nyuv2       NYUv2 frame 0045, 640 x 480 px, 0.71-1.91 m: depth of a Kinect, noisy, its gaps filled by whoever prepared it.
            The published camera of such renders: 50 mm, f/8, 12 um (not the picture's own fx), foci 1, 1.5, 2.5, 4, 6 m.
            26 px per dioptre, up to 32 px of blur; what is nearer than the nearest focus is told by blur alone
dense       that camera with 16 foci over 0.69-2.09 m
antinous    how good views made by `densify` are: HCI antinous without the odd views of its centre row, which come back from
            the others and the true disparity; beside it the mean of the two neighbours in the row.  8-bit sRGB, whole frame
There are so many views that max_step stays below 0.52 px (nyuv2: 0.98 px, its nearest point in its farthest focus).
The picture is blurred by 0.7 px (std) first, as a lens and a pixel do: beyond 0.38 cycles/px the taps that warp and refocus
lose an amount that depends on the phase.
pair: f-number and 2.75 times that, focused 3 px of coc before the nearest point, side far.  dual: ideal half pupils, focused
in the middle of the range in dioptres.  quad: focused there, power +-0.75 px of coc, pupil +-20 %.
Noise: 20000 e- at white, read noise 3 e-; "none" states 2e-4 of white.  No solver is told where the scene begins or ends
(the foci of a stack, the focus of a pair and its side are set by it).  Errors relative to depth, nothing fitted, no border
left out: of every known pixel whose true depth is known, and of those with confidence >= 0.5.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from common import header, load, row, shared_data

import dfd
from dfd.imaging import gaussian
from dfd.io.images import read_image, read_values
from dfd.io.pfm import read_pfm
from dfd.lightfield import LightField, ViewCamera, from_rgbd
from dfd.noise import Noise

NOISE = Noise(20000.0, 3.0)
CORE = 0.7
SOLVERS = {"stack": ("focus-measure", "likelihood"), "pair": ("spatial-transform", "likelihood"),
           "dual": ("disparity", "likelihood"), "quad": ("coupled-derivatives-tls", "likelihood")}
COLUMNS = ("capture, solver, noise", "known", "mean rel.", "median rel.", "confidence >= .5", "mean", "median", "1 sigma",
           "2 sigma", "10 px off edges", "mean", "wall, CPU s")


@dataclass(frozen=True)
class Scene:
    """A picture (H, W) linear, its depth [m], NaN = unknown, and the camera: lengths in m, foci in dioptre."""

    picture: np.ndarray
    depth: np.ndarray
    image_distance: float
    pixel_pitch: float
    f_number: float
    foci: np.ndarray
    count: int

    @property
    def ends(self):
        """(farthest, nearest) inverse depth [dioptre]."""
        return 1 / np.nanmax(self.depth), 1 / np.nanmin(self.depth)

    @property
    def rate(self):
        """Blur rate [px per dioptre] of the whole pupil."""
        return self.image_distance / self.f_number * self.image_distance / self.pixel_pitch

    def light_field(self):
        """All views of it."""
        camera = ViewCamera(baseline=self.image_distance / self.f_number / self.count, image_distance=self.image_distance,
                            pixel_pitch=self.pixel_pitch, focus=float(np.mean(self.ends)))
        return from_rgbd(gaussian(self.picture, CORE), camera, self.count, depth=self.depth)


def over(ends, frames=16):
    """Foci from a twentieth of the range behind the farthest point to as much before the nearest [dioptre]."""
    low, high = ends
    margin = (high - low) / 20
    return np.linspace(low - margin, high + margin, frames)


def motorcycle():
    """The Middlebury scene at f/1.8."""
    folder = shared_data("lf/rgbd_motorcycle")
    shift = np.load(folder / "disp.npy")
    depth = 0.193001 * 994.978 / (np.where(np.isfinite(shift), shift, np.nan) + 31.086)
    picture = dfd.imaging.luminance(read_image(folder / "left.png").values)
    ends = 1 / np.nanmax(depth), 1 / np.nanmin(depth)
    return Scene(picture, depth, 0.05, 0.05 / 994.978, 1.8, over(ends), 17)


def wide():
    """The same at f/1.2."""
    return replace(motorcycle(), f_number=1.2, count=25)


def nyuv2():
    """The Kinect picture with the five foci that are published for it."""
    folder = shared_data("stacks/nyuv2_rgbd_0045")
    depth = read_values(folder / "depth/0045.png").astype(float) / 1e4
    picture = dfd.imaging.luminance(read_image(folder / "rgb/0045.png").values)
    return Scene(picture, depth, 0.05, 12e-6, 8.0, 1 / np.array([1.0, 1.5, 2.5, 4.0, 6.0]), 33)


def dense():
    """The same with foci all over the scene."""
    scene = nyuv2()
    return replace(scene, foci=over(scene.ends), count=47)


SCENES = {"motorcycle": motorcycle, "wide": wide, "nyuv2": nyuv2, "dense": dense}


def capture_of(kind, scene, views, noise):
    """One capture of the light field `views`, exposed with `noise`, None for none."""
    middle = float(np.mean(scene.ends))
    if kind == "stack":
        return views.focal_stack(scene.foci, noise=noise)
    if kind == "pair":
        return views.aperture_pair(scene.ends[1] + 3 / scene.rate, side="far", noise=noise)
    if kind == "dual":
        return views.dual_pixel(middle, noise=noise)
    return views.quadruple(middle, power_step=0.75 / scene.rate, noise=noise)


def figures(result, depth):
    """Cells of the table."""
    with np.errstate(divide="ignore"):
        size = np.abs(1 / result.values / depth - 1)
    judged = np.isfinite(depth)
    known = judged & np.isfinite(size)
    sure = known & (result.confidence >= 0.5)
    calm = judged & ~near_edges(depth)
    error = np.abs(result.values - 1 / depth)
    share = [f"{np.mean((error <= k * result.sigma)[known]):.0%}" for k in (1, 2)]
    return (f"{known.sum() / judged.sum():.1%}", f"{size[known].mean():.2%}", f"{np.median(size[known]):.2%}",
            f"{sure.sum() / judged.sum():.1%}", f"{size[sure].mean():.3%}", f"{np.median(size[sure]):.3%}", *share,
            f"{calm.sum() / judged.sum():.0%}", f"{size[calm & known].mean():.2%}")


def near_edges(depth, reach=10, step=0.03):
    """(H, W) bool: within `reach` px of a step of depth from pixel to pixel by more than the share `step`, or of a gap."""
    from scipy.ndimage import binary_dilation

    log, edge = np.log(depth), np.isnan(depth)
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        jump = np.abs(log[other] - log[one]) > step
        edge[one] |= jump
        edge[other] |= jump
    return binary_dilation(edge, iterations=reach)


def table(name, kinds, noises):
    """Render one scene, solve all its captures, print."""
    scene = SCENES[name]()
    cpu, wall = time.process_time(), time.perf_counter()
    views = scene.light_field()
    low, high = scene.ends
    step = views.max_step(views.camera.disparity(scene.foci))
    print(f"\n{name}: {views!r}, {1 / high:.2f}-{1 / low:.2f} m, {np.isfinite(scene.depth).mean():.2%} known; "
          f"{scene.rate:.2f} px per dioptre, {scene.rate * (high - low):.1f} px over the range; max_step {step:.2f} px; "
          f"views in {time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} CPU s\n")
    header(*COLUMNS)
    for kind in kinds:
        for noise in noises:
            capture = capture_of(kind, scene, views, noise)
            for solver in SOLVERS[kind]:
                cpu, wall = time.process_time(), time.perf_counter()
                result = dfd.estimate_depth(capture, solver=solver)
                spent = f"{time.perf_counter() - wall:.0f}, {time.process_time() - cpu:.0f}"
                row(f"{kind}, {solver}, {'none' if noise is None else '20000 e-'}", *figures(result, scene.depth), spent)


def antinous():
    """Print how well views that were left out come back."""
    folder = shared_data("lf/hci_antinous")
    views = np.stack([read_values(folder / f"input_Cam{number:03d}.png") for number in range(81)]).astype(np.float32) / 255
    disparity = read_pfm(folder / "gt_disp_lowres.pfm")
    v, u = (place.ravel() for place in np.mgrid[-4:5, -4:5])
    out = np.flatnonzero((v == 0) & (u % 2 == 1))
    kept = np.setdiff1d(np.arange(81), out)
    sparse = LightField(views[kept], tuple(u[kept]), tuple(v[kept]), disparity=disparity)
    cpu = time.process_time()
    made = sparse.densify(9).views[out]
    spent = time.process_time() - cpu
    print(f"\nantinous: {sparse!r}; densify(9) {spent:.0f} CPU s\n")
    header("PSNR dB of the view at u =", *u[out])
    for name, found in (("mean of the two neighbours", (views[out - 1] + views[out + 1]) / 2), ("densify", made)):
        error = np.mean((np.clip(found, 0, 1) - views[out]) ** 2, axis=(1, 2, 3))
        row(name, *(f"{-10 * np.log10(one):.1f}" for one in error))


def main():
    """Print the tables named, all without a name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenes", nargs="*", help=" ".join([*SCENES, "antinous"]))
    parser.add_argument("--kinds", nargs="+", default=list(SOLVERS), choices=list(SOLVERS))
    parser.add_argument("--noise-free", action="store_true", help="without noise only")
    parser.add_argument("--noise-only", action="store_true", help="with noise only")
    arguments = parser.parse_args()
    noises = [None] if arguments.noise_free else [NOISE] if arguments.noise_only else [NOISE, None]
    print(load())
    for name in arguments.scenes or [*SCENES, "antinous"]:
        if name == "antinous":
            antinous()
        else:
            table(name, arguments.kinds, noises)


if __name__ == "__main__":
    main()
