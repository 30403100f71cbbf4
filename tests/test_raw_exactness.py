"""One simulated scene as TIFF, as Bayer RAW and as X-Trans RAW gives the same depths, whatever the channels' gains."""

import numpy as np
import pytest
from dngfiles import XTRANS_TABLE, colour_table

from dfd import pipeline
from dfd.io.dng import write_dng
from dfd.io.simulated import write_simulation
from dfd.noise import expose
from dfd.simulate import simulate_capture

GAINS = np.array([0.55, 1.0, 0.7], np.float32)
"""Red, green and blue of the sensor: as unequal as a camera's before white balance."""

DRIFT = 0.2
"""Share of its brightness that the light loses from the first frame to the last; no file says so."""

WHITE = 16383
SENSORS = {"RGGB": (colour_table("RGGB"), np.array([[500, 520], [540, 560]])), "XTRANS": (XTRANS_TABLE, np.array([[512]]))}


def write_raw(simulation, folder, pattern):
    """The simulation's folder with its frames as this sensor takes them, noise drawn on the mosaic."""
    table, black = SENSORS[pattern]
    height, width = simulation.shape
    index = np.tile(np.array(table), (height, width))[:height, :width, None]
    dark = np.tile(black, (height, width))[:height, :width]
    write_simulation(simulation, folder, format="dng")
    for k, name in enumerate(simulation.names):
        light = simulation.radiance[k] * GAINS * np.float32(1 - DRIFT * k / (len(simulation.names) - 1))
        mosaic = np.take_along_axis(light, index, axis=2)[..., 0]
        noisy = expose(mosaic, simulation.noise, np.random.default_rng([simulation.seed, k, len(table)]))
        codes = np.clip(np.rint(dark + (WHITE - dark) * noisy), 0, WHITE).astype(np.uint16)
        write_dng(folder / f"{name}.dng", codes, black_level=black.ravel(), white_level=WHITE, pattern=pattern,
                  settings=simulation.settings[k])
    return folder


@pytest.fixture(scope="module")
def rendered():
    return simulate_capture(size=(200, 276), frames=9, scene="demo", seed=3)


@pytest.fixture(scope="module")
def developed(rendered, tmp_path_factory):
    """The depth of the TIFF rendering: full colour, constant light."""
    folder = tmp_path_factory.mktemp("tiff")
    return pipeline.run(write_simulation(rendered, folder / "in", format="tiff"), folder / "out").result


@pytest.mark.slow
@pytest.mark.parametrize("pattern", SENSORS)
def test_raw_and_tiff_of_one_scene_agree_within_sigma(rendered, developed, pattern, tmp_path):
    """Their difference is below the combined sigma for 90 % of the pixels (68 % would be honest for independent
    frames; these share their blur), its median below 0.1 sigma: neither colour, gain nor drift shifts the focus."""
    outcome = pipeline.run(write_raw(rendered, tmp_path / "in", pattern), tmp_path / "out")
    drift = np.array(outcome.gains) / outcome.gains[0]
    np.testing.assert_allclose(drift, 1 / np.linspace(1, 1 - DRIFT, 9), rtol=0.02)
    raw = outcome.result
    assert raw.scale == "metric"
    both = raw.valid & developed.valid & np.isfinite(raw.sigma) & np.isfinite(developed.sigma)
    difference = (raw.values - developed.values)[both]  # dioptres
    sigma = np.hypot(raw.sigma, developed.sigma)[both]
    assert both.mean() > 0.7
    assert np.mean(np.abs(difference) <= sigma) > 0.9
    assert abs(np.median(difference / sigma)) < 0.1
    assert np.median(np.abs(difference)) < 0.002  # dioptre, of a sweep of 0.8
    for result in (raw, developed):
        error = np.abs(result.values - rendered.truth)[both]
        assert np.mean(error <= 2 * result.sigma[both]) > 0.75
