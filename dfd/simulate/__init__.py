"""A camera in the computer: textured scenes rendered through thin lenses, with exact depth to compare with."""

from dfd.simulate.captures import DEFAULT_PRESETS, SHOTS, Simulation, simulate_capture
from dfd.simulate.lightfield import light_field_camera, simulate_light_field, view_disparity
from dfd.simulate.presets import PRESETS, Preset
from dfd.simulate.pupil import FINE_SAMPLES, SAMPLES
from dfd.simulate.render import render, render_views, true_inverse_depth
from dfd.simulate.scenes import SCENES, Primitive, Scene, make_scene

__all__ = [
    "DEFAULT_PRESETS",
    "FINE_SAMPLES",
    "PRESETS",
    "SAMPLES",
    "SCENES",
    "SHOTS",
    "Preset",
    "Primitive",
    "Scene",
    "Simulation",
    "light_field_camera",
    "make_scene",
    "render",
    "render_views",
    "simulate_capture",
    "simulate_light_field",
    "true_inverse_depth",
    "view_disparity",
]
