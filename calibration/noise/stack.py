"""Noise without flats: what the frames of one capture tell of gain and read noise, labelled as the estimate that it is.

The smoothest blocks of defocused pictures are noise and little else (`dfd.noise.estimate`).  Every place of the Bayer
pattern is a plane of its own, so nothing is filtered; the planes of all frames span the brightnesses that the line
var = K m + (K r)^2 needs.  Its 1-sigma is the scatter over resampled pieces of the frames, at least what fine texture does
to such an estimate (15 % of gain, 30 % of read noise), and for read noise what the photons of the darkest blocks hide:

    sigma(r^2) = 15 % of the electrons in the darkest blocks

Where that sigma exceeds r itself, only r < r + sigma is known: stated are the middle of that range and half of it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.noise.radiometry import new_profile
from dfd.imaging import reduce
from dfd.io.frames import Frame, is_raw
from dfd.io.images import default_linear, file_format, read_image
from dfd.io.integrity import sha256
from dfd.io.raw import read_mosaic
from dfd.io.sources import open_source
from dfd.lensfile import section
from dfd.noise import bands, estimate

METHOD = "estimate-from-stack"
"""`method` of such an entry of radiometry.iso; a measured one has none."""

GAIN_SIGMA, READ_SIGMA = 0.15, 0.30
"""Least relative 1-sigma: what fine texture that was never out of focus does to the estimate."""

_FRAMES, _PIXELS = 8, 6e6
_LEAST_PIECES, _NARROWEST = 16, 36
_REPLICATES, _SEED = 24, 20261121
_LEAST_WHITE = 1023  # DN; a file of 8 bits is developed, never linear
_CORRELATED = 0.05
_LEAST_SPAN = 3.0
_BLOCK = 16


@dataclass(frozen=True, eq=False)
class StackNoise:
    """Estimated noise of one ISO setting.

    gain_e_per_dn, read_noise_e   e-/DN, e- rms, and their 1-sigma;   scatter   relative 1-sigma of gain and 1-sigma of read
                                  noise [e-] over resampled pieces alone
    read_noise_below   e- rms, where only that limit (1-sigma) is known: read noise and sigma are half of it; else None
    levels       (least, most) brightness of blocks of 16 x 16 px [share of white];   size   (H, W) px of a frame
    raw          RAW files, else TIFF;   files   every frame of the capture;   used   of how many the noise was taken
    """

    iso: float
    gain_e_per_dn: float
    gain_sigma: float
    read_noise_e: float
    read_noise_sigma: float
    read_noise_below: float | None
    scatter: tuple[float, float]
    levels: tuple[float, float]
    make: str | None
    model: str | None
    size: tuple[int, int]
    raw: bool
    files: tuple[Path, ...]
    used: int
    warnings: tuple[str, ...]


def estimate_stack_noise(stack, *, iso: float | None = None, progress=None) -> StackNoise:
    """Estimate the noise of a camera from one capture.

    stack      a folder, a capture.toml or RAW or 16-bit TIFF files of undeveloped values, of one ISO
    iso        the ISO of files that do not state it;   progress   called with (stage, done, total)
    Raises OSError for files; ValueError for developed pictures, mixed or unknown ISO, and frames that are too small.
    """
    frames = _frames(stack)
    number = _one_iso(frames, iso)
    chosen = [frames[index] for index in np.unique(np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).astype(int))]
    pieces, ranges = [], []
    for index, frame in enumerate(chosen):
        planes, dn_range = _read(frame)
        share = int(_PIXELS / (len(chosen) * len(planes)))
        pieces.append(np.concatenate([bands(plane, share, first=index) for plane in planes]))
        ranges.append(dn_range)
        if progress is not None:
            progress("read", index + 1, len(chosen))
    raw, cut = is_raw(chosen[0].path), _cut(np.concatenate(pieces))
    found, gains, reads = _estimates(cut, None if not raw else (1.0,))
    dn_range = float(np.mean(ranges))
    scatter = float(np.std(gains, ddof=1)) / found.gain, float(np.std(reads, ddof=1))
    levels = tuple(float(level) for level in np.nanpercentile(np.stack([reduce(piece, _BLOCK) for piece in cut]), (1, 99)))
    hidden = math.sqrt(found.read_noise**2 + GAIN_SIGMA * max(levels[0], 0.0) * found.gain) - found.read_noise
    settings = chosen[0].settings
    read, read_sigma = found.read_noise, math.hypot(scatter[1], READ_SIGMA * found.read_noise, hidden)
    below = read + read_sigma if read_sigma > read else None
    if below is not None:
        read = read_sigma = below / 2
    return StackNoise(
        number, found.gain / dn_range, found.gain / dn_range * math.hypot(scatter[0], GAIN_SIGMA), read, read_sigma, below,
        scatter, levels, settings.make, settings.model, _size(chosen[0], planes), raw,
        tuple(frame.path for frame in frames), len(chosen), tuple(_warnings(number, below, levels, found.taps)))


def _frames(stack) -> list[Frame]:
    """One Frame per file of the capture."""
    frames = list({frame.path: frame for frame in open_source(stack).frames}.values())
    if len({is_raw(frame.path) for frame in frames}) > 1:
        raise ValueError(f"{frames[0].path.parent}: RAW files and TIFF in one capture; their DN are different units, leave "
                         "one kind out")
    return frames


def _one_iso(frames, given) -> float:
    stated = {frame.settings.iso.value if frame.settings.iso else given for frame in frames}
    if None in stated:
        name = next(frame.name for frame in frames if frame.settings.iso is None)
        raise ValueError(f"{name}: no ISO in EXIF; pass --iso with the ISO setting of these files")
    if len(stated) > 1:
        raise ValueError(f"frames of ISO {', '.join(f'{number:g}' for number in sorted(stated))}; noise belongs to one ISO: "
                         "give the frames of one setting")
    return float(stated.pop())


def _read(frame):
    """((P, h, w) float32 planes, 0 = black, 1 = white, NaN = saturated; white - black [DN])."""
    if is_raw(frame.path):
        mosaic = read_mosaic(frame.path, black_level=frame.black_level, white_level=frame.white_level)
        if mosaic.pattern is None or len(mosaic.pattern) != 2:
            raise ValueError(f"{frame.path}: the sensor has no 2x2 mosaic; noise is estimated on its planes, give 16-bit "
                             "TIFF of undeveloped values")
        return np.stack([mosaic.values[:mosaic.values.shape[0] // 2 * 2, :mosaic.values.shape[1] // 2 * 2][y::2, x::2]
                         for y in (0, 1) for x in (0, 1)]), mosaic.dn_range
    if file_format(frame.path) != "tiff" or not (frame.linear and default_linear(frame.path)):
        raise ValueError(f"{frame.path}: developed values; noise is estimated on what the sensor delivered: RAW or DNG "
                         "files, or 16-bit TIFF of undeveloped values")
    picture = read_image(frame.path, linear=True, black_level=frame.black_level, white_level=frame.white_level)
    if picture.dn_range < _LEAST_WHITE:
        raise ValueError(f"{frame.path}: white is {picture.dn_range:g}, at least {_LEAST_WHITE} DN are needed (a float "
                         "TIFF?); noise is counted in DN, give the integers of the camera as 16-bit TIFF")
    values = picture.values
    return (values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)), picture.dn_range


def _size(frame, planes):
    """(H, W) px of the whole frame."""
    factor = 2 if is_raw(frame.path) else 1
    return planes.shape[1] * factor, planes.shape[2] * factor


def _cut(pieces):
    """(n, h, w): the pieces, of few the parts, so that resampling has enough of them."""
    for axis in (2, 1):
        parts = min(-(-_LEAST_PIECES // len(pieces)), pieces.shape[axis] // _NARROWEST)
        if parts > 1:
            size = pieces.shape[axis] // parts
            pieces = np.concatenate([np.take(pieces, range(k * size, (k + 1) * size), axis) for k in range(parts)])
    return pieces


def _estimates(pieces, taps):
    """(Noise of all pieces, gains and read noises of resamplings of them)."""
    found = estimate(pieces, taps=taps)
    rng = np.random.default_rng(_SEED)
    resampled = [estimate(pieces[rng.integers(0, len(pieces), len(pieces))], taps=found.taps) for _ in range(_REPLICATES)]
    return found, np.array([item.gain for item in resampled]), np.array([item.read_noise for item in resampled])


def _warnings(iso, below, levels, taps):
    label = f"ISO {iso:g}"
    yield (f"{label}: an estimate from the pictures of one capture, within 15 to 30 %; pairs of flats and darks measure the "
           "noise to half a percent (dfd-calibrate noise FLATS --dark DARKS)")
    if levels[1] < _LEAST_SPAN * max(levels[0], 1e-9):
        yield (f"{label}: the frames show brightnesses from {levels[0]:.1%} to {levels[1]:.1%} of white alone (a factor of "
               f"{_LEAST_SPAN:g} is needed); gain and read noise are hardly told apart")
    if below is not None:
        yield (f"{label}: read noise is not told from zero by these frames, it is below {below:.2g} e-; the profile states "
               f"{below / 2:.2g} +- {below / 2:.2g} e-, darks measure it")
    if len(taps) > 1 and taps[0] > _CORRELATED:
        yield (f"{label}: the noise of neighbours is correlated; these files are filtered or demosaiced, and the estimate "
               "is that of their pixels, not of the sensor")


def into_profile(found: StackNoise, data: dict | None = None, *, replace: bool = False) -> dict:
    """`data` (the content of a LensProfile file; None: a new one) with this estimate in it; `data` itself is not changed.

    An earlier estimate of the same ISO and kind of file gives way, a measured entry only with `replace`.  Raises ValueError
    for one that must stay and for a profile of another camera.
    """
    data = new_profile(found) if data is None else copy.deepcopy(data)
    other = section(data, "camera").get("model")
    if other and found.model and other != found.model:
        raise ValueError(f"the profile is of camera {other}, the frames are of {found.model}; write another file with -o")
    entry = as_entry(found)
    radiometry = data["radiometry"] = data.get("radiometry") or {}
    same = [old for old in radiometry.get("iso") or [] if _same(old, entry)]
    measured = next((old for old in same if old.get("method") != METHOD), None)
    if measured is not None and not replace:
        raise ValueError(f"ISO {found.iso:g}: the profile holds a measured gain ({measured.get('gain_e_per_dn'):.4g} "
                         "e-/DN), better than this estimate; pass --replace to write it all the same")
    kept = [old for old in radiometry.get("iso") or [] if old not in same]
    radiometry["iso"] = sorted([*kept, entry], key=lambda item: item.get("iso") or 0)
    provenance = data["provenance"] = data.get("provenance") or {}
    inputs = [{"file": path.name, "sha256": sha256(path), "role": "noise_stack"} for path in found.files]
    provenance["inputs"] = [item for item in provenance.get("inputs") or [] if item not in inputs] + inputs
    return data


def _same(old, entry):
    return (math.isclose(old.get("iso") or 0, entry["iso"], rel_tol=1e-6)
            and (old.get("file_format") or "raw") == entry["file_format"])


def as_entry(found: StackNoise) -> dict:
    """The entry of radiometry.iso, with its method; dfd reads it like any other."""
    return {
        "iso": found.iso, "gain_e_per_dn": found.gain_e_per_dn, "read_noise_e": found.read_noise_e, "prnu_pct": None,
        "sigma": {"gain_e_per_dn": found.gain_sigma, "read_noise_e": found.read_noise_sigma},
        "file_format": "raw" if found.raw else "tiff", "method": METHOD, "frames": found.used,
    }
