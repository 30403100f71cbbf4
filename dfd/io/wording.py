"""Camera values and lengths as a photographer writes them: 50 mm, f/2.8, 1/125 s, 0.55 m; files keep SI."""

from __future__ import annotations

import math

PLUS_MINUS, INFINITY, MU = "\N{PLUS-MINUS SIGN}", "\N{INFINITY}", "\N{GREEK SMALL LETTER MU}"

CAMERA = {
    "focal_length_m": ("focal length", "mm", 1e-3), "f_number": ("aperture", "", 1.0),
    "pupil_diameter_m": ("pupil diameter", "mm", 1e-3), "pixel_pitch_m": ("pixel pitch", f"{MU}m", 1e-6),
    "focus_distance_m": ("focus distance", "m", 1.0), "focus_dpt": ("focus", "dioptre", 1.0),
    "focus_coordinate": ("focus coordinate", "", 1.0), "stage_position_m": ("rail position", "mm", 1e-3),
    "power_dpt": ("optical power", "dioptre", 1.0), "image_distance_m": ("image distance", "mm", 1e-3),
    "exposure_s": ("exposure", "s", 1.0), "iso": ("ISO", "", 1.0),
}
"""Key of a camera value in result.json -> its name, the unit shown, and that unit's size in the key's own."""

_FRACTION = 0.3  # s; shorter exposures read as 1/125 s


def spoken(key: str, value: float, sigma: float | None = None) -> str:
    """One camera value with its 1-sigma: spoken("f_number", 2.8, 0.1) is "f/2.8 +- 0.1", with the real sign."""
    _, unit, size = CAMERA[key]
    if math.isinf(value):
        return INFINITY
    if key == "exposure_s":
        return _exposure(value)
    number = f"{'f/' if key == 'f_number' else ''}{value / size:.5g}"
    spread = "" if sigma is None else f" {PLUS_MINUS} {sigma / size:.2g}"
    return f"{number}{spread} {unit}".rstrip()


def _exposure(seconds):
    times = 1 / seconds if 0 < seconds < _FRACTION else 0.0
    if times and abs(round(times) / times - 1) < 0.02:
        return f"1/{times:.0f} s"
    return f"{seconds:.4g} s"


def camera_name(make: str | None, model: str | None, lens_model: str | None = None) -> str:
    """Maker, model and lens in one line; many models begin with their maker's name already."""
    maker = "" if make and model and model.casefold().startswith(make.split()[0].casefold()) else make
    return " ".join(part for part in (maker, model, lens_model) if part)


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun, and verb, in singular or plural: counted(1, "file", "files") is "1 file"."""
    return f"{number} {one if number == 1 else many}"


def metre_unit(metres: float) -> tuple[float, str]:
    """(size in metres, name) of the unit in which a length reads well: m, mm or um."""
    for size, name in ((1.0, "m"), (1e-3, "mm")):
        if abs(metres) >= 0.1 * size:
            return size, name
    return 1e-6, f"{MU}m"


def plain(text: str) -> str:
    """The same for a terminal of any encoding: +- and um instead of signs."""
    return text.translate({ord(PLUS_MINUS): "+-", ord(MU): "u", ord(INFINITY): "infinity"})
