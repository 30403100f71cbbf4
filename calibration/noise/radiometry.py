"""The job of `dfd-calibrate noise`: flats and darks -> noise per ISO -> the radiometry of a LensProfile."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from calibration.noise.patches import ROI, Patch, file_black, find_files, pair_up, read_patch
from calibration.noise.transfer import (
    MOST_CORRELATION,
    MOST_SATURATED,
    Pair,
    PhotonTransfer,
    fit_photon_transfer,
    linearity,
    measure_dark,
    measure_pair,
)
from dfd import __version__
from dfd.io.integrity import sha256
from dfd.lensfile import SCHEMA, SCHEMA_VERSION, section

LEAST_PAIRS = 3
LEAST_SPAN = 2.0
_MOST_BLACK_ERROR = 0.5  # DN
_MOST_NONLINEARITY = 1.0  # %
_MOST_CHI2 = 2.0
_LEAST_READ_DN = 0.4
_ROLES = {"flat": "noise_flat", "dark": "noise_dark"}


@dataclass(frozen=True, eq=False)
class IsoNoise:
    """The noise of one ISO setting.

    black        (P,) DN, the mean of the darks, or `black_file`, what the file states, where no dark was usable
    white        DN, as the file states;   linearity_pct   see noise.linearity
    flats, darks the pairs that were used;   rejected   one sentence per pair or file that was not, with its reason
    """

    iso: float
    transfer: PhotonTransfer
    black: np.ndarray
    black_file: np.ndarray
    white: float
    linearity_pct: float | None
    flats: tuple[Pair, ...]
    darks: tuple[Pair, ...]
    rejected: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class NoiseShoot:
    """Every ISO of one camera, rising, the camera, and the files that were measured: (path, "flat" or "dark")."""

    results: tuple[IsoNoise, ...]
    make: str | None
    model: str | None
    size: tuple[int, int]
    raw: bool
    files: tuple[tuple[Path, str], ...]


def calibrate_noise(flats, darks=(), *, iso: float | None = None, roi: int = ROI, progress=None) -> NoiseShoot:
    """Measure the noise of a camera.

    flats, darks   files and folders; two consecutive files of one exposure (natural order of names) are a pair
    iso            the ISO of files that do not state it;   roi   side of the central square that is measured [px]
    progress       called with (stage, done, total)
    Raises OSError for files; ValueError for mixed cameras, an unknown ISO, or too few usable pairs, naming the reasons.
    """
    found = [(path, role) for role, inputs in (("flat", flats), ("dark", darks)) for path in find_files(inputs)]
    twice = next((path for path, role in found if role == "dark" and (path, "flat") in found), None)
    if twice is not None:
        raise ValueError(f"{twice}: given as a flat and as a dark; give every file once")
    patches = {"flat": [], "dark": []}
    for index, (path, role) in enumerate(found):
        patches[role].append(read_patch(path, roi=roi))
        if progress is not None:
            progress("read", index + 1, len(found))
    if not patches["flat"]:
        raise ValueError("no flats: give at least three pairs of evenly lit frames at different exposures")
    first = patches["flat"][0]
    _check_one_camera(first, patches["flat"][1:] + patches["dark"])
    groups = {role: _by_iso(patches[role], iso) for role in patches}
    strangers = sorted(set(groups["dark"]) - set(groups["flat"]))
    if strangers:
        raise ValueError(f"ISO {strangers[0]:g}: {groups['dark'][strangers[0]][0].path.name} is a dark of an ISO without "
                         "flats; give flats of this ISO too, or leave it out")
    results = tuple(_measure_iso(number, groups["flat"][number], groups["dark"].get(number, []))
                    for number in sorted(groups["flat"]))
    return NoiseShoot(results, first.settings.make, first.settings.model, first.size, first.raw, tuple(found))


def _check_one_camera(first: Patch, others):
    for other in others:
        for what, one, two in (("size [px]", first.size[::-1], other.size[::-1]),
                               ("planes", len(first.planes), len(other.planes)),
                               ("file format", first.path.suffix.lower(), other.path.suffix.lower()),
                               ("white level [DN]", first.white, other.white),
                               ("camera", first.settings.model, other.settings.model)):
            if one != two:
                raise ValueError(f"{other.path}: {what} {two}, but {first.path.name} has {one}; give the files of one "
                                 "camera in one mode")


def _by_iso(patches, given) -> dict[float, list[Patch]]:
    groups: dict[float, list[Patch]] = {}
    for patch in patches:
        stated = patch.settings.iso.value if patch.settings.iso else given
        if stated is None:
            raise ValueError(f"{patch.path}: no ISO in EXIF; pass --iso with the ISO setting of these files")
        groups.setdefault(float(stated), []).append(patch)
    return groups


def _measure_iso(iso, flats, darks) -> IsoNoise:
    stated = file_black((darks or flats)[0])
    dark_pairs, rejected = _good_darks(darks)
    black = np.mean([patch.means for pair, _ in dark_pairs for patch in pair], axis=0) if dark_pairs else stated
    pairs, alone = pair_up(flats)
    rejected += alone
    good = []
    for one, two in pairs:
        pair = measure_pair(one.planes, two.planes, black=black, white=one.white, name=_names(one, two),
                            exposure=one.settings.exposure and one.settings.exposure.value)
        flaw = pair.flaw()
        if flaw is None:
            good.append(pair)
        else:
            rejected.append(f"{pair.name}: {flaw}")
    _check_enough(iso, good, rejected)
    measured_darks = tuple(pair for _, pair in dark_pairs)
    transfer = fit_photon_transfer((*good, *measured_darks))
    result = IsoNoise(iso, transfer, black, stated, flats[0].white, _linearity(good, flats, black), tuple(good),
                      measured_darks, tuple(rejected), ())
    return replace(result, warnings=tuple(_warnings(result, flats[0].raw)))


def _good_darks(patches):
    """[((patch, patch), measured pair), ...] of the usable dark pairs, and why others are not usable."""
    pairs, rejected = pair_up(patches)
    good = []
    for one, two in pairs:
        pair = measure_dark(one.planes, two.planes, name=_names(one, two))
        if pair.saturated > MOST_SATURATED:
            rejected.append(f"{pair.name}: dark cut off at 0 DN ({pair.saturated:.0%} of the pixels), so its noise is not "
                            "whole; the camera subtracts its black level")
        else:
            good.append(((one, two), pair))
    return good, rejected


def _names(one, two):
    return f"{one.path.name} + {two.path.name}"


def _check_enough(iso, pairs, rejected):
    reasons = f"; not used: {'; '.join(rejected)}" if rejected else ""
    if len(pairs) < LEAST_PAIRS:
        raise ValueError(f"ISO {iso:g}: usable flat pairs: {len(pairs)}, at least {LEAST_PAIRS} of different exposure are "
                         f"needed (12 are good){reasons}")
    levels = [float(pair.level.mean()) for pair in pairs]
    if max(levels) < LEAST_SPAN * min(levels):
        raise ValueError(f"ISO {iso:g}: flats from {min(levels):.4g} to {max(levels):.4g} DN above black, the brightest "
                         f"must have at least {LEAST_SPAN:g} times the darkest (20 times is good); vary the exposure"
                         f"{reasons}")


def _linearity(pairs, flats, black):
    """The worst plane; None where the exposures do not tell."""
    stops = {patch.settings.f_number and patch.settings.f_number.value for patch in flats}
    if len(stops) != 1 or any(pair.exposure is None for pair in pairs):
        return None
    exposures = [pair.exposure for pair in pairs]
    found = [linearity([pair.level[plane] for pair in pairs], exposures, full=flats[0].white - black[plane])
             for plane in range(len(black))]
    return max((value for value in found if value is not None), default=None)


def _warnings(result: IsoNoise, raw):
    label = f"ISO {result.iso:g}"
    error = result.black - result.black_file
    worst = float(error[np.argmax(np.abs(error))])
    if not result.darks:
        yield f"{label}: no usable pair of darks; black level as the file states it, read noise from the flats alone"
    elif abs(worst) > _MOST_BLACK_ERROR:
        line = ", ".join(f"{level:.2f}" for level in (result.black if raw else [result.black.mean()]))
        yield (f"{label}: the darks lie {worst:+.2f} DN from the black level of the file (at most {_MOST_BLACK_ERROR} DN is "
               f"fine; stray light, or the file is wrong); black_level = [{line}] in [camera] of capture.toml corrects it")
    if result.linearity_pct is not None and result.linearity_pct > _MOST_NONLINEARITY:
        yield (f"{label}: brightness deviates by {result.linearity_pct:.1f} % from a line in exposure (at most "
               f"{_MOST_NONLINEARITY:g} %); was the light constant?")
    if result.transfer.chi2_dof > _MOST_CHI2:
        yield (f"{label}: the pairs scatter more than their noise (chi2 {result.transfer.chi2_dof:.1f} per degree of "
               f"freedom, at most {_MOST_CHI2:g}); the sigmas are widened")
    read_dn = result.transfer.read_noise_e / result.transfer.gain_e_per_dn
    if read_dn < _LEAST_READ_DN:
        yield (f"{label}: read noise is {read_dn:.2f} DN, below {_LEAST_READ_DN} DN the steps of the converter hide it; "
               "it is more uncertain than its sigma says")
    correlation = max((pair.correlation for pair in (*result.flats, *result.darks)), key=abs)
    if abs(correlation) > MOST_CORRELATION:
        yield (f"{label}: the noise of neighbours is correlated ({correlation:+.2f}, at most {MOST_CORRELATION:g}); these "
               "files are filtered or demosaiced, and their noise is not the sensor's")


def into_profile(shoot: NoiseShoot, data: dict | None = None) -> dict:
    """`data` (the content of a LensProfile file; None: a new one) with this noise in it; `data` itself is not changed.

    Entries of the same ISO are replaced, everything else is kept.  Raises ValueError for a profile of another camera.
    """
    data = new_profile(shoot) if data is None else copy.deepcopy(data)
    other = section(data, "camera").get("model")
    if other and shoot.model and other != shoot.model:
        raise ValueError(f"the profile is of camera {other}, the flats are of {shoot.model}; write another file with -o")
    radiometry = data["radiometry"] = data.get("radiometry") or {}
    measured = [_entry(result, shoot.raw) for result in shoot.results]
    replaced = {entry["iso"] for entry in measured}
    kept = [entry for entry in radiometry.get("iso") or [] if entry.get("iso") not in replaced]
    radiometry["iso"] = sorted(kept + measured, key=lambda entry: entry.get("iso") or 0)
    base = shoot.results[0]
    if radiometry["iso"][0] is measured[0]:  # black, white and linearity are those of the lowest ISO
        radiometry["black_dn"] = [round(float(level), 3) for level in base.black]
        radiometry["white_dn"] = base.white
        radiometry["linearity_max_pct"] = None if base.linearity_pct is None else round(base.linearity_pct, 3)
    provenance = data["provenance"] = data.get("provenance") or {}
    inputs = [{"file": path.name, "sha256": sha256(path), "role": _ROLES[role]} for path, role in shoot.files]
    provenance["inputs"] = [item for item in provenance.get("inputs") or [] if item not in inputs] + inputs
    return data


def new_profile(shoot) -> dict:
    """A LensProfile file that holds nothing but its camera: make, model and size (H, W) [px] of `shoot`."""
    return {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "dfd-calibrate", "version": __version__},
        "camera": {"make": shoot.make, "model": shoot.model, "raw_size_px": [shoot.size[1], shoot.size[0]]},
        "provenance": {"grade": "C nominal (EXIF)"},
    }


def _entry(result, raw):
    transfer = result.transfer
    return {
        "iso": result.iso, "gain_e_per_dn": transfer.gain_e_per_dn, "read_noise_e": transfer.read_noise_e, "prnu_pct": None,
        "sigma": {"gain_e_per_dn": transfer.gain_sigma, "read_noise_e": transfer.read_noise_sigma},
        "file_format": "raw" if raw else "tiff", "chi2_dof": round(transfer.chi2_dof, 3),
        "photon_transfer": _points(result),
        "pairs": {"flat": len(result.flats), "dark": len(result.darks), "rejected": len(result.rejected)},
    }


def _points(result):
    """Brightness and variance of every plane of every pair, six digits each; darks lie at zero."""
    pairs = (*result.flats, *result.darks)
    return {name: [float(f"{value:.6g}") for pair in pairs for value in values(pair)]
            for name, values in (("level_dn", lambda pair: pair.level), ("variance_dn2", lambda pair: pair.variance))}
