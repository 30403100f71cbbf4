"""Write what a light field gives as a folder for `dfd depth` and `dfd compare`: frames, capture.toml, truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dfd.capture import Capture
from dfd.io.capturetext import CaptureText
from dfd.io.folders import new_folder
from dfd.io.images import write_tiff
from dfd.io.lytro import LytroStack
from dfd.io.simulated import SCHEMA, TIFF_WHITE, write_sixteen_bit
from dfd.lightfield import LightField
from dfd.lightfield.captures import ROUNDING
from dfd.settings import CameraSettings, Value

_STEMS = {"aperture-pair": ("wide", "narrow"), "dual-pixel": ("left", "right"),
          "differential-quad": ("power_minus", "power_plus", "aperture_minus", "aperture_plus")}
ASSUMED = ("the camera is assumed: nobody measured these numbers; images and depth agree exactly, but the scale of depth is "
           "free (all lengths before the lens, pupil included, may be multiplied by one factor), and so is a projective "
           "stretch along the axis (one number may be added to all inverse depths)")
"""What capture.toml and the terminal say of a virtual camera."""

_NO_NOISE = "no noise added; gain_e_per_dn and read_noise_e stand for the rounding of 8-bit views"


def write_light_capture(capture: Capture, field: LightField, folder, *, signs: dict | None = None,
                        force: bool = False) -> Path:
    """Write a capture that `field` gave: 16-bit TIFF frames, capture.toml with exact optics, truth.tiff (metres, NaN =
    unknown) where the disparity is known, truth.json; return the path of the new folder.

    signs   what the test of the signs said, for truth.json
    Raises OSError when the folder exists (without `force`) or cannot be written.
    """
    camera = field.need_camera()
    stems = _STEMS.get(capture.kind) or [f"frame_{index:02d}" for index in range(len(capture))]
    names = [f"{stem}.tiff" for stem in stems]
    settings = [_settings(view.lens, name) for view, name in zip(capture.views, names, strict=True)]
    reference = len(names) // 2 if capture.kind == "focal-stack" else 0
    noise = capture.views[0].noise
    figures = {"full_well_e": noise.gain, "read_noise_e": noise.read_noise}
    remarks = (*((ASSUMED,) if camera.assumed else ()), *((_NO_NOISE,) if noise == ROUNDING else ()))
    text = CaptureText(
        capture.kind, names, settings, reference, remarks,
        levels=("black_level = 0", f"white_level = {TIFF_WHITE}"), side=getattr(capture, "side", None),
        kappa=getattr(capture, "kappa", None), views=("left", "right") if capture.kind == "dual-pixel" else None,
        roles=[stem.replace("_", "-") for stem in stems] if capture.kind == "differential-quad" else None,
        noise=noise, dn_range=TIFF_WHITE)
    known, (height, width) = field.knows_depth, field.shape
    record = _record(capture.kind, names, "m" if known else None, field.name) | {
        "reference": names[reference], "origin": "pupil", "px_per_dioptre": camera.disparity_rate,
        "zero_disparity_dpt": camera.focus, "camera_assumed": camera.assumed, "convention": field.convention,
        **({"noise": None, "rounding": figures} if noise == ROUNDING else {"noise": figures, "rounding": None}),
        "signs": signs,
        "intrinsics_px": {"fx": camera.fx, "fy": camera.fx, "cx": (width - 1) / 2, "cy": (height - 1) / 2}}
    with new_folder(folder, force=force, marker="truth.json") as temporary:
        for name, image in zip(names, capture.images, strict=True):
            write_sixteen_bit(temporary / name, image)
        (temporary / "capture.toml").write_text(str(text), encoding="utf-8")
        _write_truth(temporary, field.truth.depth if known else None, record)
    return Path(folder)


def write_lytro_stack(stack: LytroStack, folder, *, force: bool = False) -> Path:
    """Write the slices of a Lytro stack as they are (JPEG), capture.toml without optics, and Lytro's own depth as truth.tiff
    in frames of the sweep; return the path of the new folder.  Raises OSError as above."""
    names = [f"frame_{index:02d}.jpg" for index in range(len(stack.slices))]
    settings = [CameraSettings(file=name, focus_coordinate=Value(value, source="Lytro"))
                for name, value in zip(names, stack.lambdas, strict=True)]
    text = CaptureText("focal-stack", names, settings, len(names) // 2, linear=False, remarks=(
        "slices of a Lytro picture; focus_coordinate is Lytro's lambda, relative defocus without a unit: no metres",))
    record = _record("focal-stack", names, "frame", stack.name) | {
        "reference": names[len(names) // 2], "lambda": list(stack.lambdas), "cells": list(stack.depth.shape)}
    with new_folder(folder, force=force, marker="truth.json") as temporary:
        for name, content in zip(names, stack.slices, strict=True):
            (temporary / name).write_bytes(content)
        (temporary / "capture.toml").write_text(str(text), encoding="utf-8")
        _write_truth(temporary, stack.reference(), record)
    return Path(folder)


def _settings(lens, name) -> CameraSettings:
    def value(number):
        return Value(float(number), source="light field")

    return CameraSettings(file=name, make="dfd", model="light field", power=value(lens.power),
                          image_distance=value(lens.image_distance), pupil_diameter=value(lens.pupil_diameter),
                          pixel_pitch=value(lens.pixel_pitch))


def _record(kind, names, unit, scene) -> dict:
    truth = ["truth.tiff"] if unit else []
    return {"schema": SCHEMA, "kind": kind, "unit": unit, "scene": scene,
            "files": [*names, "capture.toml", *truth, "truth.json"]}


def _write_truth(folder, values, record):
    if values is not None:
        write_tiff(folder / "truth.tiff", values.astype(np.float32), metadata=record)
    (folder / "truth.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
