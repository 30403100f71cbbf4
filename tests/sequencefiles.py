"""Sequences of quadruples as files for tests: pages of TIFF and npy, a folder per quadruple, pickles as published."""

import pickle

import numpy as np
import tifffile
from rigquads import IMAGE_DISTANCE, PITCH, POWER, POWER_STEP, PUPIL, PUPIL_STEP, ROLES, codes

LEVELS = {"black": 600, "white": 60000}
NAMES = tuple(role.replace("-", "_") for role in ROLES)
POWERS = (POWER - POWER_STEP, POWER + POWER_STEP, POWER, POWER)
PUPILS = (PUPIL, PUPIL, PUPIL - PUPIL_STEP, PUPIL + PUPIL_STEP)


def toml(*, suffix=".tiff", top="", camera="", frames=("",) * 4):
    """The text of capture.toml: the optics of tests/rigquads.py."""
    tables = [f'[[frames]]\nfile = "{name}{suffix}"\nrole = "{role}"\npower_dpt = {power:.9g}\npupil_diameter_mm = '
              f"{pupil * 1e3:.9g}\n{extra}\n"
              for name, role, power, pupil, extra in zip(NAMES, ROLES, POWERS, PUPILS, frames, strict=True)]
    return (f'kind = "differential-quad"\n{top}\n[camera]\nimage_distance_mm = {IMAGE_DISTANCE * 1e3:g}\npixel_pitch_um = '
            f"{PITCH * 1e6:.9g}\npsf_core_px = 0.3\npsf = \"disk-gaussian\"\n{camera}\n{''.join(tables)}")


def write_pages(folder, quads, *, suffix=".tiff", integers=True, **more):
    """Four files of a page per quadruple; quads are (4, H, W) float32 of light."""
    folder.mkdir()
    levels = f"black_level = {LEVELS['black']}\nwhite_level = {LEVELS['white']}\n" if integers else ""
    stored = np.stack([codes(quad, **LEVELS) if integers else quad for quad in quads])
    for role, name in enumerate(NAMES):
        if suffix == ".npy":
            np.save(folder / f"{name}.npy", stored[:, role])
        else:
            tifffile.imwrite(folder / f"{name}{suffix}", stored[:, role], photometric="minisblack")
    text = toml(suffix=suffix, camera=levels + more.pop("camera", ""), **more)
    (folder / "capture.toml").write_text(text, encoding="utf-8")
    return folder


def write_folders(folder, quads, *, suffix=".tiff", **more):
    """A folder t0, t1, ... per quadruple, each of four images."""
    folder.mkdir()
    for number, quad in enumerate(quads):
        (folder / f"t{number}").mkdir()
        for name, image in zip(NAMES, codes(quad, **LEVELS), strict=True):
            tifffile.imwrite(folder / f"t{number}" / f"{name}{suffix}", image)
    levels = f"black_level = {LEVELS['black']}\nwhite_level = {LEVELS['white']}\n"
    (folder / "capture.toml").write_text(toml(suffix=suffix, top='folders = "t*"', camera=levels, **more), encoding="utf-8")
    return folder


def layout(quads, depths, *, unit=1e-3, convert=lambda image: image, binning=4):
    """The published layout: list[i][aperture][power] of dicts; light follows the pupil's area, blocks of binning^2 px."""
    def shot(image, power, pupil, depth):
        light = image * (pupil / (PUPIL + PUPIL_STEP)) ** 2
        return {"Img": convert(np.kron(light, np.ones((binning, binning), np.float32))), "OP": power - 8.9,
                "Sigma": pupil / 2 / unit, "Loc": (depth - 0.93) / 4e-7}

    items = []
    for quad, depth in zip(quads, depths, strict=True):
        empty = shot(quad[0], POWER, PUPIL, depth)
        item = [[dict(empty) for _ in range(3)] for _ in range(3)]
        for (aperture, power), image, rho, pupil in zip(((1, 0), (1, 2), (0, 1), (2, 1)), quad, POWERS, PUPILS, strict=True):
            item[aperture][power] = shot(image, rho, pupil, depth)
        items.append(item)
    return items


def write_pickle(path, content, protocol=4):
    """The pickle of anything."""
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path
