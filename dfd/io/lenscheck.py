"""Was the lens profile measured with this camera, this lens, and pictures of this size?

fx, blur and the field of a profile count the pixels of the pictures that were calibrated: those of another mode, or cropped
ones, would come out wrong by as much, and nothing would show it.  Sizes are compared as they are stored: upright pictures
turn by their EXIF tag alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfd.io.gather import ImageFile
from dfd.io.merge import tell_once
from dfd.lensfile import section
from dfd.profile import LensProfile


def check_lens(files: Sequence[ImageFile], profile: LensProfile) -> tuple[str, ...]:
    """Warnings about frames of another camera or lens than the profile's, see `other_camera`.

    Raises ValueError, naming file, profile and both sizes, where the measured law is used for pictures of another size.
    """
    size = section(profile.data, "camera").get("raw_size_px")
    odd = [item for item in files if size and tuple(item.shape) != (size[1], size[0])
           and profile.law_coordinate(item.merged.settings) is not None]
    if odd:
        item = odd[0]
        raise ValueError(f"{item.path} is {item.shape[1]} x {item.shape[0]} px, but lens profile {profile.name} was "
                         f"measured on {size[0]:g} x {size[1]:g} px and its fx counts those pixels; use uncropped frames of "
                         "the calibrated mode and file format, or calibrate this one")
    return other_camera(files, profile)


def other_camera(files: Sequence[ImageFile], profile: LensProfile) -> tuple[str, ...]:
    """A warning per model of camera and of lens that is not that of the profile; nothing where either side is silent."""
    found = []
    for part, field, name in (("camera", "model", "camera"), ("lens", "lens_model", "lens")):
        own = section(profile.data, part).get("model")
        for item in files:
            told = getattr(item.merged.settings, field)
            if own and told and _plain(own) != _plain(told):
                found.append((item.path.name, f"taken with {name} {told}, but lens profile {profile.name} was measured with "
                                              f"{own}; its numbers are those of another {name}: calibrate this one"))
    return tell_once(found)


def _plain(model):
    return " ".join(str(model).casefold().split())
