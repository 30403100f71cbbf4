"""The Gaussian core of the PSF from brackets: known discs and cores, wrong edges, brackets that do not tell."""

from dataclasses import replace

import numpy as np
import pytest
from edgescenes import Scene, exposed, view

from calibration.edges.core import FAR, FIRST, MOST, Bracket, measure_core
from calibration.edges.measure import measure_edges, measure_widths
from calibration.target.board import SLANT, Board
from dfd.noise import Noise

CORE = 0.62
SMALL = Board("small", 6, 4, 0.024, SLANT, (0.2, 0.15))


def bracket(seed, *, core=CORE, slope=6.5, edges=30, steps=13, jitter=0.0, wrong=0.0, noise=0.01):
    """Blur `slope` px apart from step to step, best focus between two of them and different for every edge."""
    rng = np.random.default_rng(seed)
    s = np.arange(steps) * 20.0
    best = s.mean() + rng.uniform(-8, 8) + rng.uniform(-2, 2, edges)
    signed = slope / 20 * (s[:, None] + jitter * rng.standard_normal((steps, 1)) - best)
    width = np.sqrt(core**2 + signed**2 / 16) + noise * rng.standard_normal(signed.shape)
    width[rng.random(signed.shape) < wrong] *= 2.5
    coc = np.abs(signed) + 0.02 * rng.standard_normal(signed.shape)
    far, near = (np.abs(signed) >= FAR[0]), (np.abs(signed) < MOST + 1)
    return Bracket(s, np.where(far, coc, np.nan), np.where(near, width, np.nan), np.full(signed.shape, noise))


@pytest.mark.parametrize("core", [0.4, 0.62, 1.1])
@pytest.mark.parametrize("slope", [2.0, 6.5])
def test_the_core_is_what_the_disc_leaves_of_the_width(core, slope):
    """A bracket need not have a frame at best focus."""
    found = np.array([measure_core([bracket(seed, core=core, slope=slope)]) for seed in range(20)])
    assert found[:, 0].mean() == pytest.approx(core, abs=0.005)  # px
    assert found[:, 0].std() < 0.02  # px


def test_a_bracket_taken_the_other_way_round_tells_the_same():
    one = bracket(3, slope=3.0, jitter=1.0)
    assert measure_core([replace(one, coordinate=-one.coordinate)]) == pytest.approx(measure_core([one]), rel=1e-9)


def test_its_sigma_is_honest():
    found = np.array([measure_core([bracket(seed)]) for seed in range(200)])
    pulls = (found[:, 0] - CORE) / found[:, 1]
    assert np.mean(np.abs(pulls) < 1) >= 0.55 and np.sqrt(np.mean(pulls**2)) < 1.4


def test_jitter_of_the_lens_costs_little():
    found = np.array([measure_core([bracket(seed, jitter=0.3)])[0] for seed in range(20)])
    assert found.mean() == pytest.approx(CORE, abs=0.01) and found.std() < 0.03  # px


def test_several_brackets_are_one_core_and_wrong_edges_do_not_move_it():
    one, (many, sigma) = measure_core([bracket(1)])[1], measure_core([bracket(seed) for seed in range(9)])
    assert many == pytest.approx(CORE, abs=0.005) and sigma < 0.6 * one
    assert measure_core([bracket(seed, wrong=0.1) for seed in range(9)])[0] == pytest.approx(CORE, abs=0.01)


def test_the_order_of_the_frames_does_not_matter():
    made, order = bracket(3), np.random.default_rng(3).permutation(13)
    mixed = Bracket(made.coordinate[order], made.coc[order], made.width[order], made.width_sigma[order])
    np.testing.assert_allclose(measure_core([mixed]), measure_core([made]), rtol=0, atol=1e-9)


def blind(made, **columns):
    """The bracket with columns replaced."""
    return Bracket(made.coordinate, *(columns.get(name, getattr(made, name)) for name in ("coc", "width", "width_sigma")))


@pytest.mark.parametrize(("brackets", "said"), [
    ([], "0 edges have less than 4 px of blur"),
    ([bracket(1, edges=3)], "take finer steps around best focus"),
    ([blind(bracket(1), coc=np.full((13, 30), np.nan))], "0 edges"),
    ([blind(bracket(1), width=np.full((13, 30), np.nan))], "0 edges"),
    ([blind(bracket(1), coc=np.where(np.arange(13)[:, None] > 6, bracket(1).coc, np.nan))], "frames on both sides of it"),
    ([bracket(seed, core=0.02, noise=1e-4) for seed in range(2)], None)])
def test_brackets_that_do_not_tell_are_refused(brackets, said):
    if said is None:
        assert measure_core(brackets)[0] == pytest.approx(0.02, abs=0.01)
        return
    with pytest.raises(ValueError, match=said):
        measure_core(brackets)


def test_edges_narrower_than_a_pixels_own_blur_are_refused():
    made = bracket(1, slope=2.0)
    with pytest.raises(ValueError, match="are the files sharpened"):
        measure_core([blind(made, width=np.where(made.width > 0.75, 0.05, np.nan))])


@pytest.mark.slow
def test_the_core_of_rendered_images_is_found_to_a_hundredth_of_a_pixel():
    """Frames 5 px of blur apart; blur is first measured with a core that is not the true one."""
    scene = Scene(SMALL, view(SMALL, 70, (370, 500), angle=SLANT, shift=(0.37, -0.21)), (370, 500))
    rng, s = np.random.default_rng(17), np.arange(-3, 4.0)
    coc, width, sigma = (np.full((len(s), len(SMALL.edges)), np.nan) for _ in range(3))
    for row, blur in enumerate(np.abs(5 * (s - 0.3))):
        image, options = exposed(scene.render(blur, CORE), rng, electrons=25000), {"noise": Noise(25000.0, 3.0)}
        if blur < MOST + 1:
            fits = measure_widths(image, scene.view_matrix, SMALL, width=np.hypot(FIRST, blur / 4), **options)
            width[row], sigma[row] = np.where(fits.ok, fits.coc / 4, np.nan), np.where(fits.ok, fits.sigma / 4, np.nan)
        else:
            fits = measure_edges(image, scene.view_matrix, SMALL, core=FIRST, coc=blur, **options)
            coc[row] = np.where(fits.ok, fits.coc, np.nan)
    found, spread = measure_core([Bracket(s, coc, width, sigma)])
    assert found == pytest.approx(CORE, abs=0.01) and spread < 0.02  # px
