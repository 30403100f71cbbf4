"""The restoration of blurred pictures: what it gains, what it leaves alone, and what it never does.

Scenes are rendered by convolving with the kernels of `Psf`, on a canvas larger than the picture, so that borders hold what
the model does not know.  PSNR is in dB of a picture that runs from 0 to 1.
"""

import numpy as np
import pytest
import scipy.signal
from fakegpu import device  # noqa: F401  (fixture)
from textures import texture

from dfd.capture import View
from dfd.noise import Noise
from dfd.optics import ThinLens
from dfd.psf import Psf
from dfd.restore import restore

SHAPE, BORDER = (211, 307), 40
QUIET = Noise(1e6, 0.0)


def lens(focus, pupil=0.0125):
    return ThinLens.from_focus(focus, fx=4400.0, pupil_diameter=pupil, pixel_pitch=12e-6)


def sharp_picture(rng, channels=3, shape=SHAPE):
    wide = tuple(length + 2 * BORDER for length in shape)
    grey = texture(wide, rng)
    return np.stack([np.clip(0.75 * grey + 0.25 * texture(wide, rng), 0, 1) for _ in range(channels)], -1).astype(np.float32)


def inside(picture):
    return picture[BORDER:-BORDER, BORDER:-BORDER]


def blurred(wide, view, inverse_depth):
    kernel = view.psf.kernel(float(view.lens.coc(inverse_depth)))
    return np.stack([scipy.signal.fftconvolve(plane, kernel, mode="same") for plane in np.moveaxis(wide, -1, 0)],
                    -1).astype(np.float32)


def taken(wide, views, inverse_depth, rng):
    """(K, H, W, C) pictures of a plane, with the noise that the views state in every channel."""
    pictures = [inside(blurred(wide, view, inverse_depth)) for view in views]
    return np.stack([picture + np.sqrt(view.noise.variance(picture)) * rng.standard_normal(picture.shape, np.float32)
                     for picture, view in zip(pictures, views, strict=True)]).astype(np.float32)


def psnr(picture, truth, where=np.s_[12:-12, 12:-12]):
    return -10 * np.log10(np.mean((picture - truth)[where].astype(float) ** 2))


def pair(*, psf="disk", noise=QUIET, near=1.30, far=1.05):
    return (View(lens(near), Psf(psf), noise), View(lens(far), Psf(psf), noise))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("psf", ["disk", "gaussian"])
def test_a_blurred_plane_gains_decibels_over_its_sharpest_picture(psf, channels, rng):
    views, wide = pair(psf=psf, noise=Noise(20000.0, 3.0)), sharp_picture(rng, channels)
    pictures = taken(wide, views, 1.18, rng)
    restored = restore(pictures, views, np.full(SHAPE, 1.18, np.float32))
    assert restored.shape == (*SHAPE, channels) and restored.dtype == np.float32
    gain = psnr(restored, inside(wide)) - max(psnr(picture, inside(wide)) for picture in pictures)
    assert gain >= {"disk": 3.2, "gaussian": 1.6}[psf]


def test_two_planes_gain_on_both_and_next_to_the_edge(rng):
    views, wide = pair(noise=Noise(20000.0, 3.0), near=1.40, far=1.00), sharp_picture(rng)
    left = np.arange(wide.shape[1]) < BORDER + 150
    values = np.where(left[BORDER:-BORDER], 1.33, 1.08).astype(np.float32) * np.ones(SHAPE, np.float32)
    mask = np.broadcast_to(left, wide.shape[:2])[..., None].astype(np.float32)
    pictures = []
    for view in views:  # the nearer plane covers the farther one, both blurred by their own kernels
        cover = inside(blurred(np.broadcast_to(mask, wide.shape), view, 1.33))
        picture = inside(blurred(wide * mask, view, 1.33)) + (1 - cover) * inside(blurred(wide, view, 1.08))
        pictures.append(picture + np.sqrt(view.noise.variance(picture)) * rng.standard_normal(picture.shape, np.float32))
    restored, truth = restore(pictures, views, values), inside(wide)
    for where in (np.s_[12:-12, 12:120], np.s_[12:-12, 180:-12]):
        assert psnr(restored, truth, where) >= 2.5 + max(psnr(picture, truth, where) for picture in pictures)
    beside = np.s_[12:-12, 130:170]
    assert psnr(restored, truth, beside) >= 3 + max(psnr(picture, truth, beside) for picture in pictures)
    assert restored.min() > truth.min() - 0.1 and restored.max() < truth.max() + 0.1


def test_what_one_picture_shows_sharp_is_left_as_it_is(rng):
    views, wide = pair(near=1.30, far=1.05), sharp_picture(rng)
    restored = restore(taken(wide, views, 1.30, rng), views, np.full(SHAPE, 1.30, np.float32))
    np.testing.assert_allclose(restored, inside(wide), atol=0.006)  # 8 deviations of the noise


def test_channels_are_treated_alike(rng):
    views, wide, tint = pair(), sharp_picture(rng, 1), np.array([0.9, 0.5, 0.2], np.float32)
    pictures = [inside(blurred(wide, view, 1.18)) * tint for view in views]
    restored = restore(pictures, views, np.full(SHAPE, 1.18, np.float32))
    np.testing.assert_allclose(restored, restored[..., :1] / tint[0] * tint, atol=0.01)
    np.testing.assert_allclose(restored.mean(axis=(0, 1)), np.mean(pictures, axis=(0, 1, 2)), atol=5e-4)


@pytest.mark.parametrize(("electrons", "most"), [(2000.0, 2.5), (20000.0, 5.5)])
def test_noise_grows_by_no_more_than_what_the_texture_is_worth(electrons, most, rng):
    views, wide = pair(noise=Noise(electrons, 3.0)), sharp_picture(rng, 1)
    values = np.full(SHAPE, 1.18, np.float32)
    clean = taken(wide, [View(view.lens, view.psf, Noise(1e12, 0.0)) for view in views], 1.18, rng)
    noisy = taken(wide, views, 1.18, rng)
    growth = (restore(noisy, views, values) - restore(clean, views, values)).std() / (noisy[0] - clean[0]).std()
    assert growth <= most


def test_flat_grey_stays_flat(rng):
    views = pair(noise=Noise(20000.0, 3.0))
    flat = np.full((SHAPE[0] + 2 * BORDER, SHAPE[1] + 2 * BORDER, 1), 0.4, np.float32)
    pictures = taken(flat, views, 1.18, rng)
    restored = restore(pictures, views, np.full(SHAPE, 1.18, np.float32))
    assert restored.std() <= pictures[0].std()
    assert abs(restored.mean() - 0.4) < 5e-4


def test_half_pupils_are_brought_together(rng):
    views = tuple(View(lens(1.30), Psf(f"half-{side}"), Noise(20000.0, 3.0)) for side in ("left", "right"))
    wide = sharp_picture(rng)
    for depth in (1.20, 1.40):
        pictures = taken(wide, views, depth, rng)
        restored = restore(pictures, views, np.full(SHAPE, depth, np.float32))
        assert psnr(restored, inside(wide)) >= 5 + max(psnr(picture, inside(wide)) for picture in pictures)


def test_a_tile_fits_its_neighbours(rng, monkeypatch):
    views, wide = pair(noise=Noise(20000.0, 3.0)), sharp_picture(rng, 1)
    pictures = taken(wide, views, 1.18, rng)
    values = np.full(SHAPE, 1.18, np.float32) + np.linspace(-0.02, 0.02, SHAPE[1], dtype=np.float32)
    whole = restore(pictures, views, values, workers=1)
    monkeypatch.setattr("dfd.restore._TILE", 64)
    seen = []
    parts = restore(pictures, views, values, workers=2, progress=lambda *at: seen.append(at))
    difference = np.abs(whole - parts)
    assert difference.max() < 0.01 and np.sqrt((difference**2).mean()) < 1e-3  # the noise has 0.005
    assert seen[0] == (0, values.size) and seen[-1] == (values.size, values.size)


def test_unknown_depth_is_that_of_its_surroundings(rng):
    views, wide = pair(), sharp_picture(rng, 1)
    pictures, values = taken(wide, views, 1.18, rng), np.full(SHAPE, 1.18, np.float32)
    holed = values.copy()
    holed[60:90, 100:180] = np.nan
    np.testing.assert_array_equal(restore(pictures, views, holed), restore(pictures, views, values))


def test_without_any_depth_the_smallest_pupil_is_shown(rng):
    views = (View(lens(1.2, 0.012), Psf(), QUIET), View(lens(1.2, 0.003), Psf(), QUIET))
    pictures = taken(sharp_picture(rng), views, 1.1, rng)
    np.testing.assert_array_equal(restore(pictures, views, np.full(SHAPE, np.nan, np.float32)), pictures[1])


def test_where_a_picture_has_no_data_the_others_stand_in(rng):
    views, wide = pair(noise=Noise(20000.0, 3.0)), sharp_picture(rng)
    pictures = taken(wide, views, 1.30, rng)
    pictures[1, :, :9] = np.nan
    restored = restore(pictures, views, np.full(SHAPE, 1.30, np.float32))
    assert np.isfinite(restored).all()
    assert psnr(restored, inside(wide), np.s_[:, :9]) >= 28
    pictures[:, :5] = np.nan
    restored = restore(pictures, views, np.full(SHAPE, 1.30, np.float32))
    assert np.isfinite(restored).all() and abs(restored[:2]).max() < 0.5


def test_pictures_views_and_depth_are_left_as_they_were(rng):
    views, wide = pair(), sharp_picture(rng, 1)
    pictures, values = taken(wide, views, 1.18, rng), np.full(SHAPE, 1.18, np.float32)
    before = pictures.copy()
    for array in (pictures, values):
        array.flags.writeable = False
    restore(pictures, views, values)
    np.testing.assert_array_equal(pictures, before)


@pytest.mark.parametrize(("change", "told"), [
    (lambda p, v, d: (p[:1], v[:1], d), "at least 2 pictures"),
    (lambda p, v, d: (p, v[:1], d), "one View for each"),
    (lambda p, v, d: (p, v, d[:-1]), "register them"),
    (lambda p, v, d: ([p[0], p[1][..., :1]], v, d), "all as grey or as RGB"),
    (lambda p, v, d: (p, (v[0], View(None, Psf(), QUIET)), d), "picture 1 has no lens"),
])
def test_what_does_not_belong_together_is_refused(change, told, rng):
    pictures, values = np.zeros((2, 40, 60, 3), np.float32), np.full((40, 60), 1.2, np.float32)
    with pytest.raises(ValueError, match=told):
        restore(*change(pictures, pair(), values))


def test_a_gpu_gives_the_same_picture(device, rng):  # noqa: F811
    views, wide = pair(noise=Noise(20000.0, 3.0)), sharp_picture(rng, 3)
    pictures = taken(wide, views, 1.18, rng)
    pictures[1, :9] = np.nan
    values = np.where(np.arange(SHAPE[1]) < 200, 1.18, 1.10).astype(np.float32) * np.ones(SHAPE, np.float32)
    values[40:50, 60:90] = np.nan
    on_host = restore(pictures, views, values)
    on_device = restore([device.put(picture) for picture in pictures], views, device.put(values))
    assert device.owns(on_device)
    np.testing.assert_allclose(device.get(on_device), on_host, atol=1e-4)


def test_a_view_blurred_beyond_use_does_not_matter(rng):
    views, wide = pair(noise=Noise(20000.0, 3.0)), sharp_picture(rng, 1)
    pictures, values = taken(wide, views, 1.18, rng), np.full(SHAPE, 1.18, np.float32)
    veil = View(lens(1.18 + 10, 0.0125), Psf(), views[0].noise)  # 550 px of blur: its mean, and nothing else
    grey = np.full((1, *SHAPE, 1), pictures.mean(), np.float32)
    with_veil = restore(np.concatenate([pictures, grey]), (*views, veil), values)
    np.testing.assert_allclose(with_veil, restore(pictures, views, values), atol=0.03)
