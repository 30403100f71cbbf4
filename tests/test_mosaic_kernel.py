"""The loops over sensor codes: equal to the arrays they replace, flat on flat colours, one filter at every pixel."""

import numpy as np
import pytest
from dngfiles import XTRANS_TABLE, colour_table

from dfd.io.dng import PATTERNS
from dfd.io.sensor import TAPS
from dfd.kernels import mosaic

TABLES = {**{pattern: colour_table(pattern) for pattern in PATTERNS}, "XTRANS": XTRANS_TABLE}
SHAPE = (49, 70)
WHITE = 16383


def colour_index(table, shape):
    repeats = [-(-length // len(table)) for length in shape]
    return np.tile(np.array(table), repeats)[:shape[0], :shape[1]]


def codes(rng, shape, saturated=0.02):
    numbers = rng.integers(400, WHITE, shape)
    numbers[rng.random(shape) < saturated] = WHITE + 1
    return numbers.astype(np.uint16)


def light(numbers, black):
    repeats = [-(-length // period) for length, period in zip(numbers.shape, black.shape, strict=True)]
    dark = np.tile(black, repeats)[:numbers.shape[0], :numbers.shape[1]]
    return ((numbers - dark) / (WHITE - dark)).astype(np.float32)


@pytest.mark.parametrize("shape", [SHAPE, (22, 31), (64, 61)])
@pytest.mark.parametrize("period", [1, 2, 6])
def test_luminance_equals_the_array_form(rng, period, shape):
    numbers, black = codes(rng, shape), rng.uniform(300, 600, (4, 2))
    values = light(numbers, black)
    values[numbers >= WHITE] = np.nan
    expected = mosaic.luminance_arrays(values, TAPS[period], period)
    found = mosaic.luminance(numbers, black, WHITE, TAPS[period], period)
    np.testing.assert_allclose(found, expected, atol=3e-7, rtol=0)  # NaN in the same places
    assert np.isnan(found).any() and found.dtype == np.float32 and found.shape == shape


@pytest.mark.parametrize("pattern", TABLES)
@pytest.mark.parametrize("shape", [SHAPE, (22, 31)])
def test_demosaic_equals_the_array_form(rng, pattern, shape):
    numbers, black, gains = codes(rng, shape), rng.uniform(300, 600, (2, 2)), (1.5, 1.0, 2.0)
    expected = mosaic.demosaic_arrays(light(numbers, black), TABLES[pattern])
    np.testing.assert_allclose(mosaic.demosaic(numbers, black, WHITE, TABLES[pattern]), expected, atol=3e-7, rtol=0)
    found = mosaic.demosaic(numbers, black, WHITE, TABLES[pattern], gains=gains, limit=1.0)
    np.testing.assert_allclose(found, np.minimum(expected * np.float32(gains), 1), atol=6e-7, rtol=0)


def test_blend_is_the_weighted_sum_and_unknown_where_a_channel_is_full(rng):
    numbers, black, white, weights = codes(rng, (*SHAPE, 3)), (500, 510, 520), (16000, 15000, WHITE), (0.2, 0.7, 0.1)
    values = (numbers - np.array(black)) / (np.array(white) - np.array(black))
    expected = np.where((numbers >= white).any(axis=2), np.nan, values @ np.array(weights))
    np.testing.assert_allclose(mosaic.blend(numbers, black, white, weights), expected, atol=3e-7, rtol=0)


@pytest.mark.parametrize("pattern", TABLES)
@pytest.mark.parametrize("colour", [(0.9, 0.1, 0.1), (0.05, 0.1, 0.8), (0.31, 0.62, 0.18)])
def test_a_patch_of_one_colour_is_flat_up_to_the_border(pattern, colour):
    index = colour_index(TABLES[pattern], SHAPE)
    values = np.choose(index, colour).astype(np.float32)
    counts = np.bincount(np.ravel(TABLES[pattern]), minlength=3)
    plane = mosaic.luminance_arrays(values, TAPS[len(TABLES[pattern])], len(TABLES[pattern]))
    assert np.abs(plane - counts @ np.array(colour) / counts.sum()).max() < 2e-7


@pytest.mark.parametrize("period", [2, 6])
def test_the_luminance_filter_is_the_same_at_every_pixel(rng, period):
    numbers, black = codes(rng, (60, 80), saturated=0), np.full((1, 1), 512.0)
    whole, part = (mosaic.luminance(np.ascontiguousarray(cut), black, WHITE, TAPS[period], period)
                   for cut in (numbers, numbers[3:, 5:]))
    np.testing.assert_allclose(whole[6:-3, 8:-3], part[3:-3, 3:-3], atol=1e-7, rtol=0)


@pytest.mark.parametrize(("period", "contrast"), [(2, (0.976, 0.905, 0.5)), (6, (0.944, 0.789, 0.167))])
def test_the_filters_keep_this_contrast(period, contrast):
    """At 0.05, 0.1 and 0.25 cycles/px; X-Trans with a further zero at 1/6 would keep 0.85, 0.49 and -0.17."""
    taps = np.array(TAPS[period])
    place = np.arange(len(taps)) - len(taps) // 2
    for frequency, expected in zip((0.05, 0.1, 0.25), contrast, strict=True):
        assert taps @ np.cos(2 * np.pi * frequency * place) == pytest.approx(expected, abs=1e-3)


def test_red_minus_blue_of_x_trans_has_no_energy_where_the_filter_passes():
    table = np.array(XTRANS_TABLE)
    response = np.fft.fft([*np.roll(np.pad(TAPS[6], (0, 1)), -2)])
    for carrier in (table == 1, (table == 0) * 1.0 - (table == 2)):
        spectrum = np.abs(np.fft.fft2(carrier)) * np.abs(np.outer(response, response)) / 36
        spectrum[0, 0] = 0
        assert spectrum.max() < 1e-12
    assert np.abs(np.fft.fft2((table == 0) * 1.0 - (table == 2))).max() / 36 > 0.3  # at (1/6, 1/2)


@pytest.mark.parametrize("pattern", TABLES)
def test_demosaic_is_exact_on_a_gradient_and_keeps_the_samples(pattern):
    y, x = np.mgrid[:40, :56].astype(np.float32)
    truth = np.stack([0.1 + 0.001 * x, 0.5 + 0.002 * y, 0.3 - 0.001 * x + 0.001 * y], axis=-1)
    index = colour_index(TABLES[pattern], truth.shape[:2])
    values = np.take_along_axis(truth, index[..., None], axis=-1)[..., 0]
    colours = mosaic.demosaic_arrays(values, TABLES[pattern])
    assert np.abs(colours - truth)[3:-3, 3:-3].max() < 1e-6
    assert np.array_equal(np.take_along_axis(colours, index[..., None], axis=-1)[..., 0], values)


def test_a_pattern_without_a_colour_cannot_be_interpolated():
    with pytest.raises(ValueError, match="too few samples of colour 2"):
        mosaic.interpolation(((0, 0), (1, 1)))
