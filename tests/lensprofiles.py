"""A calibrated lens made up from the focus model, with the measurements of its shoot: what a report shows, known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.focus.measurements import FocusData
from calibration.psf.model import MODEL, kernel
from calibration.sidecar import save
from dfd.lensfile import write

SIZE = (4000, 2666)  # W, H px
HALF_DIAGONAL = float(np.hypot(*SIZE) / 2)
LAW = {"a": 0.35e-3, "b": 1.35e-6, "d": -1.2e-4}  # 1/mm, 1/mm per step, 1/step
FX = (8000.0, 0.55, 1e-5)
PUPILS = {1.8: 0.0276, 2.8: 0.0178, 4.0: 0.0125}  # m
FIELD = (0.010, -0.004, 0.050, -0.020)  # dioptre
AXIAL = {"R": -0.012, "B": 0.009}
HEIGHT = 0.063  # m, entrance pupil before the sensor mark
TAPE = 1 / np.linspace(1 / 0.65, 1 / 2.5, 8) + HEIGHT
JITTER = 0.3


def law(steps):
    return 1000 * (LAW["a"] + LAW["b"] * steps) / (1 + LAW["d"] * steps)


def coordinate_of(focus):
    """The step at which the lens is focused at so many dioptres."""
    return (focus / 1000 - LAW["a"]) / (LAW["b"] - LAW["d"] * focus / 1000)


def measurements(rng, *, frames=13, edges=30, half=40.0) -> FocusData:
    """The shoot: `frames` steps about best focus at every distance, up to `half` px of blur."""
    station, coordinate, f_number, rows = [], [], [], []
    for index, tape in enumerate(TAPE):
        depth = tape - HEIGHT
        middle = coordinate_of(1 / depth)
        rate = np.polynomial.polynomial.polyval(middle, FX) * PUPILS[1.8]
        reach = half / rate / abs(law(middle + 1) - law(middle))
        for s in np.round(np.linspace(middle - reach, middle + reach, frames)):
            frame = len(station)
            station, coordinate, f_number = [*station, index], [*coordinate, s], [*f_number, 1.8]
            place = rng.uniform(-0.45, 0.45, (edges, 2)) * SIZE
            channel = np.arange(edges) % 3
            fx, (u, v) = np.polynomial.polynomial.polyval(s, FX), place.T / HALF_DIAGONAL
            r2 = u**2 + v**2
            focus = law(s + JITTER * rng.standard_normal()) + np.stack([u, v, r2, r2**2], 1) @ FIELD \
                + np.array([AXIAL["R"], 0.0, AXIAL["B"]])[channel]
            coc = np.abs(fx * PUPILS[1.8] * (1 / depth - focus)) + rng.normal(0, 0.03, edges)
            rows.append((np.full(edges, frame), channel, place, place * depth / fx, np.abs(coc), np.full(edges, 0.03)))
    station, coordinate = np.array(station), np.array(coordinate)
    scale = np.polynomial.polynomial.polyval(coordinate, FX) / (TAPE[station] - HEIGHT)
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return FocusData(TAPE.copy(), np.full(TAPE.size, 1e-3), station, coordinate, np.array(f_number),
                     scale * (1 + rng.normal(0, 2e-5, scale.size)), 2e-5 * scale, np.zeros((len(station), 2)), *columns)


def covariance():
    """A covariance of the size that a home calibration has."""
    names = ["a", "b", "d", "fx0", "fx1", "fx2", "z0", *(f"D_{stop:g}" for stop in PUPILS)]
    sigma = np.array([2e-7, 3e-10, 2e-8, 4.0, 2e-3, 1e-6, 0.7, 0.02, 0.02, 0.02])
    return names, np.diag(sigma**2).tolist()


def kernels(count=12, size=41):
    """((n, s, s) measured kernels, (n, 4) nodes, list of parameters): tilted discs with a rim, and noise."""
    rng, places = np.random.default_rng(1), np.linspace(-1800, 1800, count)
    coc = np.where(np.arange(count) % 2, 1, -1) * np.linspace(6, 30, count)
    params = [[0, 0, abs(one) / 2, abs(one) / 2.2, 0.0, 0.1, 0.0, 0.3, 0.0, 0.0, 0.7] for one in coc]
    fitted = np.stack([kernel(numbers, size) for numbers in params])
    measured = fitted + 0.03 * fitted.max(axis=(1, 2), keepdims=True) * rng.standard_normal(fitted.shape)
    return measured.astype(np.float32), np.stack([places, 0.4 * places, np.full(count, 1.8), coc], 1), params


def profile() -> dict:
    """Everything that a profile may hold."""
    (names, matrix), (_, nodes, params) = covariance(), kernels()
    level = np.geomspace(100, 12000, 10)
    steps = [float(coordinate_of(1 / (tape - HEIGHT))) for tape in TAPE]
    variance = level / 0.3 + 100.0
    return {
        "schema": "dfd-lensprofile", "schema_version": "1.0.0", "created_utc": "2026-11-21T12:00:00+00:00",
        "tool": {"name": "dfd-calibrate focus", "version": "1"},
        "camera": {"make": "Acme", "model": "M1", "pixel_pitch_um": 6.0, "raw_size_px": list(SIZE)},
        "lens": {"make": "Acme", "model": "50 mm f/1.8", "focal_nominal_mm": 50},
        "validity": {"z_from_ep_mm": [650.0, 2500.0], "f_numbers": list(PUPILS), "c_abs_px": [0, 45],
                     "focus_coordinate": [min(steps) - 150, max(steps) + 150]},
        "reference": {"depth_origin": "entrance_pupil", "z_ep_from_sensor_mm": {"poly": [1e3 * HEIGHT], "sigma": 0.7},
                      "channel": "G"},
        "focus": {"coordinate": "encoder_step", "law": "moebius_spline", "a_per_mm": LAW["a"], "b_per_mm_per_unit": LAW["b"],
                  "d_per_unit": LAW["d"], "spline": {"knots": [], "rel": []}, "jitter_sigma_unit": JITTER,
                  "sigma": {"a_per_mm": 2e-7, "b_per_mm_per_unit": 3e-10, "d_per_unit": 2e-8}},
        "projection": {"fx_px_poly": list(FX), "fx_sigma_px": [4.0, 2e-3, 1e-6], "cx_px": 1999.5, "cy_px": 1332.5},
        "aperture": [{"f_number_marked": stop, "diameter_eff_mm": 1e3 * diameter, "diameter_sigma_mm": 0.02,
                      "defined_with": "disc_gauss_v1"} for stop, diameter in PUPILS.items()],
        "field": {"focus_offset_dpt": {"terms": ["x", "y", "r2", "r4"], "coef": list(FIELD), "sigma": [5e-4] * 4,
                                       "half_diagonal_px": HALF_DIAGONAL},
                  "axial_colour_dpt": {**AXIAL, "sigma": {"R": 6e-4, "B": 6e-4}}},
        "psf": {"core_px": 0.62, "core_sigma_px": 0.01, "model": MODEL, "nonparam": "npz:psf/kernels",
                "nodes": [{"x": x, "y": y, "f_number": stop, "c_signed_px": coc, "params": params, "residual_l2": 0.031}
                          for (x, y, stop, coc), params in zip(nodes.tolist(), params, strict=True)]},
        "radiometry": {
            "black_dn": [512.0, 512.1, 511.9, 512.0], "white_dn": 16383, "linearity_max_pct": 0.4,
            "iso": [{"iso": 100, "gain_e_per_dn": 0.3, "read_noise_e": 3.0, "file_format": "raw",
                     "sigma": {"gain_e_per_dn": 5e-4, "read_noise_e": 7e-3},
                     "photon_transfer": {"level_dn": [0.0, *level], "variance_dn2": [100.0, *variance]}}],
            "vignetting": [{"f_number": 1.8, "poly_r2": [1, -0.6, 0.1]}, {"f_number": 4.0, "poly_r2": [1, -0.2, 0.0]}]},
        "covariance": {"names": names, "matrix": matrix},
        "quality": {"chi2_dof": 1.04, "n_frames": 104, "n_rejected": 0, "loo_depth_rms_pct": 0.08, "doubts": []},
        "provenance": {"grade": "A measured", "inputs": [{"file": "d0650/f0.dng", "sha256": "0" * 64, "role": "focus"}]},
    }


def write_profile(path, data=None, *, arrays=True) -> Path:
    """`data` (None: `profile()`) at `path`, with its sidecar."""
    data = profile() if data is None else data
    if arrays:
        measured, nodes, _ = kernels()
        stored = {f"focus/{name}": values for name, values in measurements(np.random.default_rng(4)).arrays().items()}
        data = save(path, data, stored | {"psf/kernels": measured, "psf/nodes": nodes})
    write(data, path)
    return Path(path)
