"""Scenes with exact depth through the lens of a simulated shoot: what its profile is judged by.

The scene is rendered through the thin lens of green on the axis with its focus moved by as much as field and colour move it,
at three settings, and each pixel and channel interpolated to its own.  Core and vignetting follow; distortion is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebpts1

from calibration.simulate.files import ISO, SUFFIXES, focus_bucket, mosaicked, said, write_light, write_marker
from calibration.simulate.rendering import CHANNELS
from calibration.simulate.truelens import TrueLens
from dfd.io.images import write_tiff
from dfd.optics import ThinLens
from dfd.simulate import SCENES, make_scene, render, true_inverse_depth

_SETTINGS = 3  # of focus that a picture is interpolated from
_INSIDE = 1.15  # how far the scene keeps from the ends of the calibrated range, ratio of depths
_PAIR_FOCUS, _PAIR_NEAREST, _PAIR_BLUR = 0.45, 0.98, 36.0  # share of the range; share of inverse depth; px of the wide view
_SCENE = 7  # stream of random numbers


@dataclass(frozen=True)
class ScenePlan:
    """A capture to write: folder and kind, the scene and its range [m from the pupil], (focus coordinate, f-number) of each
    frame, and the index of the reference."""

    folder: str
    kind: str
    scene: str
    nearest: float
    farthest: float
    shots: tuple[tuple[float, float], ...]
    reference: int


def plan_scenes(lens: TrueLens, scene: str, distances, f_numbers, *, frames: int) -> tuple[ScenePlan, ...]:
    """The focal stack, and with two f-numbers the aperture pair, of a scene within the calibrated distances [m from the
    sensor mark].  Raises ValueError for an unknown scene, too few frames or too narrow a range."""
    if scene not in SCENES:
        raise ValueError(f"scene ({scene!r}) must be one of {', '.join(SCENES)}")
    if frames < 3:
        raise ValueError(f"scene_frames ({frames}) of a focal stack must be at least 3")
    near, far = (min(distances) - lens.pupil_height) * _INSIDE, (max(distances) - lens.pupil_height) / _INSIDE
    if far < 1.2 * near:
        raise ValueError(f"a scene from {near:.3g} to {far:.3g} m from the pupil is too shallow; calibrate distances that "
                         "are farther apart")
    settings = [float(round(lens.coordinate(focus))) for focus in np.linspace(1 / near, 1 / far, frames)]
    plans = [ScenePlan("scene", "focal-stack", scene, near, far, tuple((s, f_numbers[0]) for s in settings), frames // 2)]
    if len(f_numbers) > 1:
        wide, narrow = min(f_numbers), max(f_numbers)
        focus = 1 / far + (1 - _PAIR_FOCUS) * (1 / near - 1 / far)
        s = float(round(lens.coordinate(focus)))
        beyond = max(focus - _PAIR_BLUR / float(lens.blur_rate(s, wide)), 1 / far)
        plans.append(ScenePlan("pair", "aperture-pair", scene, 1 / (_PAIR_NEAREST * focus), 1 / beyond,
                               ((s, wide), (s, narrow)), 0))
    return tuple(plans)


def write_scene(folder, lens: TrueLens, plan: ScenePlan, *, jitter: float, seed: int, noisy: bool, suffix: str,
                progress=None):
    """Render and write one capture: frames, capture.toml, truth.tiff [m from the entrance pupil, the reference's grid]."""
    folder.mkdir()
    jitters = jitter * np.random.default_rng([seed, _SCENE]).standard_normal(len(plan.shots))
    if plan.kind == "aperture-pair":
        jitters[:] = jitters[0]  # the lens stays where it is
    true = [s + shift for (s, _), shift in zip(plan.shots, jitters, strict=True)]
    reference = lens.thin_lens(true[plan.reference], plan.shots[plan.reference][1])
    world = make_scene(plan.scene, seed=seed, nearest=plan.nearest, farthest=plan.farthest, shape=lens.size, fx=reference.fx)
    names = [f"frame_{index:02d}{suffix}" for index in range(len(plan.shots))]
    for index, (name, s, (told, f_number)) in enumerate(zip(names, true, plan.shots, strict=True)):
        light = through(lens, world, s, f_number)
        rng = np.random.default_rng([seed, _SCENE, index, len(names)]) if noisy else None
        write_light(folder / name, mosaicked(light) if suffix == SUFFIXES["dng"] else light, lens, rng,
                    said(lens, told, f_number))
        if progress is not None:
            progress(plan.folder, index + 1, len(names))
    write_tiff(folder / "truth.tiff", (1 / true_inverse_depth(world, reference, lens.size)).astype(np.float32),
               metadata={"unit": "m", "origin": "pupil", "reference": names[plan.reference]})
    (folder / "capture.toml").write_text(_capture_toml(lens, plan, names, suffix), encoding="utf-8")
    write_marker(folder, plan.kind, [*names, "capture.toml", "truth.tiff"], unit="m", origin="pupil", scene=plan.scene,
                 reference=names[plan.reference], nearest_m=plan.nearest, farthest_m=plan.farthest,
                 true_focus_coordinate=[float(s) for s in true])


def through(lens: TrueLens, world, s: float, f_number: float) -> np.ndarray:
    """(H, W, 3) float32 light, without noise, of a scene through the lens at `s`."""
    from scipy.ndimage import gaussian_filter

    height, width = lens.size
    y, x = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width)[None] - (width - 1) / 2
    field = lens.field_focus(x, y)
    moves = [field + lens.axial_colour(channel) for channel in CHANNELS]
    least, most = min(move.min() for move in moves), max(move.max() for move in moves)
    nodes = (least + most) / 2 + (most - least) / 2 * chebpts1(_SETTINGS if most - least > 1e-9 else 1)
    axis = lens.thin_lens(s, f_number)
    lenses = [ThinLens.from_focus(axis.focus + node, fx=axis.fx, pupil_diameter=axis.pupil_diameter,
                                  pixel_pitch=axis.pixel_pitch) for node in nodes]
    pictures, light = render(world, lenses, lens.size), np.empty((height, width, 3), np.float32)
    shade = lens.vignetting(x, y, f_number)
    for index in CHANNELS.values():
        weights = _lagrange(nodes, moves[index])
        mixed = sum(weight * picture[..., index] for weight, picture in zip(weights, pictures, strict=True))
        light[..., index] = gaussian_filter(mixed, lens.core, mode="nearest") * shade * lens.channel_gain[index]
    return light


def _lagrange(nodes, places):
    """The weight of each node at `places`, polynomials that are 1 at their own node and 0 at the others."""
    for own in nodes:
        weight = np.ones_like(places)
        for other in nodes[nodes != own]:
            weight = weight * (places - other) / (own - other)
        yield weight


def _capture_toml(lens, plan, names, suffix):
    """capture.toml: the focus coordinate, for a profile, beside what a camera says."""
    lines = [f'kind = "{plan.kind}"', 'distance_from = "sensor"']
    if plan.kind == "aperture-pair":
        lines.append('side = "far"')
    lines += ["", "[camera]", f"focal_length_mm = {lens.focal_nominal * 1e3:g}",
              f"pixel_pitch_um = {lens.pixel_pitch * 1e6:g}", "linear = true"]
    if suffix != SUFFIXES["dng"]:
        lines += ["black_level = 0", "white_level = 65535"]
    for index, (name, (s, f_number)) in enumerate(zip(names, plan.shots, strict=True)):
        exposure = said(lens, s, f_number).exposure.value
        lines += ["", "[[frames]]", f'file = "{name}"', f"focus_coordinate = {s:g}",
                  f"focus_distance_m = {focus_bucket(lens, s):g}", f"f_number = {f_number:g}",
                  f"exposure_s = {exposure:.6g}", f"iso = {ISO:g}"]
        if index == plan.reference:
            lines.append("reference = true")
    return "\n".join(lines) + "\n"
