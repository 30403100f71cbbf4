"""The warp that a lens of variable power makes of its images: measured in the profile, undone once, at any reduction."""

import numpy as np
import pytest
from moving import corner_error

from dfd import imaging, prepare
from dfd.assemble import prepare_capture
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.profile import LensProfile
from dfd.simulate import simulate_capture

SIZE = (200, 316)
STEP = 0.06  # dioptre, of cod
WARP = {"reference_power_dpt": 10.1, "affine_per_dpt": [[0.004 / STEP, 0, 1.3 / STEP], [0, 0.004 / STEP, -0.9 / STEP]]}
"""Magnification 1.004 and a shift of 1.3 and -0.9 px for every step of power."""


def profile(**warp):
    return LensProfile({"schema": "dfd-lensprofile", "schema_version": "1.0.0", "power_warp": warp or WARP})


def expected(steps):
    """The map that so many steps of power make."""
    return np.array([[1 + 0.004 * steps, 0, 1.3 * steps], [0, 1 + 0.004 * steps, -0.9 * steps], [0, 0, 1]])


@pytest.fixture(scope="module")
def quad(tmp_path_factory):
    """(folder of a quad whose power images are warped, the four true maps reference px -> frame px)."""
    simulation = simulate_capture(preset="cod", scene="slant-sphere", size=(220, 340), seed=2)
    folder = tmp_path_factory.mktemp("warped") / "in"
    write_simulation(simulation, folder, format="npy")
    maps = [expected(steps) for steps in (-1, 1, 0, 0)]
    for name, warp in zip(simulation.names, maps, strict=True):
        path = folder / f"{name}.npy"
        margin = np.array([[1, 0, -10], [0, 1, -10], [0, 0, 1.0]])  # frame px -> px of the larger image
        warped = imaging.warp(np.load(path), np.linalg.inv(warp @ margin))
        np.save(path, warped[:SIZE[0], :SIZE[1]])
    assert all(np.isfinite(np.load(path)).all() for path in folder.glob("*.npy"))
    return folder, [warp @ np.linalg.inv(maps[0]) for warp in maps]


def test_the_six_numbers_are_lines_in_power():
    lens = profile(reference_power_dpt=10.0, affine=[[1.01, 0.001, 2.0], [-0.001, 0.99, -3.0]],
                   affine_per_dpt=[[0.1, 0.0, 20.0], [0.0, 0.2, -10.0]])
    np.testing.assert_allclose(lens.power_warp(10.5), [[1.06, 0.001, 12.0], [-0.001, 1.09, -8.0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(profile().power_warp(10.1), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(profile().power_warp(10.16), expected(1), atol=1e-9)


def test_a_profile_without_it_warps_nothing():
    assert LensProfile.nominal().power_warp(10.0) is None
    maps = prepare.power_warps(LensProfile.nominal(), [10.04, 10.16], 0, 1)
    np.testing.assert_array_equal(maps, [np.eye(3)] * 2)
    np.testing.assert_array_equal(prepare.power_warps(profile(), [10.04, None], 0, 1), [np.eye(3)] * 2)


@pytest.mark.parametrize("warp, message", [
    ({"reference_power_dpt": -1.0}, r"power_warp.reference_power_dpt \(-1.0\) must be a positive number \[dpt\]"),
    ({"affine_per_dpt": [[1, 0], [0, 1]]}, r"power_warp.affine_per_dpt .* must be 2 rows of 3 numbers \[1/dpt, 1/dpt, px"),
    ({"affine": [[1, 0, 0, 0], [0, 1, 0, 0]]}, r"power_warp.affine .* must be 2 rows of 3 numbers \[1, 1, px\]"),
    ({"affine_per_dpt": None, "affine": [[1, 0, 0], [0, 1, 0]]}, "power_warp needs reference_power_dpt .* affine_per_dpt"),
    ({"reference_power_dpt": None}, "power_warp needs reference_power_dpt"),
    ({"affine": [[-1, 0, 0], [0, 1, 0]]}, r"power_warp.affine .* mirrors or folds"),
])
def test_a_warp_that_cannot_be_is_refused_with_its_key(warp, message):
    with pytest.raises(ValueError, match=message):
        profile(**(WARP | warp))


def test_warped_frames_are_brought_back_to_a_fiftieth_of_a_pixel(quad):
    folder, true = quad
    prepared = prepare_capture(open_source([folder], lens=profile()))
    assert prepared.warnings == () and prepared.kept == (0, 1, 2, 3)
    for matrix, table, warp in zip(prepared.matrices, prepared.transforms, true, strict=True):
        assert corner_error(matrix, warp, SIZE) <= 0.02
        assert table["model"] == "prediction" and np.array_equal(table["matrix"], matrix)


def test_a_preview_undoes_it_in_its_own_pixels(quad, monkeypatch):
    folder, true = quad
    monkeypatch.setattr("dfd.assemble.PREVIEW_PX", 160)
    prepared = prepare_capture(open_source([folder], lens=profile()), preview=True)
    assert prepared.reduction == 2
    for matrix, warp in zip(prepared.matrices, true, strict=True):
        assert corner_error(matrix, prepare.at_level(warp, 2), (100, 158)) <= 0.02


def test_without_the_profile_it_is_measured_and_the_user_is_told(quad):
    folder, true = quad
    prepared = prepare_capture(open_source([folder]))
    assert max(corner_error(*maps, SIZE) for maps in zip(prepared.matrices, true, strict=True)) <= 0.15
    assert len(prepared.warnings) == 3 and all("give a lens profile with power_warp" in line for line in prepared.warnings)


def test_registered_frames_are_not_warped(quad):
    folder, _ = quad
    prepared = prepare_capture(open_source([folder], lens=profile()), align="none")
    np.testing.assert_array_equal(prepared.matrices, [np.eye(3)] * 4)
    assert prepared.transforms is None
