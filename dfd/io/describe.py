"""What each file says of the camera, before anything is decoded: the table of `dfd info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfd.io.exif import read_exif
from dfd.io.frames import image_size
from dfd.io.inputs import find_inputs
from dfd.io.merge import merge
from dfd.profile import LensProfile
from dfd.settings import CameraSettings


@dataclass(frozen=True)
class Description:
    """One file: its size (H, W) px, every value with sigma and source, the toml lines missing for metric depth."""

    path: Path
    shape: tuple[int, int]
    settings: CameraSettings
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(inputs, *, lens=None) -> tuple[Description, ...]:
    """One Description per file of a folder, a capture.toml or image files; a single file is enough.

    lens   path of a LensProfile, default the one that capture.toml names
    Raises OSError for files, ValueError for capture.toml.
    """
    found = find_inputs(inputs, least=1)
    path = lens or (found.sidecar and found.sidecar.lens)
    profile = LensProfile.nominal() if path is None else LensProfile.load(path)
    return tuple(_describe(path, found.sidecar, entry, profile)
                 for path, entry in zip(found.files, found.entries, strict=True))


def _describe(path, sidecar, entry, profile):
    shape = image_size(path)
    merged = merge(path, read_exif(path, shape), sidecar, entry, None)
    conflict = (merged.pitch_conflict,) if merged.pitch_conflict and profile.pixel_pitch is None else ()
    return Description(path, shape, merged.settings, profile.missing(merged.settings), merged.warnings + conflict)
