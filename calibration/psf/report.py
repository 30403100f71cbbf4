"""What `dfd-calibrate psf` prints: kernels by place and blur, what their model leaves, fall-off, and what was left out."""

from __future__ import annotations

import numpy as np

from calibration.psf.job import PsfField
from calibration.psf.model import PARAMETERS
from calibration.psf.vignetting import Vignetting


def lines(field: PsfField | None, falls: tuple[Vignetting, ...]) -> list[str]:
    """The table of both; either may be missing."""
    told = []
    if field is not None:
        residuals = [node.fit.residual_l2 for node in field.nodes]
        told += [f"{len(field.nodes)} kernels; their model leaves {np.median(residuals):.1%} (median), {max(residuals):.1%} "
                 "(largest) of them",
                 "  f/     x px   y px   coc px  frames  model leaves  core px       rim"]
        told += [_node(node) for node in field.nodes]
        told += [f"  not used: {text}" for text in field.rejected]
    for fall in falls:
        at = "" if fall.focus is None else f", focus {fall.focus:g}"
        told.append(f"vignetting f/{fall.f_number:g}{at}: {fall.corner:.1%} +- {fall.corner_sigma:.1%} in the corner; the "
                    f"light itself sloped by {np.hypot(*fall.gradient):.1%}; blocks lie {fall.rms:.2%} off")
    return told


def _node(node):
    core, rim = node.fit.params[10], node.fit.params[7]
    return (f"  {node.f_number:<5g}{node.place[0]:7.0f}{node.place[1]:7.0f}{node.coc:+9.2f}{len(node.sights):8d}"
            f"{node.fit.residual_l2:13.1%}{core:9.2f}{rim:+9.2f} +- {node.fit.sigma[7]:.2f}")


def as_json_types(field: PsfField | None, falls: tuple[Vignetting, ...]) -> dict:
    """The figures as JSON types, units in the keys."""
    nodes = () if field is None else field.nodes
    return {
        "psf": [{"x_px": node.place[0], "y_px": node.place[1], "f_number": node.f_number, "c_signed_px": node.coc,
                 "frames": [sight.path.name for sight in node.sights], "residual_l2": node.fit.residual_l2,
                 "noise_rel": float(np.mean(node.estimate.residual)),
                 "params": dict(zip(PARAMETERS, node.fit.params.tolist(), strict=True)),
                 "sigma": dict(zip(PARAMETERS, node.fit.sigma.tolist(), strict=True))} for node in nodes],
        "rejected": [] if field is None else list(field.rejected),
        "vignetting": [{"f_number": fall.f_number, "focus": fall.focus, "poly_r2": fall.poly.tolist(),
                        "sigma": [0.0, *np.sqrt(np.diag(fall.covariance)).tolist()], "corner": fall.corner,
                        "corner_sigma": fall.corner_sigma, "light_gradient": fall.gradient.tolist(), "rms_rel": fall.rms,
                        "files": [path.name for path in fall.files]} for fall in falls],
    }
