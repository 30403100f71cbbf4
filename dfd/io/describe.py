"""What the files say of the camera, before anything is decoded, and what `dfd depth` could make of them: `dfd info`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from dfd.io.dualpixel import PairOptions, as_views
from dfd.io.encoding import Encoding, encoding_of, told_profiles
from dfd.io.frames import is_raw
from dfd.io.gather import ImageFile, gather
from dfd.io.inputs import find_inputs
from dfd.io.lenscheck import other_camera
from dfd.io.merge import stated_by_user, tell_once
from dfd.io.scale import missing_lines
from dfd.io.sources import Source, find_profile, make_source
from dfd.lenscurves import MeasuredKappa
from dfd.lensmap import profile_remarks
from dfd.profile import LensProfile
from dfd.settings import CameraSettings, Value


@dataclass(frozen=True)
class Description:
    """One file: its size (H, W) px, every value with sigma and source, the toml lines missing for metric depth.

    others        field -> values that other sources give and that are not used, in the order of their sources
    encoding      how its numbers show light
    orientation   EXIF 1..8; arrays are never rotated;   pixel_aspect   width of a pixel over its height
    """

    path: Path
    shape: tuple[int, int]
    settings: CameraSettings
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    encoding: Encoding
    others: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    orientation: int = 1
    pixel_aspect: float = 1.0


@dataclass(frozen=True)
class Overview:
    """All files in input order, and together.

    source     what `dfd depth` would start from; None for a single file, or where it would stop
    trouble    the one line with which it would stop; "" where it would not
    missing    toml lines that would make the capture metric, each once; warnings likewise
    bad        (path, the one line of its error) of files that cannot be read; they are not among `files`
    profile    the lens profile that was given, or that capture.toml names, or the nominal one
    """

    files: tuple[Description, ...]
    source: Source | None
    trouble: str
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    bad: tuple[tuple[Path, str], ...] = ()
    profile: LensProfile | None = None


def describe(inputs, *, lens=None) -> Overview:
    """Describe a folder, a capture.toml or image files; a single file is enough, and damaged ones do not stop the rest.

    lens   path of a LensProfile, default the one that capture.toml names
    Raises OSError for inputs that are not there and for the profile, ValueError for capture.toml.
    """
    found, source, trouble = find_inputs(inputs, least=1), None, ""
    try:
        found = as_views(found, "auto", PairOptions())
    except (OSError, ValueError) as error:
        trouble = "" if is_raw(found.files[0]) else _one_line(error)  # one RAW file is no capture
    profile = find_profile(lens, found)
    gathered = gather(found, profile, {})
    linear = found.sidecar.linear if found.sidecar else None
    files = tuple(_describe(item, profile, linear) for item in {item.path: item for item in gathered.files}.values())
    bad = tuple((path, _one_line(error)) for path, error in gathered.bad)
    if len(found.files) > 1 and not trouble:
        try:
            source = make_source(found, gathered, profile)
        except (OSError, ValueError) as error:
            trouble = _one_line(error)
    if source is not None:
        return Overview(files, source, trouble, source.missing, source.warnings, profile=profile)
    missing = missing_lines("", [item.settings for item in files], profile, None)
    told = tell_once((item.path.name, text) for item in files for text in item.warnings)
    profiles = told_profiles([item.path for item in files], linear)
    warnings = (*found.warnings, *profiles, *gathered.warnings, *told, *profile_remarks(profile),
                *other_camera(gathered.files, profile))
    return Overview(files, source, trouble, missing, warnings, bad, profile)


def kappa_of(source: Source | None) -> tuple[Value, MeasuredKappa | None] | None:
    """kappa (disparity / coc) of a dual-pixel pair, and what the profile measured it at, None where capture.toml says it.

    None for other captures and where nobody says kappa.  One from a profile is the median over the picture.
    """
    if source is None or source.kind != "dual-pixel" or source.kappa is None:
        return None
    if source.field is None:
        return Value(source.kappa, None, "capture.toml"), None
    measured = source.profile.dual_pixel_kappa
    return Value(measured.value, measured.sigma, f"profile {source.profile.name}"), measured


def _describe(item: ImageFile, profile: LensProfile, linear: bool | None) -> Description:
    """One file; the pixel pitch of the profile stands before that of the file, as where the optics are made."""
    settings, others = item.merged.settings, item.merged.others
    shown = settings
    if profile.pixel_pitch is not None and not (settings.pixel_pitch and stated_by_user(settings.pixel_pitch)):
        beside = (settings.pixel_pitch, *others.get("pixel_pitch", ()))
        others = others | {"pixel_pitch": tuple(value for value in beside if value is not None)}
        shown = replace(settings, pixel_pitch=Value(profile.pixel_pitch, None, f"profile {profile.name}"))
    return Description(item.path, item.shape, shown, profile.missing(settings), item.merged.told(profile),
                       encoding_of(item.path, linear), others, item.orientation, item.grid.aspect)


def _one_line(error) -> str:
    """The message; the system's own errors name no next step, so they get one here."""
    named = isinstance(error, OSError) and error.filename is not None and error.strerror
    text = f"{error.filename}: {error.strerror}; check the path and its access rights" if named else str(error)
    return " ".join(text.split())
