"""What options of the `dfd` command can be: words to choose from, and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """Capture kinds, as in capture.toml."""

    AUTO = "auto"
    FOCAL_STACK = "focal-stack"
    APERTURE_PAIR = "aperture-pair"
    DUAL_PIXEL = "dual-pixel"
    DIFFERENTIAL_QUAD = "differential-quad"
    VIEWS = "views"


class Device(StrEnum):
    """Where the arithmetic runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Side(StrEnum):
    """On which side of focus the scene lies."""

    NEAR = "near"
    FAR = "far"


class Origin(StrEnum):
    """Where depth is measured from."""

    PUPIL = "pupil"
    SENSOR = "sensor"


class Fit(StrEnum):
    """What `dfd compare` may fit on the reference."""

    NONE = "none"
    OFFSET = "offset"
    AFFINE = "affine"
    MONOTONE = "monotone"


class Quantity(StrEnum):
    """What the numbers of a plain depth file can be."""

    DEPTH = "depth"
    INVERSE_DEPTH = "inverse-depth"
    DISPARITY = "disparity"


class Format(StrEnum):
    """File formats of a simulation."""

    DNG = "dng"
    TIFF = "tiff"
    NPY = "npy"


class Axis(StrEnum):
    """Along which axis of the stored pixels the two views of a dual-pixel pair differ."""

    X = "x"
    Y = "y"


SCENES = "plane, slant, step, sphere, thin, slant-sphere, demo"
PRESETS = "50mm-f2.8, 50mm-f4-12um, macro-100mm, phone, cod"
"""Names that dfd.simulate knows, spelled here so that help need not load it."""

Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="folder to write; must not exist")]
Force = Annotated[bool, typer.Option("--force", help="replace DIR if it is a result of dfd")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
