"""What `dfd plan` says: what was assumed, a table of the kinds, and how to take each; as lines, JSON or a plot."""

from __future__ import annotations

import json
from pathlib import Path

from dfd.cli.overview import columns
from dfd.io.record import strict
from dfd.io.wording import metre_unit, plain
from dfd.plan import Proposal, Setup
from dfd.profile import LensProfile

_LIGHT = {"total": "the frames of a kind share the time of two full exposures at the widest aperture",
          "frame": "every frame is exposed until white is the full well"}

_NAMES = {"views": "views (focus pair)"}


def setup_of(lens, *, focal_length, f_number, pixel_pitch, **options) -> Setup:
    """The Setup of the command line, which counts in mm and um; from a lens profile what is not given.

    Raises ValueError for a number that neither has.
    """
    profile = LensProfile.nominal() if lens is None else LensProfile.load(lens)
    given = {"--focal-length": (focal_length, profile.focal_nominal), "--pixel-pitch": (pixel_pitch, profile.pixel_pitch),
             "--f-number": (f_number,)}
    missing = [option for option, values in given.items() if all(value is None for value in values)]
    if missing:
        also = "" if lens is not None or missing == ["--f-number"] else ", or a profile of the lens by --lens"
        raise ValueError(f"no {', no '.join(missing)}: a plan needs focal length, f-number and pixel pitch; give what is "
                         f"missing{also}")
    return Setup.of_profile(profile, focal_length=None if focal_length is None else focal_length * 1e-3,
                            pixel_pitch=None if pixel_pitch is None else pixel_pitch * 1e-6, f_number=f_number, **options)


def proposal_lines(setup: Setup, proposals: tuple[Proposal, ...]) -> list[str]:
    """Assumptions, table and recipes of `dfd plan`."""
    return [*_assumed(setup), "", *_table(proposals), "",
            "how to take them (distances from the entrance pupil, in m)", *columns([_recipe(item) for item in proposals])]


def _assumed(setup):
    name = "" if setup.profile.name == "nominal" else f" ({setup.profile.name})"
    return [
        f"assumed: {setup.focal_length * 1e3:g} mm at f/{setup.f_number:g}{name}, pixels of {setup.pixel_pitch * 1e6:g} um; "
        f"depth {setup.near:g} to {setup.far:g} m, {setup.span:.1f} px of blur from end to end",
        f"         full well {setup.full_well:g} electrons, read noise {setup.read_noise:g}; {_LIGHT[setup.exposure]}",
        f"         texture of contrast {setup.contrast:g} on a plane; disk blur, core {setup.core:g} px; "
        "registered frames; solver likelihood",
    ]


def _table(proposals):
    depths = proposals[0].depths
    places = (0, len(depths) // 2, -1)
    largest = max(item.sigma[place] for item in proposals for place in places)
    size, unit = metre_unit(min(largest, 0.099))
    head = ("kind", "frames", *(f"sigma at {depths[place]:.4g} m" for place in places), "rms", "worst", "noise limit",
            "blur up to")
    rows = [(_NAMES.get(item.kind, item.kind), str(len(item.frames)),
             *(f"{item.sigma[place] / size:.3g} {unit}" for place in places), f"{item.rms:.3%}", f"{item.worst:.3%}",
             f"{item.limit:.3%}", f"{item.blur:.3g} px")
            for item in proposals]
    return [plain(line) for line in columns([head, *rows], indent="")]


def _recipe(item):
    """(kind, what to set) of a proposal."""
    numbers = list(dict.fromkeys(f"f/{frame.f_number:.2g}" for frame in item.frames))
    if item.kind == "differential-quad":
        minus, plus, small, large = item.frames
        step = (plus.focus - minus.focus) / 2
        return item.kind, (f"sensor fixed for {_metres(small)} m, optical power {step:.4g} dioptre less and more at "
                           f"f/{plus.f_number:.3g}; then f/{small.f_number:.3g} and f/{large.f_number:.3g}")
    if item.kind == "dual-pixel":
        return item.kind, f"one frame focused at {_metres(item.frames[0])} m, {numbers[0]}"
    foci = ",".join(map(_metres, item.frames))
    side = "" if item.side is None else f" --side {item.side}"
    return _NAMES.get(item.kind, item.kind), f"--focus-distances {foci}{side} at {' and '.join(numbers)}"


def _metres(frame):
    return f"{frame.focus_distance:.5g}"


def json_text(setup: Setup, proposals: tuple[Proposal, ...]) -> str:
    """Everything as strict JSON, in SI units and dioptres."""
    assumed = {"focal_length_m": setup.focal_length, "f_number": setup.f_number, "pixel_pitch_m": setup.pixel_pitch,
               "near_m": setup.near, "far_m": setup.far, "full_well_e": setup.full_well, "read_noise_e": setup.read_noise,
               "contrast": setup.contrast, "exposure": setup.exposure, "psf": "disk", "psf_core_px": setup.core,
               "solver": "likelihood", "window_pixels": setup.solver.pixels, "solver_floor_px": setup.solver.floor,
               "solver_joined_px": setup.solver.joined, "blur_rate_px_per_dpt": setup.blur_rate, "span_px": setup.span,
               "lens_profile": setup.profile.name}
    return json.dumps(strict({"assumed": assumed, "proposals": [_content(item) for item in proposals]}), indent=2,
                      allow_nan=False)


def _content(item):
    frames = [{"focus_distance_m": frame.focus_distance, "focus_dpt": frame.focus, "f_number": frame.f_number,
               "electrons_at_white": frame.electrons, "psf": frame.pupil} for frame in item.frames]
    return {"kind": item.kind, "side": item.side, "frames": frames, "depth_m": item.depths, "sigma_m": item.sigma,
            "limit_relative": item.limit, "blur_px": item.blur, "rms_relative": item.rms, "worst_relative": item.worst}


def plot_path(path) -> Path:
    """The file to draw into.  Raises ValueError for another suffix than .png, OSError where its folder is missing."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"--plot ({path.name}) must end in .png, the one format that is drawn; rename it")
    if not path.absolute().parent.is_dir():
        raise OSError(f"--plot ({path}): its folder is missing; make it first")
    return path


def draw(proposals: tuple[Proposal, ...], path: Path) -> None:
    """Write the plot: sigma of depth against depth, a line per kind."""
    from dfd.report.plots import expectation_plot

    path.write_bytes(expectation_plot({_NAMES.get(item.kind, item.kind): (item.depths, item.sigma) for item in proposals}))
