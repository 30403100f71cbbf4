"""The simulator against closed forms and an independent ray trace.  Radiance is in units of white."""

import math

import numpy as np
import pytest
from scenery import flat, scene_of

from dfd.noise import Noise, expose
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA
from dfd.simulate import (
    SCENES,
    make_scene,
    render,
    true_inverse_depth,
)

SHAPE = (61, 94)
NEAR_FX = 4600.0


def lens_at(distance, f_number=4.0):
    return ThinLens.focused_at(distance, focal_length=0.05, f_number=f_number, pixel_pitch=12e-6)


# ------------------------------------------------------------------ an independent ray trace

def trace(scene, lens, shape, y, x, pupil_xy, offset_xy):
    """(3,) mean radiance of one pixel: rays from the pupil to the point in focus, own intersections, finest texture."""
    target = np.array([(x + offset_xy[:, 0] - (shape[1] - 1) / 2) / lens.fx,
                       (y + offset_xy[:, 1] - (shape[0] - 1) / 2) / lens.fx, np.ones(len(offset_xy))]).T / lens.focus
    origin = np.column_stack([pupil_xy * lens.pupil_diameter / 2, np.zeros(len(pupil_xy))])
    direction = target - origin
    best, colour = np.full(len(origin), np.inf), np.zeros((len(origin), 3))
    for item in scene.primitives:
        along = sphere_hit(item, origin, direction) if item.kind == "sphere" else flat_hit(item, origin, direction)
        point = origin + along[:, None] * direction
        nearer = np.isfinite(along) & (along > 0) & (along < best)
        best[nearer] = along[nearer]
        colour[nearer] = look_up(item, point[nearer])
    return colour.mean(axis=0)


def flat_hit(item, origin, direction):
    """Solve origin + a direction = centre + s axis_1 + t axis_2 as three linear equations per ray."""
    matrix = np.stack([direction, *(np.broadcast_to(-axis, direction.shape) for axis in item.axes)], axis=2)
    a, s, t = np.linalg.solve(matrix, (item.centre - origin)[..., None])[..., 0].T
    if item.kind == "disc":
        return np.where(np.hypot(s, t) <= item.half[0], a, np.inf)
    return np.where((np.abs(s) <= item.half[0]) & (np.abs(t) <= item.half[1]), a, np.inf)


def sphere_hit(item, origin, direction):
    """The smaller root of |origin + a direction - centre|^2 = radius^2."""
    apart = origin - item.centre
    a, b = (direction**2).sum(1), 2 * (direction * apart).sum(1)
    c = (apart**2).sum(1) - item.half[0] ** 2
    root = b**2 - 4 * a * c
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / (2 * a), np.inf)


def look_up(item, point):
    """Bilinear albedo of the finest texture, times the shade."""
    homogeneous = np.column_stack([point, np.ones(len(point))])
    s, t = item.texture_map @ homogeneous.T
    height, width = item.texture.shape[:2]
    x, y = np.floor(s).astype(int), np.floor(t).astype(int)
    fx, fy = (s - x)[:, None], (t - y)[:, None]

    def texel(dy, dx):
        return item.texture[(y + dy) % height, (x + dx) % width].astype(float)

    albedo = (1 - fy) * ((1 - fx) * texel(0, 0) + fx * texel(0, 1)) + fy * ((1 - fx) * texel(1, 0) + fx * texel(1, 1))
    return albedo * (homogeneous @ item.shade)[:, None]


def disc_points(rng, count):
    """Random points, even over the unit disc, and over the pixel square."""
    radius, angle = np.sqrt(rng.random(count)), rng.random(count) * 2 * math.pi
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), rng.random((count, 2)) - 0.5


@pytest.mark.parametrize("distance", [0.57, 0.70, 0.95])
@pytest.mark.parametrize("name", ["demo", "slant-sphere", "thin", "step"])
def test_render_equals_an_independent_ray_trace(name, distance, rng):
    scene, lens = make_scene(name, seed=3, shape=SHAPE, fx=NEAR_FX), lens_at(distance)
    image = render(scene, [lens], SHAPE)[0]
    truth = true_inverse_depth(scene, lens, SHAPE)
    edge = np.hypot(*np.gradient(truth)) > 0.02
    chosen = np.concatenate([rng.permutation(np.argwhere(edge))[:16],
                             rng.integers(0, SHAPE, (16, 2))])  # occlusion edges, and anywhere
    difference = np.array([image[y, x] - trace(scene, lens, SHAPE, y, x, *disc_points(rng, 8192)) for y, x in chosen])
    assert np.sqrt(np.mean(difference**2)) < 0.004  # of white; the trace's own scatter is about 0.0015
    assert np.abs(difference).max() < 0.02


# ------------------------------------------------------------------ projection, breathing

def centroid(image):
    """(x, y) px of a bright spot over black, from the image centre."""
    y, x = np.indices(image.shape)
    return (np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
            - (np.array(image.shape[::-1]) - 1) / 2)


@pytest.mark.parametrize("distance", [0.55, 0.75, 0.98])
def test_chief_ray_lands_at_fx_times_the_tangent_so_frames_breathe(distance):
    lens, spot = lens_at(distance), np.array([0.004, -0.0022, 0.75])
    scene = scene_of(flat("disc", spot, (0.0012, 0.0012), 0.9))
    image = render(scene, [lens], (91, 128))[0][..., 1]
    assert np.abs(centroid(image) - lens.fx * spot[:2] / spot[2]).max() < 0.02  # px


def test_registered_frames_do_not_breathe():
    reference = lens_at(0.75)
    scene = scene_of(flat("disc", (0.004, -0.0022, 0.75), (0.0012, 0.0012), 0.9))
    lenses = [lens_at(distance).on_grid_of(reference) for distance in (0.55, 0.98)]
    places = [centroid(image[..., 1]) for image in render(scene, lenses, (91, 128))]
    assert np.abs(places[0] - places[1]).max() < 0.02  # px
    assert all(lens.focus == pytest.approx(lens_at(distance).focus, abs=1e-9)
               for lens, distance in zip(lenses, (0.55, 0.98), strict=True))


def test_a_smaller_image_is_the_middle_of_a_larger_one():
    scene, lens = make_scene("demo", seed=2, shape=(61, 95), fx=NEAR_FX), lens_at(0.7)
    large, small = render(scene, [lens], (61, 95))[0], render(scene, [lens], (25, 41))[0]
    assert np.abs(large[18:43, 27:68] - small).max() < 1e-5


def test_rows_and_columns_are_not_exchanged():
    right = scene_of(flat("rectangle", (0.01, 0, 0.7), (0.01, 1.0), 0.8))  # bright for x > 0
    image = render(right, [lens_at(0.7)], (31, 74))[0][..., 0]
    assert image[:, 40:].min() > 0.79 and image[:, :34].max() < 0.01
    below = scene_of(flat("rectangle", (0, 0.01, 0.7), (1.0, 0.01), 0.8))  # bright for y > 0
    image = render(below, [lens_at(0.7)], (74, 31))[0][..., 0]
    assert image[40:].min() > 0.79 and image[:34].max() < 0.01


# ------------------------------------------------------------------ blur

def edge_spread(depth, lens, pupil="full", along="x"):
    """Mean and variance [px] of the line spread of a straight edge at `depth`, from the image centre."""
    half = (10.0, 20.0) if along == "x" else (20.0, 10.0)
    centre = (10.0, 0, depth) if along == "x" else (0, 10.0, depth)
    shape = (3, 160) if along == "x" else (160, 3)
    image = render(scene_of(flat("rectangle", centre, half, 1.0)), [lens], shape, pupils=[pupil])[0][..., 1]
    line = np.diff(image[1] if along == "x" else image[:, 1])
    place = np.arange(len(line)) + 0.5 - (160 - 1) / 2
    mean = (line * place).sum() / line.sum()
    return mean, (line * (place - mean) ** 2).sum() / line.sum() - 2 / 12  # the pixel box, and the difference


@pytest.mark.parametrize("along", ["x", "y"])
@pytest.mark.parametrize("depth", [0.50, 0.62, 0.80, 1.4])
def test_an_edge_blurs_by_the_second_moment_of_a_disk_of_diameter_coc(depth, along):
    lens = lens_at(0.70)
    mean, variance = edge_spread(depth, lens, along=along)
    coc = lens.coc(1 / depth)
    assert mean == pytest.approx(0, abs=0.05)  # px
    assert math.sqrt(16 * variance) == pytest.approx(abs(coc), abs=0.02 * abs(coc))


def test_focus_at_infinity_blurs_near_things_by_pupil_over_depth():
    lens = lens_at(math.inf, f_number=8.0)
    _, variance = edge_spread(1.0, lens)
    assert math.sqrt(16 * variance) == pytest.approx(lens.fx * lens.pupil_diameter, rel=0.02)


@pytest.mark.parametrize("depth", [0.55, 0.62, 0.80, 1.2])
def test_half_pupils_shift_by_kappa_coc_nearer_lies_further_right_in_left(depth):
    lens = lens_at(0.70)
    left, right = (edge_spread(depth, lens, pupil)[0] for pupil in ("left", "right"))
    coc = lens.coc(1 / depth)
    assert left - right == pytest.approx(IDEAL_KAPPA * coc, abs=0.02 * abs(coc))  # px, positive = nearer
    assert edge_spread(depth, lens, "left", "y")[0] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("distance", [0.56, 0.97])
def test_half_pupil_images_average_to_the_full_image(distance):
    scene, lens = make_scene("demo", seed=5, shape=SHAPE, fx=NEAR_FX), lens_at(distance)
    left, right, full = render(scene, [lens] * 3, SHAPE, pupils=("left", "right", "full"))
    assert np.sqrt(np.mean(((left + right) / 2 - full) ** 2)) < 0.003  # of white


@pytest.mark.parametrize("pupil", ["full", "left"])
def test_brightness_does_not_depend_on_the_aperture(pupil):
    scene = scene_of(flat("rectangle", (0, 0, 0.9), (1e6, 1e6), 0.37))
    lenses = [lens_at(0.6, f_number) for f_number in (2.8, 8.0)]
    images = render(scene, lenses, (9, 14), pupils=[pupil] * 2)
    assert np.abs(images - 0.37).max() < 1e-5


# ------------------------------------------------------------------ truth

def test_truth_of_a_slant_is_linear_in_the_image_and_spans_the_range():
    lens = lens_at(0.7)
    truth = true_inverse_depth(make_scene("slant", shape=SHAPE, fx=lens.fx), lens, SHAPE).astype(float)
    y, x = np.indices(SHAPE)
    columns = np.column_stack([np.ones(truth.size), x.ravel(), y.ravel()])
    fit, *_ = np.linalg.lstsq(columns, truth.ravel(), rcond=None)
    assert np.abs(columns @ fit - truth.ravel()).max() < 1e-6  # dioptre
    low, high = 1 / 0.98, 1 / 0.55
    assert truth[-1, -1] == pytest.approx(low + 0.92 * (high - low), abs=0.02)  # near, lower right
    assert truth[0, 0] == pytest.approx(low + 0.08 * (high - low), abs=0.02)


def test_truth_of_a_sphere_is_the_first_root_along_the_chief_ray():
    lens, centre, radius = lens_at(0.7), np.array([0.002, -0.001, 0.8]), 0.006
    truth = true_inverse_depth(scene_of(flat("sphere", centre, (radius, radius), 0.5)), lens, SHAPE)
    y, x = np.indices(SHAPE)
    ray = np.stack([(x - (SHAPE[1] - 1) / 2) / lens.fx, (y - (SHAPE[0] - 1) / 2) / lens.fx, np.ones(SHAPE)], axis=-1)
    a, b, c = (ray**2).sum(-1), ray @ centre, centre @ centre - radius**2
    root = np.where(b**2 > a * c, (b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a, np.nan)
    assert np.array_equal(np.isnan(truth), np.isnan(root))
    assert np.nanmax(np.abs(truth - 1 / root)) < 1e-6  # dioptre


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_fills_the_view_within_its_range(name):
    lens = lens_at(0.7)
    scene = make_scene(name, shape=SHAPE, fx=lens.fx, nearest=0.5, farthest=1.1)
    truth = true_inverse_depth(scene, lens, SHAPE)
    assert np.isfinite(truth).all()
    assert truth.min() > 1 / 1.1 and truth.max() < 1 / 0.5
    for item in scene.primitives:
        assert item.texture.min() >= 0.02 and item.texture.max() <= 0.98


def test_the_demo_scene_has_one_patch_without_texture():
    textures = [item.texture for item in make_scene("demo", shape=SHAPE, fx=NEAR_FX).primitives]
    assert sum(np.ptp(texture) == 0 for texture in textures) == 1
    assert all(0.1 < texture.std() < 0.25 for texture in textures if np.ptp(texture) > 0)


# ------------------------------------------------------------------ noise, captures

def test_noise_has_the_mean_and_variance_of_the_model(rng):
    noise = Noise(gain=5000, read_noise=20)
    for level in (0.0, 0.1, 0.6):
        image = np.full((500, 700), level, np.float32)
        noisy = expose(image, noise, rng)
        assert noisy.dtype == np.float32
        assert noisy.var() == pytest.approx(float(noise.variance(np.float64(level))), rel=0.02)
        assert noisy.mean() == pytest.approx(level, abs=1e-4)


def test_a_pupil_per_lens_and_a_known_half():
    scene = scene_of(flat("rectangle", (0, 0, 0.9), (1e6, 1e6), 0.4))
    with pytest.raises(ValueError, match="1 lenses but 2 pupils"):
        render(scene, [lens_at(0.7)], (8, 9), pupils=("left", "right"))
    with pytest.raises(ValueError, match="top"):
        render(scene, [lens_at(0.7)], (8, 9), pupils=("top",))
    with pytest.raises(ValueError, match="working range"):
        make_scene("plane", nearest=1.0, farthest=0.5)
