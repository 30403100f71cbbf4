"""What the commands of `dfd-calibrate` share: choices of options, the profile that is written, many values of one option."""

from __future__ import annotations

from enum import StrEnum
from tempfile import TemporaryFile


class Origin(StrEnum):
    """Where distances count from."""

    PUPIL = "pupil"
    SENSOR = "sensor"


class Axis(StrEnum):
    """Along which axis of the stored pixels the two views differ."""

    X = "x"
    Y = "y"


class Coordinate(StrEnum):
    """What a focus coordinate is."""

    ENCODER_STEP = "encoder_step"
    BRACKET_INDEX = "bracket_index"
    EXIF_DISTANCE_MM = "exif_distance_mm"


class Sheet(StrEnum):
    """Formats of the target."""

    A4 = "a4"
    A3 = "a3"
    LETTER = "letter"
    SCREEN = "screen"


_MANY = ("--dark", "--check", "--vignetting")
"""Options that take everything up to the next option, as a shell writes it for a pattern of file names."""


def scaled(value, unit):
    """An option in SI; None where it was not given."""
    return None if value is None else value * unit


def profile_target(output, into, *, arrays: bool = False):
    """(file to write, content to start from), checked before the work begins; `arrays`: an .npz is written beside it."""
    from calibration.sidecar import check_free
    from dfd.profile import LensProfile

    if (output is None) == (into is None):
        raise ValueError("give either -o PROFILE.json, a new file, or --into PROFILE.json, one to update")
    target, data = (output, None) if into is None else (into, LensProfile.load(into).data)
    if into is None and output.exists():
        raise FileExistsError(f"{output}: exists already; choose another name, or --into {output} to update it")
    check_folder(target)
    if arrays:
        check_free(target, data or {})
    return target, data


def check_folder(path) -> None:
    """Refuse, with OSError, a file whose folder is not there or takes none."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no folder {path.parent}; make it first")
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{path}: folder {path.parent} takes no files ({error.strerror}); choose another one") from error


def spread(arguments: list[str]) -> list[str]:
    """`--dark a b c` as `--dark a --dark b --dark c`: the values of the options of _MANY reach to the next option."""
    result, option, bare = [], None, []
    for index, argument in enumerate(arguments):
        if argument.startswith("-"):
            option = argument if argument in _MANY else None
            following = arguments[index + 1:index + 2]
            if option and (not following or following[0].startswith("-")):
                bare.append(option)  # without a value, which the parser tells when it stands last
        if option is None:
            result.append(argument)
        elif argument != option:
            result += [option, argument]
    return result + bare
