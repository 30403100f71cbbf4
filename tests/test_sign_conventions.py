"""One sign each, everywhere: nearer is positive, left sees nearer further right, y points down."""

from itertools import pairwise

import numpy as np
import pytest

from dfd.optics import ThinLens
from dfd.profile import LensProfile
from dfd.psf import Psf
from dfd.settings import CameraSettings, Value

LENS = ThinLens.focused_at(1.0, focal_length=0.05, f_number=2.0, pixel_pitch=5e-6)


def centre(kernel):
    """Centroid (y, x) [px] from the middle of a kernel; y down, x right."""
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half:half + 1, -half:half + 1]
    return (kernel * y).sum(), (kernel * x).sum()


def test_nearer_than_focus_is_positive_coc():
    assert LENS.coc(1 / 0.9) > 0 > LENS.coc(1 / 1.1)
    assert LENS.coc(LENS.focus) == pytest.approx(0.0, abs=1e-9)


def test_positive_coc_is_read_as_nearer():
    assert LENS.inverse_depth(3.0) > LENS.focus > LENS.inverse_depth(-3.0)


def test_infinity_is_0_dioptre_and_beyond_focus():
    assert LENS.coc(0.0) == pytest.approx(-LENS.blur_rate * LENS.focus, rel=1e-12)


def test_focus_falls_with_focus_distance():
    distances = (0.5, 0.7, 1.0, 3.0, np.inf)
    focus = [ThinLens.focused_at(d, focal_length=0.05, f_number=2.0, pixel_pitch=5e-6).focus for d in distances]
    assert all(near > far for near, far in pairwise(focus))


def test_focusing_nearer_moves_the_sensor_away():
    near = ThinLens.focused_at(0.5, focal_length=0.05, f_number=2.0, pixel_pitch=5e-6)
    assert near.image_distance > LENS.image_distance
    assert near.fx > LENS.fx, "the image grows when the focus comes nearer"


@pytest.mark.parametrize("step", [-0.4, 0.1, 1.3])
def test_a_power_step_at_a_fixed_sensor_shifts_focus_by_exactly_that(step):
    def lens(power):
        return LensProfile.nominal().thin_lens(CameraSettings(
            power=Value(power), image_distance=Value(0.11), pixel_pitch=Value(6e-6), pupil_diameter=Value(4e-3)))

    before, after = lens(10.1), lens(10.1 + step)
    assert after.focus - before.focus == pytest.approx(step, abs=1e-12)
    assert after.blur_rate == pytest.approx(before.blur_rate, rel=1e-14)


@pytest.mark.parametrize("coc", [9.0, 2.0])
def test_left_sees_what_is_nearer_further_right(coc):
    assert centre(Psf("half-left").kernel(coc))[1] > 0 > centre(Psf("half-right").kernel(coc))[1]
    assert centre(Psf("half-left").kernel(-coc))[1] < 0 < centre(Psf("half-right").kernel(-coc))[1]


@pytest.mark.parametrize("model", ["half-left", "half-right"])
def test_half_pupils_do_not_shift_in_y(model):
    assert centre(Psf(model).kernel(7.0))[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("model", ["half-left", "half-right"])
@pytest.mark.parametrize("coc", [6.0, -6.0])
def test_the_phase_of_a_transfer_function_agrees_with_the_shift_of_the_kernel(model, coc):
    """A shift of x to the right is exp(-i wx x): the same sign as a forward DFT."""
    psf, small = Psf(model, 0.7), 1e-4
    phase = np.angle(psf.otf(coc, np.array(0.0), np.array(small)))
    assert -phase / small == pytest.approx(centre(psf.kernel(coc))[1], abs=1e-3)


def test_kappa_is_positive_when_left_and_right_are_named_rightly():
    left, right = (centre(Psf(model).kernel(12.0))[1] for model in ("half-left", "half-right"))
    assert left - right > 0
