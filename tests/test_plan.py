"""Plans of captures: what the search finds is held against the laws of the noise limit, units and impossible input."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dfd.bound import expected_sigma, planning_grid, response
from dfd.capture import CAPTURES
from dfd.lensfile import SCHEMA, SCHEMA_VERSION
from dfd.plan import KINDS, LIKELIHOOD, PLAIN, Setup, plan
from dfd.plan.responses import Responses
from dfd.profile import LensProfile
from dfd.psf import IDEAL_KAPPA

SETUP = Setup(focal_length=0.05, f_number=8.0, pixel_pitch=6e-6, near=0.8, far=0.97, full_well=5000, solver=PLAIN)
NARROW = replace(SETUP, far=0.815)


def span_of(setup, pixels):
    """The same with a far end that lies `pixels` px of coc behind the near end."""
    for _ in range(20):
        setup = replace(setup, far=1 / (1 / setup.near - pixels / setup.blur_rate))
    return setup


def proposed(setup, kind, **options):
    (found,) = plan(setup, kinds=(kind,), **options)
    return found


def steps(setup, proposal):
    """px of coc between neighbouring foci."""
    return -setup.blur_rate * np.diff([frame.focus for frame in proposal.frames])


def rms(setup, frames):
    """Root mean square relative error over 21 depths, worked out exactly."""
    views, places = setup.views(frames), np.linspace(*setup.inverse_range, 21)
    return math.sqrt(np.mean([(expected_sigma(views, at, texture=setup.texture) / at) ** 2 for at in places]))


@pytest.fixture(scope="module")
def proposals():
    return {found.kind: found for found in plan(SETUP)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_proposal_is_a_capture_of_its_kind(proposals, kind):
    found = proposals[kind]
    extra = {"side": found.side} if kind == "aperture-pair" else {}
    extra |= {"kappa": IDEAL_KAPPA} if kind == "dual-pixel" else {}
    capture = CAPTURES[kind](np.zeros((len(found.frames), 8, 12), np.float32), SETUP.views(found.frames), **extra)
    assert capture.scale == "metric" and len(capture) == len(found.frames)
    assert (found.depths[0], found.depths[-1]) == pytest.approx((SETUP.near, SETUP.far), rel=1e-12)
    assert np.all(np.diff(found.depths) > 0) and 0 < found.rms <= found.worst < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_sigma_is_the_bounds_own_within_half_a_percent(proposals, kind):
    found = proposals[kind]
    views = SETUP.views(found.frames)
    for index in (0, 20, 45, 64):
        exact = found.depths[index] ** 2 * expected_sigma(views, 1 / found.depths[index], texture=SETUP.texture)
        assert found.sigma[index] == pytest.approx(exact, rel=5e-3)


def test_a_solver_leaves_its_floor_and_gains_where_noise_is_large(proposals):
    """Monotone, so that the order of captures stays; the root of sigma far above `joined`."""
    places = [0.0, 0.01, 0.1, 1.0, 2.5]
    errors = [LIKELIHOOD.reached(sigma) for sigma in places]
    assert errors[0] == LIKELIHOOD.floor and errors == sorted(errors) and LIKELIHOOD.reached(math.inf) == math.inf
    free = replace(LIKELIHOOD, floor=0.0)
    assert free.reached(2.5) / free.reached(1.0) == pytest.approx(math.sqrt(2.5), rel=1e-3)
    assert free.reached(3.1) == math.inf  # no depth is found there
    assert math.hypot(LIKELIHOOD.floor, free.reached(0.1)) == pytest.approx(errors[2], rel=1e-12)
    assert [PLAIN.reached(sigma) for sigma in places] == places
    found = proposed(replace(SETUP, solver=LIKELIHOOD), "views")
    assert min(found.sigma) * SETUP.blur_rate > LIKELIHOOD.floor * SETUP.near**2
    assert proposals["views"].limit == pytest.approx(proposals["views"].rms, rel=1e-12)


def test_interpolated_transfer_functions_are_exact_within_1e_4():
    respond = Responses(SETUP.texture, SETUP.core)
    wy, wx, _ = planning_grid(SETUP.texture)
    for pupils in (("disk", "disk"), ("half-left", "half-right")):
        views = SETUP.views([SETUP.frame(focus, count=2, pupil=pupil)
                             for focus, pupil in zip((1.05, 1.2), pupils, strict=True)])
        for at in (0.9, 1.02, 1.05, 1.131, 1.29):
            h, slope = respond(views, at)
            exact = np.stack([response(view, at, wy, wx) for view in views], axis=1)
            assert np.abs(h - exact[0]).max() < 1e-4
            assert np.abs(slope - exact[1]).max() < 1e-3 * SETUP.blur_rate


def test_three_to_five_frames_4_to_8_px_apart_are_enough_for_12_px():
    setup = span_of(SETUP, 12.0)
    assert setup.span == pytest.approx(12.0, abs=0.01)
    found = proposed(setup, "focal-stack")
    assert 3 <= len(found.frames) <= 5
    assert np.ptp(steps(setup, found)) < 1e-9 and 4 <= steps(setup, found)[0] <= 8
    assert len(proposed(span_of(SETUP, 40.0), "focal-stack").frames) > 5


def test_frames_beyond_five_add_less_than_a_tenth_over_12_px_at_equal_light():
    setup = span_of(SETUP, 12.0)
    found = {count: proposed(setup, "focal-stack", frames=count).rms for count in (2, 5, 9)}
    assert found[5] < 0.7 * found[2]
    assert found[9] > 0.9 * found[5]


def test_a_focus_pair_on_a_thin_scene_is_bracketed_by_3_to_8_px():
    found = proposed(NARROW, "views")
    assert NARROW.span < 1.5 and 3 <= steps(NARROW, found)[0] <= 8
    near, far = (frame.focus for frame in found.frames)
    assert near > 1 / NARROW.near and far < 1 / NARROW.far


@pytest.mark.parametrize("pixels", [3.0, 8.0])
def test_the_narrow_frame_of_an_aperture_pair_is_two_to_three_stops_down_and_more_when_it_is_exposed_longer(pixels):
    setup = span_of(replace(SETUP, f_number=4.0), pixels)
    found = {exposure: proposed(replace(setup, exposure=exposure), "aperture-pair") for exposure in ("total", "frame")}
    stops = {exposure: 2 * math.log2(pair.frames[1].f_number / pair.frames[0].f_number) for exposure, pair in found.items()}
    assert 1.9 <= stops["total"] <= 3.4
    assert stops["frame"] > stops["total"] + 0.9
    assert found["frame"].worst < found["total"].worst


def test_an_aperture_pair_keeps_its_focus_out_of_the_scene(proposals):
    found = proposals["aperture-pair"]
    low, high = SETUP.inverse_range
    assert not low <= found.frames[0].focus <= high
    assert found.side == ("far" if found.frames[0].focus > high else "near")
    assert {frame.focus for frame in found.frames} == {found.frames[0].focus}


@pytest.mark.parametrize("kind", ["views", "dual-pixel"])
def test_no_shift_of_the_foci_by_a_pixel_makes_a_proposal_better(kind):
    """By more than 4 %: the search is coarse, its optimum flat."""
    found = proposed(SETUP, kind)
    lowest = rms(SETUP, found.frames)
    shifts = ([1, 1], [-1, -1], [1, 0], [0, 1], [-1, 0], [0, -1]) if kind == "views" else ([1, 1], [-1, -1])
    for shift in shifts:
        moved = [replace(frame, focus=frame.focus + step / SETUP.blur_rate)
                 for frame, step in zip(found.frames, shift, strict=True)]
        assert rms(SETUP, moved) > 0.96 * lowest


def test_all_frames_share_the_light_of_two_full_exposures(proposals):
    for found in proposals.values():
        light = [frame.electrons * (frame.f_number / SETUP.f_number) ** 2 for frame in found.frames]
        assert sum(light) == pytest.approx(2 * SETUP.full_well, rel=1e-9)


def test_or_every_frame_fills_its_pixels_and_two_halves_share_one():
    setup = replace(NARROW, exposure="frame")
    for kind in ("views", "aperture-pair", "differential-quad"):
        assert {frame.electrons for frame in proposed(setup, kind).frames} == {5000}
    assert [frame.electrons for frame in proposed(setup, "dual-pixel").frames] == [2500, 2500]


def test_light_contrast_and_pupil_make_depth_better():
    """Four times the light, or twice the contrast, halves sigma where the signal is strong; twice the pupil helps, too."""
    plain = proposed(SETUP, "focal-stack", frames=4)
    for better in (replace(SETUP, full_well=20000), replace(SETUP, contrast=0.3)):
        assert 0.4 < proposed(better, "focal-stack", frames=4).rms / plain.rms < 0.62
    assert proposed(replace(SETUP, f_number=4.0), "focal-stack", frames=8).rms < 0.8 * plain.rms


def test_a_focus_never_lies_beyond_infinity():
    setup = replace(SETUP, near=3.0, far=60.0)
    for found in plan(setup):
        assert all(frame.focus >= 0 for frame in found.frames)


def test_no_narrow_frame_is_blurred_by_diffraction():
    """0.42 lambda N stays below a pixel: f/6 on pixels of 1.4 um."""
    phone = Setup(0.0068, 1.8, 1.4e-6, 0.25, 0.26, 3000, exposure="frame")
    assert phone.narrowest == pytest.approx(1.4 / (0.42 * 0.55), rel=1e-9)
    assert proposed(phone, "aperture-pair").frames[1].f_number <= phone.narrowest * 1.001


def profile(**sections):
    return LensProfile({"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **sections})


def test_a_profile_gives_focal_length_pitch_and_measured_pupils():
    stops = [{"f_number_marked": number, "diameter_eff_mm": 45 / number} for number in (4.0, 5.6, 8.0, 11.0, 16.0)]
    measured = profile(lens={"make": "A", "model": "50", "focal_nominal_mm": 50.0}, camera={"pixel_pitch_um": 6.0},
                       aperture=stops)
    setup = Setup.of_profile(measured, f_number=8.0, near=0.8, far=0.97, full_well=5000)
    assert (setup.focal_length, setup.pixel_pitch) == (0.05, 6e-6)
    assert setup.blur_rate == pytest.approx(0.9 * SETUP.blur_rate, rel=1e-9)
    assert proposed(setup, "aperture-pair").frames[1].f_number <= 16.0
    with pytest.raises(ValueError, match=r"f_number \(2\) is outside the stops that profile A 50 measured \(f/4 to f/16\)"):
        Setup.of_profile(measured, f_number=2.0, near=0.8, far=0.97, full_well=5000)
    with pytest.raises(ValueError, match=r"profile A 50 has no pixel pitch, which a plan needs; give --pixel-pitch"):
        Setup.of_profile(profile(lens={"make": "A", "model": "50", "focal_nominal_mm": 50.0}), f_number=8.0, near=0.8,
                         far=0.97, full_well=5000)


@pytest.mark.parametrize("change, message", [
    ({"near": 1.0}, r"near \(1 m\) must be less than far \(0\.97 m\); exchange them"),
    ({"near": 0.04}, r"near \(0\.04 m\) must exceed the focal length \(50 mm\): nothing nearer has an image; is near in"),
    ({"near": -1.0}, r"near \(-1 m\) must be positive and finite"),
    ({"far": math.inf}, r"far \(inf m\) must be positive and finite; at infinity depth has no finite sigma"),
    ({"f_number": 0.0}, r"f_number \(0\) must be positive and finite; it is engraved on the lens"),
    ({"focal_length": math.nan}, r"focal_length \(nan mm\) must be positive"),
    ({"pixel_pitch": -6e-6}, r"pixel_pitch \(-6 um\) must be positive and finite; cameras have 1 to 10 um"),
    ({"full_well": 0.0}, r"full_well \(0 electrons\) must be positive and finite; no sensor is free of noise"),
    ({"read_noise": -1.0}, r"read_noise \(-1 electrons\) must be zero or positive"),
    ({"contrast": 0.0}, r"contrast \(0 of white\) must be positive and finite; a surface without texture has no depth"),
    ({"contrast": 5.0}, r"contrast \(5 of white\) must be at most 1: it is the std of a texture"),
    ({"exposure": "long"}, r"exposure \('long'\) must be one of total, frame"),
])
def test_what_cannot_be_is_named_with_its_unit(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SETUP, **change)


@pytest.mark.parametrize("options, message", [
    ({"kinds": ("stereo",)}, r"kind \('stereo'\) must be one of focal-stack, views"),
    ({"kinds": ("views",), "frames": 4}, r"frames \(4\) applies to a focal stack only; kind views has its own number"),
    ({"frames": 1}, r"frames \(1\) of a focal stack must be at least 2: one image alone tells no depth"),
])
def test_impossible_plans_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(SETUP, **options)
