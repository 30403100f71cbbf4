"""Laws of the solver and of the fusion that no accuracy figure shows: ghosts, the noise floor, votes, ends, speckle."""

from types import SimpleNamespace

import numpy as np
import pytest
from textures import plane_stack, texture

from dfd.fuse import AllInFocus
from dfd.noise import LUMINANCE_TAPS, Noise
from dfd.solvers import focus_measure
from dfd.solvers.sharpness import SCALES, sharpness, sharpness_curves

SHAPE = (97, 141)
PEAKS = {"fused loop": focus_measure.find_peaks_fused, "arrays": focus_measure.find_peaks_arrays}


@pytest.fixture(params=PEAKS.values(), ids=PEAKS.keys())
def find_peaks(request):
    """Both implementations of the peaks: (volumes, places) -> place, std, window, strength."""
    return request.param


def curves_of(capture, scale):
    """(volume, deviation) of one scale, frames in the order of their coordinates."""
    order = sorted(range(len(capture)), key=lambda k: capture.views[k].coordinate)
    return sharpness_curves(capture, order, scale)


# -- ghosts


@pytest.mark.parametrize("weak", [0.0, 0.003])
def test_the_outlines_that_blur_draws_beside_an_edge_are_unknown(rng, weak):
    """An edge of contrast 0.6 near one end of the sweep: at the other end its disk is 9 px in radius."""
    sharp = np.full(SHAPE, 0.2)
    sharp[:, 40:100] = 0.8
    sharp += weak / 0.15 * (texture(SHAPE, rng) - 0.5)
    capture = plane_stack(rng, sharp=sharp, inverse_depth=1.66, noise=Noise(200000, 1.0))
    values = focus_measure.solve_focus_measure(capture).values
    spacing = abs(np.median(np.diff(capture.coordinates)))
    far = abs(values - 1.66) > 2 * spacing
    assert np.isfinite(values[:, [39, 40, 99, 100]]).all()
    for edge in (40, 100):
        assert far[:, edge - 20:edge + 20].mean() < 0.002


# -- noise


def flat_stack(rng, noise, level=0.4):
    return plane_stack(rng, sharp=np.full(SHAPE, level), noise=noise)


@pytest.mark.parametrize("scale", SCALES)
def test_noise_alone_is_not_sharp(rng, scale):
    """The floor leaves a third of what noise adds, in the mean over a flat surface."""
    capture = flat_stack(rng, Noise(2000, 5.0))
    volume, _ = curves_of(capture, scale)
    raw = np.mean([sharpness(image, scale).mean() for image in capture.images])
    assert raw > 1e-3
    assert volume.mean() < 0.35 * raw
    assert np.median(volume) < 0.2 * raw


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("taps", [(1.0,), LUMINANCE_TAPS])
def test_the_deviation_is_that_of_repeated_exposures(rng, scale, taps):
    """One textured frame exposed 60 times: the std of its sharpness at each pixel, root mean square over pixels."""
    import cv2

    noise = Noise(1000, 3.0)
    clean = texture(SHAPE, rng)
    kernel = np.array(taps)
    exposures = np.stack([cv2.sepFilter2D(clean + rng.standard_normal(SHAPE) * np.sqrt(noise.variance(clean)), -1,
                                          kernel, kernel) for _ in range(60)]).astype(np.float32)
    stack = SimpleNamespace(images=exposures, views=[SimpleNamespace(noise=noise.filtered(taps))] * 60)
    volume, deviation = sharpness_curves(stack, list(range(60)), scale)
    measured = np.sqrt(np.mean(np.std([sharpness(image, scale) for image in exposures], axis=0) ** 2))
    assert volume.shape == exposures.shape
    assert np.sqrt(np.mean(deviation**2)) == pytest.approx(measured, rel=0.35)


# -- votes and ends


def test_coarse_scales_outvote_the_noise_of_the_fine_scale(rng, find_peaks):
    """A plane half way between two of 12 frames; for the finest scale alone the best frame is a matter of chance."""
    sharp = 0.5 + 0.35 * (texture(SHAPE, rng) - 0.5)
    capture = plane_stack(rng, sharp=sharp, inverse_depth=1.425, noise=Noise(1000, 3.0))
    volumes = [curves_of(capture, scale) for scale in SCALES]
    strength = find_peaks(volumes, np.arange(12) - 5.5)[3]
    middle = volumes[1][0]
    best = abs(middle - middle.min(axis=0) - strength).argmin(axis=0)  # the strength is read off at the best frame
    assert np.isin(volumes[0][0].argmax(axis=0)[12:-12, 12:-12], (5, 6)).mean() < 0.25
    assert np.isin(best[12:-12, 12:-12], (5, 6)).mean() > 0.9


@pytest.mark.parametrize(("coarse_peak", "known"), [(4.3, True), (0.0, False), (9.0, False)])
def test_a_coarse_peak_at_an_end_of_the_sweep_is_unknown(find_peaks, coarse_peak, known):
    """The fine curves peak inside at 4.3 all the same: a ghost of texture that is sharp beyond the sweep."""
    frames = np.arange(10.0)
    volumes = [np.exp(-((frames - peak) ** 2) / (2 * width**2))[:, None, None] * np.ones((10, 5, 7))
               for peak, width in ((4.3, 1.0), (4.3, 1.2), (coarse_peak, 4.0))]
    deviation = np.full((5, 7), 1e-3, np.float32)
    place = find_peaks([(volume.astype(np.float32), deviation) for volume in volumes], frames - 4.5)[0]
    assert np.isfinite(place).all() if known else np.isnan(place).all()


# -- fusion


def test_noise_of_the_depth_map_is_no_speckle_of_the_index_map(rng):
    """Depth 2 +- 0.4 frames: unsmoothed, one pixel in five would come from a neighbouring frame."""
    values = (2 + 0.4 * rng.standard_normal(SHAPE)).astype(np.float32)
    fusion = AllInFocus(values, (0.0, 1.0, 2.0, 3.0, 4.0))
    for number in range(5):
        fusion.add(number, np.full((*SHAPE, 1), float(number), np.float32))
    image, index = fusion.result()
    assert np.mean(index != 2) < 0.001
    assert np.std(image) < 0.02
