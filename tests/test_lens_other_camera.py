"""A lens profile that was not measured with this camera, this lens, this size of picture, or that lost its arrays."""

import copy
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from dfd.cli.lensinfo import lens_lines
from dfd.io.describe import describe
from dfd.io.gather import gather
from dfd.io.inputs import find_inputs
from dfd.io.lenscheck import check_lens
from dfd.io.sources import open_source
from dfd.lensfile import SCHEMA
from dfd.profile import LensProfile

SIZE = (30, 20)  # W, H px
PROFILE = {
    "schema": SCHEMA, "schema_version": "1.0.0", "lens": {"model": "Fifty 1.8"},
    "camera": {"model": "Acme One", "pixel_pitch_um": 6.0, "raw_size_px": list(SIZE)},
    "focus": {"coordinate": "encoder_step", "a_per_mm": 4e-4, "b_per_mm_per_unit": 1.5e-6},
    "projection": {"fx_px_poly": [8000.0]}, "aperture": [{"f_number_marked": 1.8, "diameter_eff_mm": 27.6}],
}


def stack(folder, size, coordinates=(100, 200, 300)):
    """A capture of three frames of one value at f/1.8, focus coordinate by capture.toml where there is one."""
    folder.mkdir(exist_ok=True)
    lines = ['kind = "focal-stack"', "[camera]", "f_number = 1.8", "focal_length_mm = 50.0"]
    for index, place in enumerate(coordinates):
        np.save(folder / f"{index}.npy", np.full(size[::-1], 0.5, np.float32))
        where = f"focus_distance_m = {2 + index}.0" if place is None else f"focus_coordinate = {place}"
        lines += ["[[frames]]", f'file = "{index}.npy"', where]
    (folder / "capture.toml").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("size", [(30, 22), (20, 30), (15, 10)])
def test_pictures_of_another_size_than_the_calibrated_are_refused_by_both_sizes(tmp_path, size):
    with pytest.raises(ValueError, match=rf"{size[0]} x {size[1]} px, but .* Fifty 1\.8 was measured on 30 x 20 px"):
        open_source(stack(tmp_path / "a", size), lens=LensProfile(PROFILE))


def test_pictures_of_the_calibrated_size_pass_without_a_word(tmp_path):
    source = open_source(stack(tmp_path / "a", SIZE), lens=LensProfile(PROFILE))
    assert source.scale == "metric" and not any("measured" in text for text in source.warnings)


def test_the_size_counts_only_where_the_measured_law_is_used(tmp_path):
    source = open_source(stack(tmp_path / "a", (30, 22), (None,) * 3), lens=LensProfile(PROFILE))
    assert any("take the place of the measured focus" in text for text in source.warnings)
    silent = {**PROFILE, "camera": {"pixel_pitch_um": 6.0}}
    assert open_source(stack(tmp_path / "a", (30, 22)), lens=LensProfile(silent)).scale == "metric"


def test_info_says_what_depth_would_refuse(tmp_path):
    overview = describe(stack(tmp_path / "a", (30, 22)), lens=LensProfile(PROFILE))
    assert "was measured on 30 x 20 px" in overview.trouble


@pytest.mark.parametrize(("settings", "said"), [
    ({"model": "acme  one", "lens_model": "FIFTY 1.8"}, ()),
    ({}, ()),
    ({"model": "Acme Two"}, ("camera Acme Two, but lens profile Fifty 1.8 was measured with Acme One",)),
    ({"model": "Acme One", "lens_model": "Fifty 1.4"}, ("lens Fifty 1.4, but lens profile Fifty 1.8 was measured with "
                                                        "Fifty 1.8",)),
])
def test_another_camera_or_lens_is_a_warning_that_names_both(tmp_path, settings, said):
    files = files_of(tmp_path, settings)
    found = check_lens(files, LensProfile(PROFILE))
    assert len(found) == len(said) and all(words in text for words, text in zip(said, found, strict=True))
    assert all(text.startswith("0.npy and 2 more: ") for text in found)


def files_of(tmp_path, settings):
    """The headers of a stack, with what EXIF would say of camera and lens."""
    found = gather(find_inputs(stack(tmp_path / "a", SIZE)), LensProfile(PROFILE), {})
    return [replace(item, merged=replace(item.merged, settings=replace(item.merged.settings, **settings)))
            for item in found.files]


def told(tmp_path):
    return [line for line in lens_lines(LensProfile.load(tmp_path / "lens.json")) if "arrays" in line]


def test_info_says_in_a_line_when_the_arrays_of_a_profile_are_missing_or_changed(tmp_path):
    content = b"arrays"
    data = copy.deepcopy(PROFILE) | {"sidecar": {"file": "lens.npz", "sha256": hashlib.sha256(content).hexdigest()}}
    LensProfile(data).save(tmp_path / "lens.json")
    missing, = told(tmp_path)
    assert "lens.npz: the arrays of the lens profile cannot be read" in missing
    (tmp_path / "lens.npz").write_bytes(b"others")
    changed, = told(tmp_path)
    assert "SHA-256 differs" in changed
    (tmp_path / "lens.npz").write_bytes(content)
    assert told(tmp_path) == []
