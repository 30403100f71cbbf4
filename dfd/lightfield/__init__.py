"""A light field: one scene through every part of a pupil, from which each kind of capture follows with exact optics."""

from dfd.lightfield.base import LightField
from dfd.lightfield.camera import ViewCamera
from dfd.lightfield.rgbd import from_rgbd

__all__ = ["LightField", "ViewCamera", "from_rgbd"]
