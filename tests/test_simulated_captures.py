"""Simulated captures of every kind: their frames, optics, noise and refusals; the sensor of `cod` in every number."""

import tomllib

import numpy as np
import pytest
from scenery import flat, scene_of

from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.psf import IDEAL_KAPPA
from dfd.simulate import DEFAULT_PRESETS, PRESETS, SHOTS, render, simulate_capture, true_inverse_depth
from dfd.solvers.likelihood import solve_likelihood

ROLES = ("power-minus", "power-plus", "aperture-minus", "aperture-plus")


def test_the_seed_decides_scene_and_noise():
    first, again, other = (simulate_capture(size=(30, 44), frames=2, seed=seed, preset="phone") for seed in (4, 4, 5))
    assert np.array_equal(first.radiance, again.radiance) and np.array_equal(first.mosaic(1), again.mosaic(1))
    assert np.abs(first.radiance - other.radiance).max() > 0.05
    noise = [first.planes(index) - first.radiance[index] for index in (0, 1)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("kind", SHOTS)
def test_every_kind_makes_its_capture(kind):
    simulation = simulate_capture(kind, size=(32, 46), registered=True, noise=0, scene="slant-sphere")
    capture = simulation.capture()
    assert capture.kind == kind and capture.shape == (32, 46) and capture.scale == "metric"
    grey = simulation.radiance @ np.array([0.25, 0.5, 0.25], np.float32)
    assert np.abs(capture.images - grey).max() < 1e-6
    assert simulation.preset == DEFAULT_PRESETS[kind]


def test_a_stack_runs_from_near_to_far_in_even_dioptres_around_its_reference():
    simulation = simulate_capture(size=(30, 44), frames=7)
    focus = np.array([lens.focus for lens in simulation.lenses])
    assert np.allclose(np.diff(focus), (1 / 0.98 - 1 / 0.55) / 6, atol=1e-9)
    assert simulation.reference == 3
    assert np.array_equal(simulation.truth, true_inverse_depth(simulation.scene, simulation.lenses[3], (30, 44)))


def test_the_scene_of_an_aperture_pair_lies_beyond_focus():
    simulation = simulate_capture("aperture-pair", size=(30, 44))
    assert simulation.side == "far" and simulation.lenses[0].coc(simulation.truth).max() < 0


def test_mosaic_takes_red_green_green_blue_from_the_planes():
    simulation = simulate_capture("views", size=(30, 44), noise=0)
    raw, colour = simulation.mosaic(0), simulation.radiance[0]
    for (y, x), channel in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        assert np.array_equal(raw[y::2, x::2], colour[y::2, x::2, channel])


def test_frames_that_breathe_make_no_capture():
    with pytest.raises(ValueError, match="registered=True"):
        simulate_capture(size=(30, 44), frames=2).capture()


@pytest.mark.parametrize(("arguments", "message"), [
    ({"kind": "video"}, "kind .'video'. must be one of"),
    ({"scene": "moon"}, "scene .'moon'. must be one of"),
    ({"preset": "pinhole"}, "preset .'pinhole'. must be one of"),
    ({"size": (0, 10)}, "size"),
    ({"noise": -1.0}, "noise"),
    ({"frames": 1}, "frames"),
    ({"kind": "dual-pixel", "frames": 3}, "focal stack only"),
])
def test_impossible_requests_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_capture(**arguments)


# ------------------------------------------------------------------ the sensor of coupled optical differentiation


def test_cod_is_the_published_sensor_in_every_number():
    camera = PRESETS["cod"]
    lens = camera.rest
    assert (lens.power, lens.image_distance, lens.pixel_pitch) == (pytest.approx(10.1, rel=1e-14), 0.110, 23.44e-6)
    assert lens.pupil_diameter == pytest.approx(0.005, rel=1e-14)
    assert lens.focus == pytest.approx(1.0091, abs=5e-5)  # dioptre
    assert lens.blur_rate == pytest.approx(23.46, abs=5e-3)  # px per dioptre
    assert (camera.near, camera.far) == (0.45, 1.80)
    quad = simulate_capture(preset="cod", size=(24, 36), scene="plane", noise=0)
    assert quad.roles == ROLES
    for one, power, pupil in zip(quad.lenses, (10.04, 10.16, 10.1, 10.1), (5e-3, 5e-3, 3e-3, 7e-3), strict=True):
        assert one.power == pytest.approx(power, abs=1e-12) and one.pupil_diameter == pytest.approx(pupil, abs=1e-15)
        assert (one.image_distance, one.pixel_pitch) == (0.110, 23.44e-6)


@pytest.mark.parametrize("distance, coc", [(0.45, 28.46), (0.85, 3.93), (1.80, -10.64)])
def test_a_ray_traced_edge_through_cod_has_the_signed_blur_of_the_closed_form(distance, coc):
    """The halves of the pupil see the edge kappa * coc apart, the whole blurs it: coc^2 / 16 and 1/12 for pixel and step."""
    shape = (9, 141)
    edge = scene_of(flat("rectangle", (-1, 0, distance), (1, 9), 0.2), flat("rectangle", (1, 0, distance), (1, 9), 0.6))
    lens = PRESETS["cod"].rest
    left, right, whole = (image[4, :, 0].astype(float) for image in
                          render(edge, [lens] * 3, shape, pupils=("left", "right", "full")))
    assert lens.coc(1 / distance) == pytest.approx(coc, abs=0.01)
    assert np.sum(right - left) / (whole[-1] - whole[0]) == pytest.approx(IDEAL_KAPPA * coc, abs=0.05)  # px
    spread, x = np.diff(whole) / (whole[-1] - whole[0]), np.arange(140) - 69.5
    assert np.sqrt(spread @ x**2 - (spread @ x) ** 2) == pytest.approx(np.sqrt(coc**2 / 16 + 1 / 6), abs=0.1)  # px


def test_a_preset_names_its_kind_unless_one_is_given():
    assert simulate_capture(preset="cod", size=(24, 36), noise=0).kind == "differential-quad"
    assert simulate_capture(preset="phone", size=(24, 36), frames=2).kind == "focal-stack"
    assert simulate_capture("aperture-pair", preset="cod", size=(24, 36)).kind == "aperture-pair"


@pytest.mark.parametrize("kind", [None, "focal-stack", "aperture-pair", "views"])
def test_what_cod_writes_reads_back_as_the_same_optics_and_exposure(kind, tmp_path):
    """A lens of variable power before a fixed sensor: no frame is larger than another, whatever the kind."""
    made = simulate_capture(kind, preset="cod", size=(36, 50), scene="plane", frames=3 if kind == "focal-stack" else None)
    source = open_source([write_simulation(made, tmp_path / "new", format="tiff")])
    assert (source.scale, source.missing) == ("metric", ())
    for frame, lens, settings in zip(source.frames, made.lenses, made.settings, strict=True):
        read = source.profile.thin_lens(frame.settings)
        for name in ("focal_length", "pupil_diameter", "image_distance", "pixel_pitch"):
            assert getattr(read, name) == pytest.approx(getattr(lens, name), rel=1e-11), name
        assert frame.settings.exposure.value == pytest.approx(settings.exposure.value, rel=1e-11)
        assert read.fx == pytest.approx(0.110 / 23.44e-6)
    assert tuple(frame.role for frame in source.frames) == (ROLES if kind is None else (None,) * len(made.lenses))


def test_every_frame_of_cod_is_exposed_for_its_pupil(tmp_path):
    """t * pupil^2 is the same in all four: 7 mm for a 25/49 of what 5 mm need, 3 mm for 25/9 of it."""
    made = simulate_capture(preset="cod", size=(36, 50), scene="plane", noise=0)
    frames = tomllib.loads((write_simulation(made, tmp_path / "new", format="npy") / "capture.toml").read_text())["frames"]
    times = [frame["exposure_s"] / frames[0]["exposure_s"] for frame in frames]
    assert times == pytest.approx([1, 1, 25 / 9, 25 / 49], rel=1e-9)
    means = [np.load(tmp_path / "new" / frame["file"]).mean() for frame in frames]
    assert means == pytest.approx([means[0]] * 4, rel=0.02)


@pytest.mark.parametrize(("kind", "known", "most"), [("differential-quad", 0.95, 0.3), ("aperture-pair", 0.65, 0.4)])
def test_a_quad_and_a_pair_are_blurred_as_the_disk_of_the_model_is(kind, known, most):
    """A plane, 5 to 12 and 25 px of blur: the likelihood, which believes the disk, has hardly a bias; SAMPLES cost it 1.5
    and .6 of its sigma."""
    simulation = simulate_capture(kind, scene="plane", size=(160, 200), registered=True)
    result = solve_likelihood(simulation.capture())
    away = (result.values - simulation.truth)[result.valid] / result.sigma[result.valid]
    assert result.valid.mean() > known and abs(np.median(away)) < most
