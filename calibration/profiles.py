"""The content of a new LensProfile file: nothing but its camera, as far as the files of a calibration state it."""

from __future__ import annotations

from datetime import UTC, datetime

from dfd import __version__
from dfd.lensfile import SCHEMA, SCHEMA_VERSION


def new_profile(camera, size: tuple[int, int] | None = None) -> dict:
    """Schema 1 with the `make` and `model` of `camera`, and the `size` (H, W) px of its frames."""
    pixels = {} if size is None else {"raw_size_px": [size[1], size[0]]}
    return {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "dfd-calibrate", "version": __version__},
        "camera": {"make": camera.make, "model": camera.model, **pixels},
        "provenance": {"grade": "C nominal (EXIF)"},
    }
