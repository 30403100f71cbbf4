"""What the files say of the camera, before anything is decoded, and what `dfd depth` could make of them: `dfd info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfd.io.exif import read_exif
from dfd.io.frames import image_size
from dfd.io.inputs import Inputs, find_inputs
from dfd.io.merge import merge, tell_once
from dfd.io.scale import missing_lines
from dfd.io.sources import Source, open_source
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


@dataclass(frozen=True)
class Overview:
    """All files in input order, and together.

    source     what `dfd depth` would start from; None for a single file, or where it would stop
    trouble    the one line with which it would stop; "" where it would not
    missing    toml lines that would make the capture metric, each once; warnings likewise
    """

    files: tuple[Description, ...]
    source: Source | None
    trouble: str
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(inputs, *, lens=None) -> Overview:
    """Describe a folder, a capture.toml or image files; a single file is enough.

    lens   path of a LensProfile, default the one that capture.toml names
    Raises OSError for files, ValueError for capture.toml.
    """
    found = find_inputs(inputs, least=1)
    path = lens or (found.sidecar and found.sidecar.lens)
    profile = LensProfile.nominal() if path is None else LensProfile.load(path)
    files = tuple(_describe(path, found.sidecar, entry, profile)
                  for path, entry in zip(found.files, found.entries, strict=True))
    source, trouble = _source(inputs, found, lens)
    if source is not None:
        return Overview(files, source, trouble, source.missing, source.warnings)
    missing = missing_lines("", [item.settings for item in files], profile, None)
    told = tell_once((item.path.name, text) for item in files for text in item.warnings)
    return Overview(files, source, trouble, missing, found.warnings + told)


def _describe(path, sidecar, entry, profile):
    shape = image_size(path)
    merged = merge(path, read_exif(path, shape), sidecar, entry, None)
    return Description(path, shape, merged.settings, profile.missing(merged.settings), merged.told(profile))


def _source(inputs, found: Inputs, lens) -> tuple[Source | None, str]:
    """What `dfd depth` would start from, or why it would stop."""
    if len(found.files) < 2:
        return None, ""
    try:
        return open_source(inputs, lens=lens), ""
    except (OSError, ValueError) as error:
        return None, " ".join(str(error).split())
