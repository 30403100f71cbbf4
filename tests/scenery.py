"""Scenes of flat primitives for tests of the simulator."""

import numpy as np

from dfd.simulate import Primitive, Scene


def flat(kind, centre, half, albedo, axes=((1, 0, 0), (0, 1, 0))):
    """A primitive of one albedo, without shading."""
    texture = np.full((64, 64, 3), albedo, np.float32)
    return Primitive(kind, np.array(centre, float), np.array(axes, float), half, texture,
                     np.array([[1e3, 0, 0, 0], [0, 1e3, 0, 0.0]]), 1e-3, np.array([0, 0, 0, 1.0]))


def scene_of(*primitives):
    return Scene("test", primitives, 0.3, 3.0)
