"""Rendered frames of the target against independent integration at eight times the resolution, and against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.board import BOARDS
from calibration.rendering import CHANNELS, EXPOSURE, Station, exposed
from calibration.rendering_blur import series, transfer
from calibration.rendering_pose import Paint, Pose, reflectance
from calibration.truelens import PRESETS
from dfd.psf import Psf

BOARD = BOARDS["a4"]
LENS = replace(PRESETS["small"], size=(160, 220), field=(0.03, -0.02, -0.05, 0.02), axial=(-0.02, 0.012), k1=-0.3)
IDEAL = replace(LENS, field=(0, 0, 0, 0), axial=(0, 0), k1=0.0, stops=tuple(replace(stop, vignetting=(1.0,))
                                                                          for stop in LENS.stops))
POSE = Pose.held(0.9, turn=BOARD.slant, tilt=(0.02, -0.03), shift=(0.031, -0.017))
S, OTHERS = 560.0, (540.0, 585.0)
FINE = 8


def brute_force(lens, pose, s, f_number, row, column, channel):
    """Light in one pixel: the disc of its own coc, core and pixel box as one kernel on cells of 1/8 px."""
    y, x = row - (lens.size[0] - 1) / 2, column - (lens.size[1] - 1) / 2
    fx = lens.fx(s)
    depth = pose.inverse_depth(*lens.undistort(x / fx, y / fx))
    coc = float(lens.coc(s, depth, f_number=f_number, x=x, y=y, channel=channel))
    kernel = Psf("disk-gaussian", core=lens.core * FINE).kernel(coc * FINE)
    box = np.ones(FINE) / FINE
    kernel = np.apply_along_axis(np.convolve, 0, np.apply_along_axis(np.convolve, 1, kernel, box), box)  # even: 8 cells to a px
    offsets = (np.arange(len(kernel)) - (len(kernel) - 1) / 2) / FINE
    across, down = lens.undistort(*np.meshgrid((x + offsets) / fx, (y + offsets) / fx))
    sharp = reflectance(BOARD, pose, across, down, 1 / (FINE * fx), Paint())
    return (kernel * sharp).sum() * EXPOSURE * lens.channel_gain[CHANNELS[channel]] * lens.vignetting(x, y, f_number)


@pytest.mark.parametrize(("f_number", "s"), [(1.8, 525.0), (1.8, 560.0), (1.8, 640.0), (4.0, 560.0)])
def test_every_pixel_is_the_integral_over_its_own_blur(f_number, s):
    station = Station(BOARD, LENS, POSE, (s, s - 40), (f_number,), tile=130)
    frame, planes = station.frame(s, f_number), station.planes(s, f_number)
    rng = np.random.default_rng(1)
    worst = 0.0
    for row, column in zip(rng.integers(0, 160, 40), rng.integers(0, 220, 40), strict=True):
        channel = "RGGB"[2 * (row % 2) + column % 2]
        expected = brute_force(LENS, POSE, s, f_number, row, column, channel)
        assert planes[row, column, CHANNELS[channel]] == pytest.approx(frame[row, column], abs=2e-4)
        worst = max(worst, abs(frame[row, column] - expected))
    assert worst < 2e-3  # of white level
