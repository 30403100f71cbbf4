"""A camera in the computer: textured scenes rendered through thin lenses, with exact depth to compare with."""

from dfd.simulate.captures import DEFAULT_PRESETS, SHOTS, Simulation, simulate_capture
from dfd.simulate.presets import PRESETS, Preset
from dfd.simulate.pupil import FINE_SAMPLES, SAMPLES
from dfd.simulate.render import expose, render, true_inverse_depth
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
    "expose",
    "make_scene",
    "render",
    "simulate_capture",
    "true_inverse_depth",
]
