"""The fixed map of a lens of variable power, undone in every quadruple: from the profile, else as the first one shows it."""

import json

import numpy as np
import pytest
import tifffile
from rigquads import POWER_STEP, quad
from sequencefiles import write_pages

from dfd import imaging
from dfd.cli.commands import app
from dfd.console.run import call
from dfd.profile import LensProfile

SHAPE, MARGIN = (180, 240), 12
DEPTHS = (0.8, 1.25)
WARP = {"reference_power_dpt": 10.1, "affine_per_dpt": [[0.004 / POWER_STEP, 0, 1.2 / POWER_STEP],
                                                        [0, 0.004 / POWER_STEP, -0.7 / POWER_STEP]]}
INNER = (slice(12, -12), slice(12, -12))


def moved(images):
    """The images as the rig takes them, cut to SHAPE: the two powers magnified and shifted by one step each way."""
    taken = []
    for image, step in zip(images, (-1, 1, 0, 0), strict=True):
        place = np.array([[1 + 0.004 * step, 0, 1.2 * step], [0, 1 + 0.004 * step, -0.7 * step], [0, 0, 1]])
        margin = np.array([[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1.0]])
        taken.append(imaging.warp(image, np.linalg.inv(place @ margin))[:SHAPE[0], :SHAPE[1]])
    return np.stack(taken)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """straight: a sequence on one grid; warped: the same through the rig's maps; lens.json: a profile that has them."""
    base, rng = tmp_path_factory.mktemp("warp"), np.random.default_rng(6)
    quads = [quad(rng, distance, shape=tuple(length + 2 * MARGIN for length in SHAPE)) for distance in DEPTHS]
    cut = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    grid = "reference = true"  # the aperture images lie at the reference power
    frames = ("", "", grid, "")
    write_pages(base / "straight", [images[cut] for images in quads], integers=False, frames=frames)
    write_pages(base / "warped", [moved(images) for images in quads], integers=False, frames=frames)
    LensProfile({"schema": "dfd-lensprofile", "schema_version": "1.0.0", "power_warp": WARP}).save(base / "lens.json")
    assert depth(base / "straight", "-o", base / "expected") == 0
    return base


def depth(*arguments):
    return call(app, ["depth", *map(str, arguments)], name="dfd")


def result(folder):
    """(maps in dioptres, warnings)."""
    with tifffile.TiffFile(folder / "depth.tiff") as file:
        maps = np.stack([1 / page.asarray()[INNER] for page in file.pages])
    return maps, json.loads((folder / "result.json").read_text(encoding="utf-8"))["warnings"]


def off(folder, work):
    """Median distance [dioptre] to the maps of the straight sequence."""
    return float(np.nanmedian(np.abs(result(folder)[0] - result(work / "expected")[0])))


def test_a_profile_brings_every_quadruple_back(work, tmp_path):
    assert depth(work / "warped", "-o", tmp_path / "out", "--lens", work / "lens.json") == 0
    assert off(tmp_path / "out", work) < 0.005, "dioptre"
    assert not any("off its place" in text for text in result(tmp_path / "out")[1])


def test_without_a_profile_the_first_quadruple_tells_and_all_are_moved(work, tmp_path):
    assert depth(work / "warped", "-o", tmp_path / "out") == 0
    assert off(tmp_path / "out", work) < 0.01, "dioptre"
    told = [text for text in result(tmp_path / "out")[1] if "off its place" in text]
    assert any(text.startswith("power-plus: ") and "power_warp" in text for text in told)


def test_nothing_is_moved_where_nobody_wants_it(work, tmp_path):
    assert depth(work / "warped", "-o", tmp_path / "out", "--align", "none") == 0
    assert off(tmp_path / "out", work) > 0.05, "dioptre: the images do not lie on each other"


def test_a_straight_sequence_is_not_touched(work, tmp_path):
    assert depth(work / "straight", "-o", tmp_path / "out", "--align", "none") == 0
    np.testing.assert_array_equal(result(tmp_path / "out")[0], result(work / "expected")[0])
