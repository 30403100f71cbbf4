"""A calibration's own uncertainty as sigma of depth: against draws of whole lenses, and its coverage."""

import copy
import hashlib

import numpy as np
import pytest

from dfd.lensfile import SCHEMA
from dfd.lenssigma import LensSigma, parameters
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value

NAMES = ("a", "b", "d", "fx0", "fx1", "fx2", "z0", "D_1.8", "D_2.8", "spline0", "spline1", "spline2", "spline3")
SIGMAS = np.array([4e-7, 2.5e-9, 4e-7, 9.0, 0.02, 1e-5, 1.2, 0.05, 0.04, 5e-4, 3e-4, 4e-4, 5e-4])
"""Units of the file: 1/mm, 1/mm and 1 per step, px, mm, relative: 0.1 to 0.3 % of the lens below."""


def covariance():
    """A covariance whose parameters are correlated, as those of one fit are."""
    mixed = np.random.default_rng(4).normal(size=(len(NAMES), 2 * len(NAMES)))
    found = mixed @ mixed.T
    scale = SIGMAS / np.sqrt(np.diag(found))
    return found * scale * scale[:, None]


def document(**changes):
    """A lens measured at two stops, with a ripple of its law, and a covariance of what was fitted."""
    return {
        "schema": SCHEMA, "schema_version": "1.0.0", "camera": {"pixel_pitch_um": 4.3}, "lens": {"focal_nominal_mm": 50},
        "reference": {"z_ep_from_sensor_mm": {"poly": [62.0]}},
        "focus": {"coordinate": "encoder_step", "a_per_mm": 0.0004, "b_per_mm_per_unit": 1.5e-6, "d_per_unit": 2e-5,
                  "spline": {"knots": [0, 400, 800, 1200], "rel": [0.0, 0.002, -0.001, 0.0015]}},
        "projection": {"fx_px_poly": [11800.0, 0.9, 1e-5]},
        "aperture": [{"f_number_marked": 1.8, "diameter_eff_mm": 27.6}, {"f_number_marked": 2.8, "diameter_eff_mm": 17.7}],
        "covariance": {"names": list(NAMES), "matrix": covariance().tolist()}} | changes


def shot(step, f_number=1.8):
    return CameraSettings("a.dng", focus_coordinate=Value(step), f_number=Value(f_number))


def moved(change):
    """The lens whose parameters lie off by `change` (in the order of NAMES)."""
    data, by = copy.deepcopy(document()), dict(zip(NAMES, (float(value) for value in change), strict=True))
    for name, key in (("a", "a_per_mm"), ("b", "b_per_mm_per_unit"), ("d", "d_per_unit")):
        data["focus"][key] += by[name]
    data["projection"]["fx_px_poly"] = [value + by[f"fx{k}"] for k, value in enumerate(data["projection"]["fx_px_poly"])]
    for stop in data["aperture"]:
        stop["diameter_eff_mm"] += by[f"D_{stop['f_number_marked']:g}"]
    data["reference"]["z_ep_from_sensor_mm"]["poly"][0] -= by["z0"]
    data["focus"]["spline"]["rel"] = [value + by[f"spline{k}"] for k, value in enumerate(data["focus"]["spline"]["rel"])]
    return LensProfile(data)


def lens_of(profile, settings, reference):
    """The lens of an image on the pixel grid of the reference."""
    return profile.thin_lens(settings).on_grid_of(profile.thin_lens(reference))


def draws(count, seed=1):
    """(count, P) draws from the covariance, moved and mixed so that their mean and covariance are exactly it."""
    plain = np.random.default_rng(seed).normal(size=(count, len(NAMES)))
    plain -= plain.mean(axis=0)
    plain = plain @ np.linalg.inv(np.linalg.cholesky(plain.T @ plain / count)).T
    return plain @ np.linalg.cholesky(covariance()).T


@pytest.mark.parametrize("f_number", [1.8, 2.2, 2.8])
@pytest.mark.parametrize("origin", ["pupil", "sensor"])
def test_sigma_is_the_scatter_of_drawn_lenses(f_number, origin):
    """Fixed blur, many lenses: the standard deviation of inverse depth, within 1 %."""
    settings, reference = shot(600.0, f_number), shot(450.0, f_number)
    nominal = LensProfile(document())
    lens, depths = lens_of(nominal, settings, reference), np.array([0.45, 0.9, 1.284, 1.7, 2.3])
    coc, found = lens.coc(depths), []
    for change in draws(600):
        profile = moved(change)
        inverse = lens_of(profile, settings, reference).inverse_depth(coc)
        if origin == "sensor":
            inverse = -(1 / inverse + profile.pupil_height(600.0)) * depths**2  # metres from the mark as dioptres
        found.append(inverse)
    sigma = LensSigma.of(nominal, [settings], reference)(depths, origin=origin)
    np.testing.assert_allclose(sigma, np.std(found, axis=0), rtol=0.01)


def test_the_height_of_the_pupil_that_moved_the_focus_cancels_from_the_mark():
    """zf and z0 wrong by the same 1 mm, as one tape reading fixes both: nothing of it is left from the sensor mark."""
    plain = document(focus={"coordinate": "encoder_step", "a_per_mm": 0.001})
    by_a, by_z0 = 1e-6, 1.0  # a = 1 / zf: zf off by -1 mm for 1e-6, z0 = zf - reading by as much
    plain["covariance"] = {"names": ["a", "z0"], "matrix": [[by_a**2, -by_a * by_z0], [-by_a * by_z0, by_z0**2]]}
    sigma = LensSigma.of(LensProfile(plain), [shot(0.0)], shot(0.0))
    assert sigma(np.array([1.0])) == pytest.approx(1e-3, rel=1e-9)
    assert sigma(np.array([1.0]), origin="sensor") == pytest.approx(0.0, abs=1e-9)


def test_of_several_images_the_one_focused_nearest_counts():
    profile, reference = LensProfile(document()), shot(600.0)
    stack = LensSigma.of(profile, [shot(step) for step in (200.0, 600.0, 1000.0)], reference)
    for step in (200.0, 600.0, 1000.0):
        alone = LensSigma.of(profile, [shot(step)], reference)
        depths = profile.focus_curve(step) + np.array([-0.2, 0.0, 0.2])
        np.testing.assert_allclose(stack(depths), alone(depths), rtol=1e-12)


def test_at_the_focus_neither_pupil_nor_fx_count():
    data = document(covariance={"names": ["fx0", "D_1.8"], "matrix": [[100.0, 0.0], [0.0, 0.01]]})
    profile = LensProfile(data)
    sigma, focus = LensSigma.of(profile, [shot(600.0)], shot(600.0)), profile.focus_curve(600.0)
    assert sigma(focus) == pytest.approx(0.0, abs=1e-12)
    gain = np.hypot(10 / profile.fx(600.0), 0.1 / 27.6)
    assert sigma(focus + 0.5) == pytest.approx(0.5 * gain, rel=1e-9)


def test_jitter_moves_each_frame_alone():
    data = document(covariance=None)
    data["focus"]["jitter_sigma_unit"] = 0.3
    profile = LensProfile(data)
    step = (profile.focus_curve(600.1) - profile.focus_curve(599.9)) / 0.2
    assert LensSigma.of(profile, [shot(600.0)], shot(600.0))(1.0) == pytest.approx(0.3 * step, rel=1e-6)


def test_sigmas_without_a_covariance_are_independent():
    data = document(covariance=None)
    data["aperture"][0]["diameter_sigma_mm"] = 0.138
    data["reference"]["z_ep_from_sensor_mm"]["sigma"] = 2.0
    profile = LensProfile(data)
    assert parameters(profile)[0] == ["D_1.8", "z0"]
    sigma, focus = LensSigma.of(profile, [shot(600.0)], shot(600.0)), profile.focus_curve(600.0)
    assert sigma(focus - 0.4) == pytest.approx(0.4 * 0.005, rel=1e-9)
    assert sigma(focus, origin="sensor") == pytest.approx(focus**2 * 2e-3, rel=1e-9)


@pytest.mark.parametrize("estimator, gain", [("disc_gauss_v1", 0.0), (None, 0.0), ("gauss_esf", 0.03)])
def test_a_diameter_of_another_estimator_is_uncertain_by_3_percent(estimator, gain):
    data = document(covariance=None)
    data["aperture"][0]["defined_with"] = estimator
    data["focus"]["jitter_sigma_unit"] = 1e-9
    profile = LensProfile(data)
    focus = profile.focus_curve(600.0)
    assert LensSigma.of(profile, [shot(600.0)], shot(600.0))(focus + 1.0) == pytest.approx(gain, abs=1e-6)


def test_the_shift_of_focus_of_a_stop_moves_the_focus_and_has_its_sigma():
    data = document(covariance=None)
    data["aperture"][1] |= {"focus_shift_dpt": -0.02, "focus_shift_sigma_dpt": 0.004}
    profile, between = LensProfile(data), float(np.sqrt(1.8 * 2.8))
    for f_number, share in ((1.8, 0.0), (2.8, 1.0), (between, 0.5)):
        focus = profile.thin_lens(shot(600.0, f_number)).focus
        assert focus == pytest.approx(profile.focus_curve(600.0) - 0.02 * share, abs=1e-12)
        sigma = LensSigma.of(profile, [shot(600.0, f_number)], shot(600.0, f_number))
        assert sigma(focus) == pytest.approx(0.004 * share, abs=1e-12)


def test_names_that_are_not_known_are_left_out():
    data = document(covariance={"names": ["tape_3", "a", "D_1.80"], "matrix": np.diag([1.0, 4e-14, 0.01]).tolist()})
    names, matrix = parameters(LensProfile(data))
    assert names == ["a", "D_1.8"]
    np.testing.assert_array_equal(matrix, np.diag([4e-14, 0.01]))


def test_a_covariance_beside_the_file_is_that_in_it(tmp_path):
    np.savez(tmp_path / "lens.npz", cov=covariance())
    told = {"file": "lens.npz", "sha256": hashlib.sha256((tmp_path / "lens.npz").read_bytes()).hexdigest()}
    LensProfile(document(covariance={"names": list(NAMES), "matrix": "npz:cov"}, sidecar=told)).save(tmp_path / "lens.json")
    loaded = LensProfile.load(tmp_path / "lens.json")
    inline = LensSigma.of(LensProfile(document()), [shot(600.0)], shot(600.0))
    assert LensSigma.of(loaded, [shot(600.0)], shot(600.0))(0.8) == pytest.approx(inline(0.8), rel=1e-12)
    (tmp_path / "lens.npz").unlink()
    assert LensProfile.load(tmp_path / "lens.json").focus_curve(0.0) == pytest.approx(0.4), "not needed for this"
    with pytest.raises(OSError, match=r"lens.npz"):
        LensSigma.of(loaded, [shot(600.0)], shot(600.0))


@pytest.mark.parametrize("settings", [
    CameraSettings("a.dng", focal_length=Value(0.05), f_number=Value(1.8), focus_distance=Value(1.0)),
    CameraSettings("a.dng", power=Value(20.0), image_distance=Value(0.06), f_number=Value(1.8)),
])
def test_an_image_without_the_measured_law_has_no_sigma_of_the_lens(settings):
    assert LensSigma.of(LensProfile(document()), [shot(600.0), settings], shot(600.0)) is None


def test_an_exactly_known_lens_has_no_sigma():
    assert LensSigma.of(LensProfile(document(covariance=None)), [shot(600.0)], shot(600.0)) is None


def test_68_percent_of_true_lenses_lie_within_one_sigma():
    """The true lens is drawn, its blur measured exactly and solved with the nominal one: honest coverage, 2000 lenses."""
    nominal, rng = LensProfile(document()), np.random.default_rng(7)
    settings, within = [shot(step) for step in (300.0, 700.0)], []
    sigma = LensSigma.of(nominal, settings, settings[0])
    factor = np.linalg.cholesky(covariance())
    for _ in range(2000):
        true, depth = moved(factor @ rng.normal(size=len(NAMES))), rng.uniform(0.5, 2.2)
        foci = [nominal.focus_curve(one.focus_coordinate.value) for one in settings]
        image = settings[int(np.argmin(np.abs(np.array(foci) - depth)))]
        found = lens_of(nominal, image, settings[0]).inverse_depth(lens_of(true, image, settings[0]).coc(depth))
        within.append(abs(found - depth) <= sigma(found))
    assert np.mean(within) == pytest.approx(0.683, abs=0.031)
