"""capture.toml says exactly what the interface allows; anything else is one line: place, value, next step."""

import math
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfd.anchors import KnownDepth
from dfd.io.sidecar import CAMERA, FRAME, KNOWN_DEPTH, TOP, read_sidecar

EVERYTHING = """
kind = "focal-stack"
distance_from = "sensor"
lens = "lens.json"
side = "far"
swap = true
axis = "y"
y_scale = 2
[camera]
focal_length_mm = 50.0
f_number = 2.8
pixel_pitch_um = 6
linear = true
black_level = [500, 501, 502, 503]
white_level = 16383
image_distance_mm = 110.0
psf = "disk"
psf_core_px = 0.6
kappa = 0.424
gain_e_per_dn = 0.3
read_noise_e = 3.0
[[frames]]
file = "a.tiff"
focus_distance_m = 0.55
pupil_diameter_mm = 12.5
power_dpt = 10.1
exposure_s = 0.01
iso = 100
reference = true
view = "left"
role = "power-minus"
black_level = [64, 64, 65, 64]
white_level = 1023
white_sheet = "b.tiff"
[[frames]]
file = "sub/b.tiff"
focus_dpt = -0.1
f_number = 4
focus_coordinate = -12
stage_position_mm = 0
[[known_depths]]
x_px = 120
y_px = 80.5
depth_m = 0.9
radius_px = 12
[[known_depths]]
x_px = 0
y_px = 7
depth_m = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.tiff", "b.tiff", "sub/b.tiff"):
        (tmp_path / name).write_bytes(b"image")
    return tmp_path


def read(folder, text):
    path = folder / "capture.toml"
    path.write_text(text, encoding="utf-8")
    return read_sidecar(path)


def si(values):
    return {name: value.value for name, value in values.items()}


def test_every_key_of_the_interface_is_read_in_si(folder):
    sidecar = read(folder, EVERYTHING)
    assert (sidecar.kind, sidecar.distance_from, sidecar.side) == ("focal-stack", "sensor", "far")
    assert sidecar.lens == folder / "lens.json"
    assert si(sidecar.values) == pytest.approx(
        {"focal_length": 0.05, "f_number": 2.8, "pixel_pitch": 6e-6, "image_distance": 0.11}, abs=1e-12)
    assert (sidecar.linear, sidecar.black_level, sidecar.white_level) == (True, (500, 501, 502, 503), 16383)
    assert (sidecar.psf, sidecar.psf_core_px, sidecar.kappa) == ("disk", 0.6, 0.424)
    assert (sidecar.gain_e_per_dn, sidecar.read_noise_e) == (0.3, 3.0)
    first, second = sidecar.frames
    assert si(first.values) == pytest.approx({"focus_distance": 0.55, "pupil_diameter": 0.0125, "power": 10.1,
                                              "exposure": 0.01, "iso": 100}, abs=1e-12)
    assert (first.reference, first.view, first.role) == (True, "left", "power-minus")
    assert si(second.values) == {"focus": -0.1, "f_number": 4, "focus_coordinate": -12, "stage_position": 0}
    assert {value.source for value in first.values.values()} == {"capture.toml"}
    assert (sidecar.swap, sidecar.axis, sidecar.y_scale) == (True, "y", 2)
    assert (first.black_level, first.white_level, first.white_sheet) == ((64, 64, 65, 64), 1023, folder / "b.tiff")
    assert sidecar.known_depths == (KnownDepth(120, 80.5, 0.9, 12), KnownDepth(0, 7, 3))


def test_the_text_above_uses_every_key_of_the_tables():
    used = {line.split("=")[0].strip() for line in EVERYTHING.splitlines() if "=" in line}
    # folders: of a sequence, see test_sequences.py
    assert used == (set(TOP) - {"folders"}) | set(CAMERA) | set(FRAME) | set(KNOWN_DEPTH)


def test_an_empty_file_says_nothing_and_infinity_is_a_distance(folder):
    assert read(folder, "").frames == () and read(folder, "").values == {}
    sidecar = read(folder, '[[frames]]\nfile = "a.tiff"\nfocus_distance_m = inf\n')
    assert sidecar.frames[0].values["focus_distance"].value == math.inf


def test_a_windows_file_with_byte_order_mark_is_read(folder):
    path = folder / "capture.toml"
    path.write_bytes(b"\xef\xbb\xbfkind = \"views\"\r\n[camera]\r\nf_number = 4\r\n")
    assert read_sidecar(path).kind == "views"


FRAMES = '[[frames]]\nfile = "a.tiff"\n[[frames]]\nfile = "b.tiff"\n'

WRONG = {
    "unknown key": ('[camera]\nfocal_lenght_mm = 50\n', "camera.focal_lenght_mm .* did you mean focal_length_mm"),
    "unknown frame key": (FRAMES + "focus_distance = 1", r"frames\[1\].focus_distance .*did you mean focus_d"),
    "nothing near": ("zzz = 1", "zzz is not a key .* known here: kind"),
    "key in the wrong table": ("focal_length_mm = 50", r"focal_length_mm stands in .*; move it to \[camera\]"),
    "negative distance": (FRAMES + "focus_distance_m = -0.5",
                          r"frames\[1\].focus_distance_m \(-0.5 m\) must be positive"),
    "zero": ("[camera]\nfocal_length_mm = 0", r"camera.focal_length_mm \(0 mm\) must be positive"),
    "focal length in um": ("[camera]\nfocal_length_mm = 50000",
                           r"50000 mm\) must lie between 0.5 and 3000 mm; is it in um\? then write 50$"),
    "focal length in m": ("[camera]\nfocal_length_mm = 0.05", r"\(0.05 mm\) must lie .*; is it in m\? then write 50$"),
    "image distance in m": ("[camera]\nimage_distance_mm = 0.110",
                            r"\(0.11 mm\) must lie between 0.5 and 100000 mm; is it in m\? then write 110$"),
    "pupil in m": (FRAMES + "pupil_diameter_mm = 0.005",
                   r"\(0.005 mm\) must lie between 0.05 and 100000 mm; is it in m\? then write 5$"),
    "pitch in nm": ("[camera]\npixel_pitch_um = 6000",
                    r"6000 um\) must lie between 0.3 and 100 um; is it in nm\? then write 6$"),
    "pitch in mm": ("[camera]\npixel_pitch_um = 0.006", r"\(0.006 um\) must lie .*; is it in mm\? then write 6$"),
    "pitch in m": ("[camera]\npixel_pitch_um = 6e-6", r"\(6e-06 um\) must lie .*; is it in m\? then write 6$"),
    "pitch in no unit": ("[camera]\npixel_pitch_um = 250", r"\(250 um\) must lie .*; is the unit right\?$"),
    "f-number below one half": ("[camera]\nf_number = 0.2", r"f_number \(0.2\) must lie between 0.5 and 1000"),
    "not a number": ("[camera]\nf_number = nan", r"f_number \(nan\) must be a finite number"),
    "infinite": ("[camera]\nf_number = inf", r"f_number \(inf\) must be a finite number"),
    "beyond floats": (f"[camera]\nwhite_level = 1{'0' * 400}", "must be a finite number"),
    "text for a number": ('[camera]\nf_number = "2.8"', r"camera.f_number \(2.8\) must be a number, without quotes"),
    "truth for a number": ("[camera]\nf_number = true", "must be a number"),
    "number for truth": ("[camera]\nlinear = 1", r"camera.linear \(1\) must be true or false"),
    "swap in quotes": ('swap = "yes"', r"swap \(yes\) must be true or false"),
    "no such axis": ('axis = "z"', r"axis \(z\) must be one of x, y"),
    "pixels upside down": ("y_scale = -1", r"y_scale \(-1\) must be positive"),
    "known depth without a place": ("[[known_depths]]\nx_px = 1\ndepth_m = 1", r"known_depths\[0\] has no y_px; add y_px"),
    "known depth behind the lens": ("[[known_depths]]\nx_px = 1\ny_px = 1\ndepth_m = -1",
                                    r"known_depths\[0\].depth_m \(-1 m\) must be positive"),
    "known depth in the wrong place": ("depth_m = 1", r"depth_m stands in .*; move it to \[\[known_depths\]\]"),
    "one known depth as a table": ("[known_depths]\nx_px = 1", r"known_depths must be tables, each written \[\[known_d"),
    "number for text": ("lens = 5", r"lens \(5\) must be text in quotes"),
    "unknown word": ('kind = "focalstack"', r"kind \(focalstack\) must be one of .* did you mean 'focal-stack'"),
    "five levels": ("[camera]\nblack_level = [1,2,3,4,5]", "black_level has 5 numbers"),
    "camera as a list": ("camera = [1]", r"camera must be one table, written \[camera\]"),
    "frames as one table": ("[frames]\nfile = 'a.tiff'", r"frames must be tables, each written \[\[frames\]\]"),
    "no file": ("[[frames]]\nf_number = 2", r"frames\[0\] has no file"),
    "same file": ('[[frames]]\nfile = "a.tiff"\n[[frames]]\nfile = "sub/../a.tiff"',
                  r"frames\[0\] and frames\[1\] are the same file"),
    "two references": ('[[frames]]\nfile="a.tiff"\nreference=true\n[[frames]]\nfile="b.tiff"\nreference=true',
                       "both have reference = true"),
    "two focuses": (FRAMES + "focus_distance_m = 1\nfocus_dpt = 1", "both focus_distance_m and focus_dpt"),
    "two apertures": (FRAMES + "f_number = 2\npupil_diameter_mm = 9", "both f_number and pupil_diameter_mm"),
    "above the folder": ('[[frames]]\nfile = "../a.tiff"', r"frames\[0\].file \(../a.tiff\) lies outside the folder"),
    "absolute path": ('[[frames]]\nfile = "/etc/hostname"', "lies outside the folder"),
    "control characters": ('[[frames]]\nfile = "a\\u0000.tiff"', "printable"),
    "broken toml": ("kind = \n", "not valid TOML: .*line 1.*; correct the text there"),
    "twice the same key": ("kind = 'views'\nkind = 'views'", "not valid TOML: Cannot overwrite a value"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(folder, case):
    text, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(folder / "capture.toml"))


def test_a_missing_image_and_a_missing_file_are_os_errors(folder):
    with pytest.raises(OSError, match=r"frames\[0\].file \(c.tiff\): no such file"):
        read(folder, '[[frames]]\nfile = "c.tiff"')
    with pytest.raises(OSError, match="no such file"):
        read_sidecar(folder / "sub" / "capture.toml")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_out_of_the_folder_is_outside_and_a_loop_is_an_os_error(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "real.tiff"
    outside.write_bytes(b"image")
    (folder / "link.tiff").symlink_to(outside)
    with pytest.raises(ValueError, match="lies outside the folder"):
        read(folder, '[[frames]]\nfile = "link.tiff"')
    (folder / "loop.tiff").symlink_to(folder / "loop.tiff")
    with pytest.raises(OSError, match=r"loop\.tiff"):
        read(folder, '[[frames]]\nfile = "loop.tiff"')


def test_bytes_that_are_not_text_are_named(folder):
    path = folder / "capture.toml"
    path.write_bytes(b'kind = "\xff\xfe"')
    with pytest.raises(ValueError, match="byte 8 is not UTF-8"):
        read_sidecar(path)


VALUES = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=8), st.just([1, 2]), st.just("a.tiff"))
KEYS = st.sampled_from([*TOP, *CAMERA, *FRAME, "camera", "frames", "fil", "x"])
LINES = st.one_of(
    st.sampled_from(["[camera]", "[[frames]]", "[frames]", "[", "x", "[" * 4000, "a" * 300, "\x00", "\r"]),
    st.builds(lambda key, value: f"{key} = {toml(value)}", KEYS, VALUES),
    st.text(max_size=20),
)


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=12))
def test_no_text_raises_anything_but_value_or_os_error(folder, lines):
    path = folder / "capture.toml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        sidecar = read_sidecar(path)
    except (ValueError, OSError) as error:
        assert "\n" not in str(error)
    else:
        assert all(frame.path.is_file() for frame in sidecar.frames)
