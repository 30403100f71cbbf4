"""The absolute channel of `likelihood-prior`: its law, its logarithm, what the prior gains, and what it may cost."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from pairs import DEPTHS, FOCUS, RATE, plane_pair
from textures import plane_stack

from dfd.kernels.channels import Radial, explained, explained_arrays
from dfd.noise import Noise
from dfd.psf import Psf
from dfd.solvers import SOLVERS
from dfd.solvers.prior import CONTRASTS, SLOPES, PriorSweep
from dfd.solvers.sweep import Sweep
from dfd.tiles import solve_tiled

PRIOR, RELATIVE = SOLVERS["likelihood-prior"], SOLVERS["likelihood"]
SHAPE = (181, 243)
BORDER = 20


def white(std):
    """Noise of one std whatever the brightness."""
    return Noise(1e9, std * 1e9)


def matched(shape, rng):
    """Texture of spectrum 1 / (f^2 + (1/64)^2), std 0.15."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / np.sqrt(fy**2 + fx**2 + (1 / 64) ** 2), shape)
    return 0.5 + 0.15 * (field - field.mean()) / field.std()


def leaves(shape, rng, flat=1.0):
    """Discs over discs, contrast 0.15; the right half has `flat` of it."""
    (y, x), image = np.mgrid[:shape[0], :shape[1]], np.zeros(shape)
    for _ in range(2500):
        radius = min(3 / math.sqrt(rng.uniform(1e-3, 1)), 40)
        at, value = rng.uniform(0, shape[0]), rng.uniform(-1, 1)
        image[(y - at) ** 2 + (x - rng.uniform(0, shape[1])) ** 2 < radius**2] = value
    image = 0.15 * (image - image.mean()) / image.std()
    image[:, shape[1] // 2:] *= flat
    return 0.5 + image


def pair(kind, sharp, noise, seed=0, inverse_depth=None):
    return plane_pair(np.random.default_rng(seed), kind, sharp=sharp, noise=white(noise), psf=Psf("disk", 0.5),
                      inverse_depth=inverse_depth)


def half_flat(shape, rng):
    """Leaves whose right half has a fifth of the contrast."""
    return leaves(shape, rng, 0.2)


def inner(array):
    return array[BORDER:-BORDER, BORDER:-BORDER]


def rmse(solver, captures, inverse_depth):
    """px of coc, away from the border, of what is known."""
    found = np.stack([solver.function(each).values for each in captures])[:, BORDER:-BORDER, BORDER:-BORDER]
    return RATE * math.sqrt(np.nanmean((found - inverse_depth) ** 2))


def curves(capture, labels):
    """(L, 3): mean over the image of the relative channels, of e_0^2 and of the logarithm, of 1 / f^2 at contrast 1."""
    member = SLOPES.index(2.0) * len(CONTRASTS) + CONTRASTS.index(1.0)
    sweep, plain, found = PriorSweep(capture, labels), Sweep(capture, labels), []
    for label, (relative, _) in zip(labels, plain.residuals(labels), strict=True):
        squared, logarithm = list(sweep.absolute(float(label), [0, 1]))[member]
        found.append((float(inner(relative).mean()), float(inner(squared).mean()), float(logarithm)))
    return np.array(found)


@pytest.mark.parametrize("blur, noise", [(2.0, 0.08), (3.5, 0.04), (5.0, 0.08)])
def test_without_the_logarithm_depth_is_drawn_to_the_sharper_side(blur, noise):
    """A sharper hypothesis explains more of any texture (a is larger, e_0 smaller); mean log(1 + a) is its price."""
    coc = np.linspace(0.5, 9, 35)
    capture = pair("aperture-far", matched(SHAPE, np.random.default_rng(1)), noise, inverse_depth=FOCUS - blur / RATE)
    relative, squared, logarithm = curves(capture, FOCUS - coc / RATE).T
    assert coc[np.argmin(relative + squared + logarithm)] == pytest.approx(blur, abs=0.26)  # px: a label
    assert coc[np.argmin(relative + squared)] < blur - 0.2


def test_noise_alone_has_unit_power_in_every_channel(rng):
    """No texture: every a is near 0, so that e_0^2 is the noise, 1 per pixel, and the logarithm nothing."""
    capture = pair("focus", np.full(SHAPE, 0.5), 0.02)
    labels = np.linspace(FOCUS - 0.1, FOCUS + 0.1, 9)
    found = [(float(squared.mean()), float(logarithm))
             for squared, logarithm in PriorSweep(capture, labels).absolute(FOCUS, [0, 1])]
    members = np.array(found)
    weakest = members[:, 1].argmin()
    assert members[weakest, 0] == pytest.approx(1, abs=0.05) and members[weakest, 1] < 0.02


def test_a_texture_of_the_family_leaves_unit_power_at_its_depth():
    """At the truth mean e_0^2 is that of white noise for the right contrast: weaker leave more, stronger less."""
    capture = pair("focus", matched(SHAPE, np.random.default_rng(3)), 0.04, inverse_depth=DEPTHS["focus"][0])
    labels = np.linspace(FOCUS - 0.05, FOCUS + 0.05, 9)
    first = SLOPES.index(2.0) * len(CONTRASTS)
    found = list(PriorSweep(capture, labels).absolute(DEPTHS["focus"][0], [0, 1]))[first:first + len(CONTRASTS)]
    power = np.array([float(inner(squared).mean()) for squared, _ in found])
    total = power + np.array([float(logarithm) for _, logarithm in found])
    assert np.all(np.diff(power) < 0) and CONTRASTS[np.argmin(total)] == 1.0
    assert power[CONTRASTS.index(1.0)] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("kind, depth, make, most", [("focus", 2, matched, 0.95), ("aperture-far", 1, matched, 1.0),
                                                     ("focus", 2, leaves, 0.95), ("focus", 2, half_flat, 0.95)])
def test_at_four_percent_of_noise_the_prior_is_nearer_to_the_truth(kind, depth, make, most):
    place = DEPTHS[kind][depth]
    captures = [pair(kind, make(SHAPE, np.random.default_rng(seed)), 0.04, seed + 10, place) for seed in range(2)]
    assert rmse(PRIOR, captures, place) < most * rmse(RELATIVE, captures, place)


@pytest.mark.parametrize("make", [matched, leaves, half_flat])
def test_without_much_noise_it_does_no_harm(make):
    place = DEPTHS["focus"][2]
    captures = [pair("focus", make(SHAPE, np.random.default_rng(0)), 0.005, 10, place)]
    assert rmse(PRIOR, captures, place) < 1.05 * rmse(RELATIVE, captures, place)


@pytest.mark.parametrize("paths", ["radial", "sampled"])
def test_explained_loops_are_their_whole_array_reference(rng, paths):
    shape, at = (37, 24), rng.uniform(0, 30, (37, 24)).astype(np.float32)
    spectra = (rng.standard_normal((3, *shape)) + 1j * rng.standard_normal((3, *shape))).astype(np.complex64)
    tables = rng.uniform(-0.5, 1, (1, 3, 32)).astype(np.float32)
    radial = Radial(at, tables, None)
    found = explained(spectra, radial if paths == "radial" else radial.sampled())
    for one, other in zip(found, explained_arrays(spectra, radial.sampled()), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_the_prior_is_never_chosen_by_itself():
    names = list(SOLVERS)
    assert names.index("likelihood") < names.index("likelihood-prior") < names.index("spatial-transform")


def test_tiles_of_a_pair_give_the_depth_of_the_whole():
    """Within the parts of sigma by which tiles of `likelihood` differ: both learn the spectrum from the tile."""
    capture = pair("focus", leaves((151, 203), np.random.default_rng(2)), 0.01)
    whole, tiled = PRIOR.function(capture), solve_tiled(capture, PRIOR, tile=64)
    apart = abs(tiled.values - whole.values) / whole.sigma
    assert np.nanmedian(apart) < 0.3 and np.nanpercentile(apart, 98) < 1.0
    assert np.mean(tiled.valid != whole.valid) < 0.005 and whole.valid.mean() > 0.9


def test_the_prior_takes_the_memory_that_it_declares():
    capture = pair("focus", leaves((241, 323), np.random.default_rng(2)), 0.01)
    PRIOR.function(capture)  # compiles and loads
    tracemalloc.start()
    try:
        PRIOR.function(replace(capture, images=capture.images.copy()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 < peak / PRIOR.memory(capture, capture.shape, None) < 1.1


def test_a_stack_of_many_frames_is_refused_with_the_next_step(rng):
    stack = plane_stack(rng)
    with pytest.raises(ValueError, match=r"at most 6 images, this focal-stack has 12: .* use likelihood"):
        SOLVERS["likelihood-prior"].check(stack, None)
