"""Kernels measured over the picture: their geometry, what noise alone says through them, and depth that they give."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import shared_data
from textures import lenses, texture

import dfd
from dfd.capture import DualPixelPair, FocalStack, View
from dfd.fieldpsf import FieldPsf, scaled
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.solvers import SOLVERS, choose
from dfd.solvers.grid import lensed
from dfd.solvers.sweep import Sweep

UNIT = -16.0  # px: kernels of points behind the focus
SHAPE = (96, 136)


def offset(kernel):
    """Centroid (y, x) [px] from the middle of the array."""
    axis = np.arange(kernel.shape[-1]) - kernel.shape[-1] // 2
    return kernel.sum(axis=1) @ axis, kernel.sum(axis=0) @ axis


def halves(size=29, shift=(0, 0), coc=UNIT):
    """(left, right) kernels of ideal half discs, off the middle of their array."""
    return [np.roll(Psf(model, 0.5).kernel(coc, size=size), shift, (0, 1)) for model in ("half-left", "half-right")]


def field(rows=2, columns=3, size=SHAPE, widths=(1.0,)):
    """Half discs in every tile, each tile's pair off its middle by another step.

    widths   of the discs of the tiles, row by row and over again, over that at UNIT
    """
    tiles = [halves(shift=(row - 1, column - 1), coc=UNIT * width) for (row, column), width in
             zip(np.ndindex(rows, columns), itertools.cycle(widths), strict=False)]
    left, right = np.swapaxes(tiles, 0, 1).reshape(2, rows, columns, 29, 29)
    return FieldPsf.pair(left, right, coc=UNIT, size=size)


def seen(sharp, psf, coc):
    """A periodic texture through a measured PSF."""
    wy, wx = (2 * np.pi * np.fft.fftfreq(length) for length in sharp.shape)
    return np.fft.ifft2(np.fft.fft2(sharp) * psf.otf(coc, wy[:, None], wx[None])).real


def pair(rng, coc, psfs=None, std=0.005, contrast=0.05, shape=SHAPE):
    """An affine pair of a textured plane at a signed coc [px], without any optics."""
    psfs = field(size=shape) if psfs is None else psfs
    sharp = 0.5 + contrast * (texture(shape, rng) - 0.5) / 0.15
    images = rng.normal(0, std, (2, *shape))
    for image, psf in zip(images, psfs, strict=True):
        for part in psf.parts(shape):
            y, x = ((piece.start + piece.stop - 1) / 2 for piece in part)
            image[part] += seen(sharp, psf.at(y, x), coc)[part]
    return DualPixelPair(np.array(images, np.float32), [View(None, psf, Noise(1e9, std * 1e9)) for psf in psfs], "affine")


def test_a_scale_enlarges_the_support_and_keeps_the_light():
    left, _ = halves()
    kernels = scaled(left, [0.5, 1.0, 1.7])
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, atol=1e-6)
    moved = [offset(kernel)[1] for kernel in kernels]
    np.testing.assert_allclose(moved, np.array([0.5, 1.0, 1.7]) * offset(left)[1], atol=0.02)  # px
    middle = kernels.shape[1] // 2
    np.testing.assert_allclose(kernels[1][middle - 10:middle + 11, middle - 10:middle + 11], left[4:25, 4:25], atol=2e-4)


def test_a_negative_scale_turns_both_axes_and_zero_is_one_pixel():
    kernel = scaled(np.arange(25.0).reshape(5, 5), [-1.0, 0.0, 1.0])
    np.testing.assert_allclose(kernel[0], kernel[2][::-1, ::-1], atol=1e-7)
    assert kernel[1][kernel.shape[1] // 2, kernel.shape[2] // 2] == pytest.approx(1, abs=1e-6)


def test_a_pair_is_centred_as_a_pair_so_that_its_disparity_stays():
    left, right = FieldPsf.pair(*(np.array(k)[None, None] for k in halves(shift=(2, -3))), coc=UNIT, size=SHAPE)
    one, other = (offset(psf.at(5, 5).kernel(UNIT)) for psf in (left, right))
    assert one[1] - other[1] == pytest.approx(4 / (3 * np.pi) * UNIT, abs=0.05)  # px, kappa of half discs
    np.testing.assert_allclose(np.add(one, other), 0, atol=0.02)


def test_what_is_nearer_lies_further_right_in_the_left_view():
    left, right = field()
    assert offset(left.at(0, 0).kernel(8.0))[1] > offset(right.at(0, 0).kernel(8.0))[1]
    assert offset(left.at(0, 0).kernel(-8.0))[1] < offset(right.at(0, 0).kernel(-8.0))[1]


def test_a_cut_keeps_the_place_of_its_tiles():
    psf, _ = field()
    assert [psf.tile(y, x) for y, x in ((0, 0), (50, 0), (0, 46), (95, 135))] == [(0, 0), (1, 0), (0, 1), (1, 2)]
    part = psf.cut(30, 40)
    assert part.tile(20, 10) == psf.tile(50, 50)
    parts = part.parts((60, 90))
    assert [(row.start, row.stop) for row, _ in parts[::3]] == [(0, 18), (18, 60)]
    assert sum((row.stop - row.start) * (column.stop - column.start) for row, column in parts) == 60 * 90
    assert psf.reduced(2).tile(25, 25) == psf.tile(50, 50)


@pytest.mark.parametrize("change, message", [
    ({"kernels": np.ones((2, 3, 4, 4))}, "squares of an odd number"), ({"kernels": np.zeros((1, 1, 3, 3))}, "positive sum"),
    ({"coc": 0.0}, r"coc \(0 px\)"), ({"centres": np.zeros((2, 2))}, "must be"), ({"most": 0.0}, r"most \(0\)")])
def test_kernels_that_cannot_be_are_refused(change, message):
    good = {"kernels": np.ones((1, 1, 3, 3)), "coc": 4.0, "centres": np.zeros((1, 1, 2)), "size": (10, 12)}
    with pytest.raises(ValueError, match=message):
        FieldPsf(**(good | change))


def test_a_pair_without_kernels_or_optics_is_still_refused():
    capture = pair(np.random.default_rng(1), 6.0)
    plain = replace(capture, views=[replace(view, psf=Psf("half-left")) for view in capture.views])
    with pytest.raises(ValueError, match="no optics or no kappa"):
        SOLVERS["likelihood"].check(plain, None)


def test_kernels_over_the_picture_serve_pairs_alone():
    capture = pair(np.random.default_rng(1), 6.0)
    stack = FocalStack(capture.images, [replace(view, lens=lens, coordinate=lens.focus) for view, lens in
                                        zip(capture.views, lenses((1.4, 1.5)), strict=True)])
    with pytest.raises(ValueError, match="serve a dual-pixel pair, not focal-stack"):
        SOLVERS["likelihood"].check(stack, None)


@pytest.mark.parametrize("coc", [-11.0, 7.0])
def test_likelihood_finds_the_signed_coc_of_a_plane_in_every_tile(coc):
    capture = pair(np.random.default_rng(2), coc)
    result = SOLVERS["likelihood"].function(capture)
    assert result.scale == "affine" and result.shape == SHAPE
    inner = result.values[20:-20, 20:-20]
    assert np.isfinite(inner).mean() > 0.9
    assert np.nanmedian(inner) == pytest.approx(coc, abs=0.3)  # px of coc
    assert np.nanpercentile(abs(inner - coc), 90) < 1.0


def test_every_tile_is_judged_by_its_own_kernel():
    """Two widths of kernels, side by side: with one tile's kernels everywhere the others would be off by 2 px or more."""
    shape, coc = (96, 272), 8.0
    capture = pair(np.random.default_rng(8), coc, psfs=field(1, 2, shape, widths=(1.0, 0.7)), shape=shape)
    values = SOLVERS["likelihood"].function(capture, limits=(14.0, 2.0)).values
    for part in (np.s_[20:-20, 20:116], np.s_[20:-20, 156:252]):
        assert np.isfinite(values[part]).mean() > 0.9
        assert np.nanmedian(values[part]) == pytest.approx(coc, abs=0.4)  # px of coc


@pytest.mark.parametrize("coc", [-31.9, -6.0, 0.0, 0.3, 15.99, 32.0])
def test_the_kernels_beside_one_coc_are_those_of_the_whole_table(coc):
    for psf in (field()[0], field()[1].reduced(2)):
        whole, beside = psf.at(70, 100), psf.at(70, 100, coc / psf.factor)
        size = whole.kernels.shape[1]
        np.testing.assert_allclose(beside.kernel(coc / psf.factor, size=size), whole.kernel(coc / psf.factor), atol=1e-6)
        assert len(beside.cocs) == 2 and beside.kernels.nbytes < whole.kernels.nbytes / 20
        assert psf.only(70, 100).at(0, 0, coc / psf.factor).kernels.tobytes() == beside.kernels.tobytes()
    with pytest.raises(ValueError, match="lies beyond the measured kernels, -32 to 32 px"):
        field()[0].at(0, 0, 33.0).kernel(33.0)


@pytest.mark.parametrize("name", ["likelihood", "likelihood-prior"])
def test_kernels_over_the_picture_take_the_memory_that_is_declared(name):
    shape, row = (72, 112), SOLVERS[name]
    capture, limits = pair(np.random.default_rng(9), 7.0, psfs=field(2, 3, shape), shape=shape), (10.0, 4.0)
    row.function(capture.cut(capture.images[:, :40, :44].copy(), 0, 0), limits=limits)  # compiles and loads
    tracemalloc.start()
    try:
        row.function(replace(capture, images=capture.images.copy()), limits=limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 < peak / row.memory(capture, shape, limits) < 1.0


def test_the_prior_takes_an_affine_pair_with_measured_kernels():
    capture = pair(np.random.default_rng(10), 7.0, shape=(48, 60), psfs=field(1, 1, (48, 60)))
    assert choose(capture, "likelihood-prior").memory(capture, capture.shape, (12.0, 2.0)) > 0
    found = dfd.estimate_depth(capture, solver="likelihood-prior")
    assert found.method == "likelihood-prior" and found.scale == "affine"
    assert np.nanmedian(found.values[12:-12, 12:-12]) == pytest.approx(7.0, abs=0.5)  # px of coc


def test_a_metric_pair_with_measured_kernels_is_solved_in_dioptres():
    capture = pair(np.random.default_rng(3), 8.0)
    lens = lenses((1.4, 1.5))[0]
    metric = DualPixelPair(capture.images, [replace(view, lens=lens) for view in capture.views], "metric", 0.42)
    result = SOLVERS["likelihood"].function(metric)
    assert lens.coc(np.nanmedian(result.values[20:-20, 20:-20])) == pytest.approx(8.0, abs=0.4)  # px


def test_exposure_changes_nothing_and_the_inputs_stay():
    capture = pair(np.random.default_rng(4), 7.0)
    before = capture.images.copy()
    double = replace(capture, images=2 * capture.images,
                     views=[replace(view, noise=view.noise.scaled(2.0)) for view in capture.views])
    one, other = (SOLVERS["likelihood"].function(each) for each in (capture, double))
    np.testing.assert_allclose(one.values, other.values, atol=0.02)
    np.testing.assert_array_equal(capture.images, before)


def test_a_flat_pair_is_unknown():
    capture = pair(np.random.default_rng(5), 7.0, contrast=0.0)
    assert np.isfinite(SOLVERS["likelihood"].function(capture).values).mean() < 0.02


def pixel4():
    """(left, right) kernels of the Pixel 4, (6, 8, 61, 61) each."""
    folder = shared_data("dp/xin2021_pixel4/DP_data_pixel_4/calibration")
    return [np.load(folder / f"blur_kernels_{side}.npy").astype(float).reshape(6, 8, 61, 61) for side in ("left", "right")]


def test_pixel_4_kernels_have_the_disparity_sums_and_asymmetry_of_the_reference():
    left, right = pixel4()
    psfs = FieldPsf.pair(left, right, coc=-25.2, size=(1008, 1344))
    apart = [offset(a)[1] - offset(b)[1] for a, b in zip(*(psf.kernels.reshape(-1, 61, 61) for psf in psfs), strict=True)]
    assert np.mean(apart) == pytest.approx(-5.30, abs=0.02)  # px
    np.testing.assert_allclose([left.sum(axis=(2, 3)), right.sum(axis=(2, 3))], 1, atol=1e-6)
    assert np.mean(abs(right - left[..., ::-1]).sum(axis=(2, 3)) / 2) == pytest.approx(0.297, abs=0.005)


def scales_found(rng, *, std, contrast, corrected, trials=16, shape=(104, 104)):
    """Errors in s of the best of 31 scales for patches of 64 px seen through the kernels of a central tile of the Pixel 4:
    by the channels that no texture explains, or by the energy of a texture prior without its correction."""
    psfs = [psf.at(500, 700) for psf in FieldPsf.pair(*pixel4(), coc=-25.2, size=(1008, 1344))]
    wy, wx = 2 * np.pi * np.fft.fftfreq(shape[0])[:, None], 2 * np.pi * np.fft.fftfreq(shape[1])[None]
    scales = np.linspace(-1.5, 1.5, 31)
    otfs = np.array([[psf.otf(-25.2 * s, wy, wx) for psf in psfs] for s in scales])
    errors = []
    for _ in range(trials):
        truth = rng.integers(len(scales))
        sharp = np.fft.fft2(contrast * (texture(shape, rng) - 0.5) / 0.15)
        clean = np.fft.ifft2(sharp * otfs[truth]).real
        images = clean + rng.normal(0, std, clean.shape)
        judged = _unexplained(psfs, images, scales, std) if corrected else _energy(np.fft.fft2(images), otfs)
        errors.append(scales[int(np.argmin(judged))] - scales[truth])
    return np.array(errors)


def _unexplained(psfs, images, scales, std):
    views = [View(None, psf, Noise(1e9, std * 1e9)) for psf in psfs]
    capture = lensed(DualPixelPair(images.astype(np.float32), views, "affine"))
    labels = -25.2 * scales[::-1]
    planes = [found[20:-20, 20:-20].sum() for found, _ in Sweep(capture, labels).residuals(labels)]
    return np.array(planes)[::-1]


def _energy(spectra, otfs, prior=5e-3):
    explained = abs((np.conj(otfs) * spectra).sum(axis=1)) ** 2 / ((abs(otfs) ** 2).sum(axis=1) + prior)
    return -explained.sum(axis=(1, 2))


def test_the_unexplained_channels_find_the_scale_and_the_energy_of_a_prior_does_not():
    """Noise 0.005, texture 0.02: the frames' own statistic needs no correction, for it has none to make (see below)."""
    ours = scales_found(np.random.default_rng(6), std=0.005, contrast=0.02, corrected=True)
    prior = scales_found(np.random.default_rng(6), std=0.005, contrast=0.02, corrected=False)
    assert np.sqrt(np.mean(ours**2)) < 0.05
    assert np.sqrt(np.mean(prior**2)) > 0.3


def test_noise_alone_leaves_the_same_at_every_label():
    """What costs of blurred views do not: they fall with blur (or rise, with a prior) and pull depth there."""
    rng, psfs = np.random.default_rng(7), field()
    capture = lensed(pair(rng, 6.0, psfs=psfs))
    views = [replace(view, psf=view.psf.at(40, 40)) for view in capture.views]
    labels, means = np.array([-24.0, -12.0, -3.0, 0.5, 6.0, 14.0, 24.0]), []
    for _ in range(12):
        images = rng.normal(0.5, 0.005, (2, 160, 200)).astype(np.float32)
        sweep = Sweep(replace(capture, images=images, views=views), labels)
        means.append([float(found.mean()) for found, _ in sweep.residuals(labels)])
    mean = np.mean(means, axis=0)
    np.testing.assert_allclose(mean / mean.mean(), 1, atol=0.03)
    assert mean.mean() == pytest.approx(1, abs=0.1)  # of the noise's variance
