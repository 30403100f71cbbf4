"""`dfd depth --smooth`: less noise within surfaces, steps kept, unknown stays unknown, recorded, bad radii refused."""

import json

import numpy as np
import pytest
import tifffile

from dfd.io.simulated import write_simulation
from dfd.pipeline import run
from dfd.simulate import simulate_capture


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An aperture pair of a step in depth, dim, and its truth [m]."""
    folder = tmp_path_factory.mktemp("smooth") / "pair"
    simulation = simulate_capture("aperture-pair", scene="step", size=(121, 187), noise=2000.0)
    write_simulation(simulation, folder, format="tiff")
    return folder, 1 / simulation.truth


def depth(folder, out, **options):
    run(folder, out, align="none", **options)
    return tifffile.imread(out / "depth.tiff"), tifffile.imread(out / "sigma.tiff")


def test_neighbours_agree_better_and_unknown_stays_unknown(pair, tmp_path):
    folder, _ = pair
    plain, _ = depth(folder, tmp_path / "plain")
    smooth, sigma = depth(folder, tmp_path / "smooth", smoothing=12)
    np.testing.assert_array_equal(np.isnan(plain), np.isnan(smooth))
    assert np.array_equal(np.isnan(smooth), np.isnan(sigma))
    rough, calm = (np.nanmedian(abs(values[:, 12:] - 2 * values[:, 6:-6] + values[:, :-12])) for values in (plain, smooth))
    assert calm < 0.8 * rough  # second differences over 6 px [m]
    record = json.loads((tmp_path / "smooth" / "result.json").read_text())
    assert record["solver"]["parameters"]["smooth_px"] == 12


def test_depth_is_not_moved(pair, tmp_path):
    folder, truth = pair
    plain, _ = depth(folder, tmp_path / "plain")
    smooth, _ = depth(folder, tmp_path / "smooth", smoothing=3)
    errors = [np.nanmedian(abs(values / truth - 1)) for values in (plain, smooth)]
    assert errors[1] < 1.1 * errors[0]


@pytest.mark.parametrize("radius", [0, -3, 25])
def test_a_radius_that_cannot_be_is_refused_before_anything_is_decoded(pair, tmp_path, radius):
    with pytest.raises(ValueError, match=rf"smooth \({radius} px\) must be a radius of 1 to 24 px; leave it out for none"):
        run(pair[0], tmp_path / "out", smoothing=radius)
    assert not (tmp_path / "out").exists()
