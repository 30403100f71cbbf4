"""The maps from the reference grid to every frame: predicted by the optics, described, read back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dfd.imaging import full_matrix
from dfd.prepare.alignment import Alignment
from dfd.prepare.motions import at_centre, at_level, corner_shift, covered

SCHEMA = "dfd-transforms 1"

MODELS = ("prediction", "similarity", "homography")

_NUMBERS = ("quality", "corner_shift_px", "sigma_px", "parallax_px")
_FLAGS = {"applied": False, "aligned": True}
"""Columns of Alignment that a table holds; flags with what they are where a table does not say."""

_SCALES = (0.5, 2.0)
_LEAST_COVER = 0.25
"""Change of scale, least to most, and share of the reference that a stored map may have; breathing and hands stay within."""


def predicted_breathing(lenses, reference: int, shape: tuple[int, int]) -> np.ndarray:
    """(K, 3, 3) maps reference px -> frame px: magnification fx / fx of the reference about the image centre.

    lenses   K ThinLens; None for any frame predicts nothing: identities
    shape    (H, W) of the frames
    """
    height, width = shape
    maps = np.stack([np.eye(3)] * len(lenses))
    if any(lens is None for lens in lenses):
        return maps
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    for matrix, lens in zip(maps, lenses, strict=True):
        scale = lens.fx / lenses[reference].fx
        matrix[[0, 1], [0, 1]] = scale
        matrix[:2, 2] = centre * (1 - scale)
    return maps


def power_warps(profile, powers, reference: int, reduction: int) -> np.ndarray:
    """(K, 3, 3) maps reference px -> frame px that a lens of variable power makes, as its LensProfile measured them.

    powers      K optical powers [dioptre];   reduction   whole factor by which the images are smaller than the profile's
    Identities where the profile has no power_warp, or where a power is None.
    """
    warps = [None if power is None else profile.power_warp(power) for power in powers]
    if any(warp is None for warp in warps):
        return np.stack([np.eye(3)] * len(powers))
    back = np.linalg.inv(warps[reference])
    return np.stack([at_level(warp @ back, reduction) for warp in warps])


def describe(files, alignment: Alignment) -> list[dict]:
    """One table per frame for transforms.json and the report: everything that `from_json` needs to repeat the alignment.

    file             name of the frame
    matrix           3 x 3 rows, (x, y, 1) on the output grid -> frame, px, centre of the first pixel = (0, 0)
    model            what its residual is: "prediction", "similarity" or "homography"
    quality, corner_shift_px, sigma_px, parallax_px, applied, aligned      as in Alignment; what could not be measured is
                     NaN (in JSON null): of frames left out, and where frames and their neighbours show too little
    """
    return [{"file": Path(file).name, "matrix": alignment.matrices[k].tolist(),
             **{name: float(getattr(alignment, name)[k]) for name in _NUMBERS},
             **{name: bool(getattr(alignment, name)[k]) for name in _FLAGS},
             "model": alignment.model if alignment.applied[k] else MODELS[0]}
            for k, file in zip(range(len(alignment.matrices)), files, strict=True)]


def from_json(content, files, shape: tuple[int, int], *, reference: int | None = None) -> Alignment:
    """The alignment of `files`, in their order, from the content of a transforms.json; an entry may say more.

    {"schema": "dfd-transforms 1", "size_px": {"width": W, "height": H}, "frames": [one table of `describe` per frame]}
    reference    index of the frame whose grid the output has; its stored map must be the identity
    Frames that were left out stay left out; tables of earlier versions, without `aligned`, leave none out.
    Raises ValueError, naming what differs, for another schema, image size, set of files or reference, a reference that is
    left out, or a bad entry: also for a map that mirrors, that scales beyond 0.5 to 2, or that shows another place.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"transforms: schema {found!r} must be {SCHEMA!r}; use the transforms.json of a dfd run")
    size = {"width": int(shape[1]), "height": int(shape[0])}
    if content.get("size_px") != size:
        raise ValueError(f"transforms: made for size_px {content.get('size_px')}, these images are {size}; align anew")
    rows = [_entry(entry, shape) for entry in _in_order(content.get("frames"), [Path(file).name for file in files])]
    columns = {name: np.array([row[name] for row in rows]) for name in ("matrices", *_NUMBERS, *_FLAGS)}
    notes = tuple(f"frame {k}: could not be aligned in the run that these transforms are from; it is left out; align anew "
                  "to try it again" for k in np.flatnonzero(~columns["aligned"]))
    alignment = Alignment(**columns, model=max((row["model"] for row in rows), key=MODELS.index), notes=notes)
    _check_reference(alignment, files, reference)
    return alignment


def _check_reference(alignment, files, reference):
    if not alignment.aligned.any():
        raise ValueError(f"transforms: all {len(files)} frames are left out (aligned: false); align anew")
    if reference is None:
        return
    name = Path(files[reference]).name
    if not alignment.aligned[reference]:
        raise ValueError(f"transforms: the reference {name} is left out (aligned: false), and the maps need its pixel grid; "
                         "choose another with --reference, or align anew")
    if not np.allclose(alignment.matrices[reference], np.eye(3), atol=1e-9):
        raise ValueError(f"transforms: {name} was not the reference of that run; choose the "
                         "same frame with --reference, or align anew")


def _in_order(entries, names):
    """The entries in the order of the names; by position where names repeat."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("transforms: 'frames' must be a list with one table per frame; align anew")
    known = [str(entry.get("file")) for entry in entries]
    if sorted(known) != sorted(names):
        missing, unused = sorted(set(names) - set(known)), [name for name in known if name not in names]
        raise ValueError(f"transforms: {len(known)} {'entry' if len(known) == 1 else 'entries'} for {len(names)} frames; "
                         "without an entry: "
                         f"{missing[:3] or 'none'}, without a frame: {unused[:3] or 'none'}; align anew")
    return entries if len(set(names)) < len(names) else [entries[known.index(name)] for name in names]


def _entry(entry, shape):
    """What the table of one frame says, by the names of Alignment's fields; the map as `matrices`."""
    try:
        numbers = {name: math.nan if entry.get(name) is None else _typed(entry, name, (int, float)) for name in _NUMBERS}
        flags = {name: _typed(entry, name, bool, default) for name, default in _FLAGS.items()}
        model = entry.get("model", MODELS[1] if flags["applied"] else MODELS[0])
        if model not in MODELS:
            raise ValueError(f"model {model!r} is none of {', '.join(MODELS)}")
        gain = 1.0 if entry.get("gain") is None else _typed(entry, "gain", (int, float))
        if not 0 < gain < math.inf:
            raise ValueError(f"gain, the factor of brightness, is {gain:g} and must be positive and finite")
        matrix = full_matrix(_rows(entry["matrix"]))
        if flags["aligned"]:
            _check_map(matrix, shape)
        return {"matrices": matrix, "model": model, **numbers, **flags}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"transforms: frame {entry['file']!r} needs a 3 x 3 'matrix', numbers, and true or false "
                         f"({error}); align anew") from error


def _typed(entry, name, kind, default=None):
    """The entry as a float or a bool; a word such as "no" would count as true, but "inf" is how JSON says infinity."""
    value = entry.get(name, default)
    if kind is not bool and value in ("inf", "-inf"):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r}, not {'true or false' if kind is bool else 'a number'}")
    return value if kind is bool else float(value)


def _rows(matrix):
    """The rows of a matrix as they stand, after checking that they are rows of numbers."""
    if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
        raise ValueError(f"matrix is {matrix!r}, not a list of rows")
    for value in (value for row in matrix for value in row):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"matrix holds {value!r}, not a number")
    if len({len(row) for row in matrix}) > 1:
        raise ValueError("matrix has rows of different lengths")
    return matrix


def _check_map(matrix, shape):
    """Refuse a map that no two frames of one capture have."""
    _, jacobian = at_centre(matrix, shape)
    if not np.linalg.det(jacobian) > 0 or not math.isfinite(corner_shift(matrix, shape)):
        raise ValueError("its map mirrors the image or folds it up")
    least, most = np.linalg.svd(jacobian, compute_uv=False)[::-1]
    if not _SCALES[0] <= least <= most <= _SCALES[1]:
        raise ValueError(f"its map scales by {least:.3g} to {most:.3g}, {_SCALES[0]:g} to {_SCALES[1]:g} is possible")
    cover = covered(matrix, shape)
    if cover < _LEAST_COVER:
        raise ValueError(f"its map shows {cover:.0%} of the reference, at least {_LEAST_COVER:.0%} needed")
