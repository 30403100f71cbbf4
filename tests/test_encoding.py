"""16-bit TIFF counts as linear; a colour profile that says otherwise is told, and `dfd info` says how values are read."""

import json
import struct

import cv2
import numpy as np
import pytest
import tifffile

from dfd.cli.overview import overview_lines
from dfd.cli.terminal import describe_table
from dfd.io.describe import describe
from dfd.io.dng import write_dng
from dfd.io.encoding import curved_profile
from dfd.io.sources import open_source

SHAPE = (40, 60)


def described(name):
    """A name as a textDescriptionType of ICC version 2."""
    text = name.encode() + b"\0"
    return struct.pack(">4s4xI", b"desc", len(text)) + text


def localised(name):
    """The same as a multiLocalizedUnicodeType of version 4."""
    text = name.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(text), 28) + text


def curve(*values):
    return struct.pack(f">4s4xI{len(values)}H", b"curv", len(values), *values)


def parametric(exponent):
    return struct.pack(">4s4xHxxi", b"para", 0, round(exponent * 65536))


def profile(name, *curves):
    """An ICC profile with a description and tone curves, nothing else."""
    tags = dict(zip((b"desc", b"rTRC", b"gTRC", b"bTRC"), (name, *curves), strict=False))
    place, table, body = 132 + 12 * len(tags), b"", b""
    for signature, content in tags.items():
        table += struct.pack(">4sII", signature, place + len(body), len(content))
        body += content
    return b"\0" * 36 + b"acsp" + b"\0" * 88 + struct.pack(">I", len(tags)) + table + body


SRGB_TABLE = curve(*np.round(65535 * np.linspace(0, 1, 1024) ** 2.2).astype(int))

CURVED = {
    "one exponent": (profile(described("Adobe RGB (1998)"), *[curve(563)] * 3), "Adobe RGB (1998)"),
    "a table": (profile(described("sRGB IEC61966-2.1"), *[SRGB_TABLE] * 3), "sRGB IEC61966-2.1"),
    "a formula": (profile(localised("Display P3"), *[parametric(2.4)] * 3), "Display P3"),
    "one curve of three": (profile(described("Odd"), curve(), curve(), curve(461)), "Odd"),
    "a name only": (profile(described("ProPhoto RGB")), "ProPhoto RGB"),
}
STRAIGHT = {
    "identity": profile(described("sRGB, linear"), *[curve()] * 3),
    "exponent 1": profile(localised("Linear Rec. 2020"), *[curve(256)] * 3),
    "straight table": profile(described("Linear"), *[curve(0, 32768, 65535)] * 3),
    "formula of exponent 1": profile(localised("Linear P3"), *[parametric(1)] * 3),
    "unknown name": profile(described("Camera RGB")),
    "nothing": b"", "noise": b"\x01" * 200, "cut": profile(described("sRGB"), curve(563))[:150],
}


@pytest.mark.parametrize("case", CURVED)
def test_profiles_that_are_not_linear_have_a_name(case):
    data, name = CURVED[case]
    assert curved_profile(data) == name


@pytest.mark.parametrize("case", STRAIGHT)
def test_linear_profiles_and_what_is_no_profile_have_none(case):
    assert curved_profile(STRAIGHT[case]) == ""


def stack(folder, data, *, dtype=np.uint16):
    for index in range(3):
        tifffile.imwrite(folder / f"{index}.tif", np.full((*SHAPE, 3), 1, dtype), photometric="rgb", metadata=None,
                         iccprofile=data)
    return folder


def told(folder):
    return [text for text in open_source(folder).warnings if "colour profile" in text]


def test_a_16_bit_tiff_for_display_is_told_once_with_the_line_that_settles_it(tmp_path):
    stack(tmp_path, CURVED["one exponent"][0])
    (text,) = told(tmp_path)
    assert text.startswith("0.tif has the colour profile 'Adobe RGB (1998)'") and "16-bit TIFF counts as linear" in text
    assert "linear = false to [camera] of capture.toml" in text
    for choice in ("false", "true"):
        (tmp_path / "capture.toml").write_text(f"[camera]\nlinear = {choice}\n")
        assert told(tmp_path) == []
        assert {frame.linear for frame in open_source(tmp_path).frames} == {choice == "true"}


def test_linear_profiles_and_files_that_are_no_16_bit_integers_are_silent(tmp_path):
    assert told(stack(tmp_path, STRAIGHT["identity"])) == []
    assert told(stack(tmp_path, CURVED["a table"][0], dtype=np.uint8)) == []
    assert told(stack(tmp_path, CURVED["a table"][0], dtype=np.float32)) == []


def readings(folder):
    return [line for line in overview_lines(describe(folder)) if line.startswith("pixel values")]


def test_info_says_how_values_are_read_and_who_says_so(tmp_path, capsys):
    stack(tmp_path, CURVED["a table"][0])
    assert readings(tmp_path) == ["pixel values read as linear light (default for 16-bit TIFF)"]
    assert any("sRGB IEC61966-2.1" in text for text in describe(tmp_path / "0.tif").warnings), "of a single file, too"
    (tmp_path / "capture.toml").write_text("[camera]\nlinear = false\n")
    assert readings(tmp_path) == ["pixel values read as sRGB, which is undone (capture.toml)"]
    describe_table(describe(tmp_path), as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert {(row["linear"], row["linear_from"]) for row in rows} == {(False, "capture.toml")}


def test_info_counts_files_that_are_read_differently(tmp_path):
    stack(tmp_path, b"")
    cv2.imwrite(str(tmp_path / "3.jpg"), np.full(SHAPE, 9, np.uint8))
    assert readings(tmp_path) == ["pixel values read as linear light (default for 16-bit TIFF), in 3 of 4 files",
                                  "pixel values read as sRGB, which is undone (default for JPEG), in 1 of 4 files"]


def test_raw_is_linear_whatever_capture_toml_says(tmp_path):
    for index in range(2):
        write_dng(tmp_path / f"{index}.dng", np.full(SHAPE, 1000 + index, np.uint16), black_level=0, white_level=4095)
    (tmp_path / "capture.toml").write_text("[camera]\nlinear = false\n")
    assert readings(tmp_path) == ["pixel values read as linear light (RAW)"]
