"""A quad's differences hold blur, not motion: frames off their place are found however blurred; saturation is told."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from moving import corner_error, similarity

from dfd import imaging, prepare
from dfd.assemble import prepare_capture
from dfd.io.simulated import write_simulation
from dfd.io.sources import open_source
from dfd.simulate import simulate_capture

SIZE, LARGER = (206, 326), (230, 350)
ROLES = ("power-minus", "power-plus", "aperture-minus", "aperture-plus")


@pytest.fixture(scope="module")
def scenes():
    """Quads of cod with edges between near and far: 28 px of blur at the nearest, -11 px at the farthest."""
    return {scene: simulate_capture(preset="cod", scene=scene, size=LARGER, seed=3) for scene in ("demo", "slant-sphere")}


@pytest.fixture(params=["demo", "slant-sphere"])
def simulation(request, scenes):
    return scenes[request.param]


@pytest.fixture
def demo(scenes):
    return scenes["demo"]


def written(simulation, folder, k=None, right=0.0, down=0.0):
    """The folder of a simulation whose frame k is displaced."""
    write_simulation(simulation, folder, format="npy")
    for index, name in enumerate(simulation.names):
        path = folder / f"{name}.npy"
        image = np.load(path)
        if index == k:
            image = imaging.warp(image, np.linalg.inv(similarity(right=right, down=down, shape=LARGER)))
        np.save(path, image[12:-12, 12:-12])
    return open_source([folder])


def test_defocus_and_occlusion_move_nothing(simulation, tmp_path):
    prepared = prepare_capture(written(simulation, tmp_path / "in"))
    np.testing.assert_array_equal(prepared.matrices, [np.eye(3)] * 4)
    assert prepared.warnings == () and not any(table["applied"] for table in prepared.transforms)
    assert max(table["corner_shift_px"] for table in prepared.transforms) < 0.05


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("right, down", [(0.3, 0.0), (-1.2, 1.6)])
def test_a_frame_off_its_place_is_found_to_0_05_px_moved_and_told(simulation, tmp_path, k, right, down):
    prepared = prepare_capture(written(simulation, tmp_path / "in", k, right, down))
    for index, matrix in enumerate(prepared.matrices):
        true = similarity(right=right, down=down, shape=SIZE) if index == k else np.eye(3)
        assert corner_error(matrix, true, SIZE) <= 0.05
    (line,) = prepared.warnings
    assert line.startswith(f"{simulation.names[k]}.npy ({ROLES[k]}): lies ")
    found = re.search(r"lies ([\d.]+) px off its place \(1-sigma ([\d.]+) px, at most 0.1 px", line)
    assert float(found[1]) == pytest.approx(np.hypot(right, down), abs=0.06) and float(found[2]) < 0.1
    assert "it was moved back" in line and "power_warp" in line


def test_the_reference_off_its_place_shows_in_the_three_others(demo, tmp_path):
    prepared = prepare_capture(written(demo, tmp_path / "in", 0, 2.0, -1.0))
    for matrix in prepared.matrices[1:]:
        assert corner_error(matrix, similarity(right=-2.0, down=1.0, shape=SIZE), SIZE) <= 0.05
    assert [line.split()[1] for line in prepared.warnings] == [f"({role}):" for role in ROLES[1:]]


def test_without_alignment_it_stays_and_is_told(demo, tmp_path):
    prepared = prepare_capture(written(demo, tmp_path / "in", 3, 0.3), align="none")
    np.testing.assert_array_equal(prepared.matrices, [np.eye(3)] * 4)
    (line,) = prepared.warnings
    assert re.match(r"aperture_plus.npy \(aperture-plus\): lies 0.(29|3\d?) px", line)
    assert "it was left there; let --align auto move it" in line
    assert prepared.transforms is None


def test_a_frame_that_cannot_be_aligned_is_told_and_no_frame_is_dropped(demo, tmp_path, monkeypatch):
    """Three images are no quad: all four are used where the optics say."""
    found = prepare.align_views

    def lost(*arguments, **options):
        return replace(found(*arguments, **options), aligned=np.array([True, True, True, False]))

    monkeypatch.setattr(prepare, "align_views", lost)
    prepared = prepare_capture(written(demo, tmp_path / "in", 1, 2.0))
    assert prepared.kept == (0, 1, 2, 3) and prepared.transforms is None
    np.testing.assert_array_equal(prepared.matrices, [np.eye(3)] * 4)
    assert prepared.warnings[0].startswith("only 3 of 4 frames could be aligned")
    assert not any("moved back" in line for line in prepared.warnings)


@pytest.mark.parametrize("one, other", [('psf = "disk"', 'psf = "gaussian"'), ("power_minus.npy", "power_plus.npy"),
                                        ("aperture_minus.npy", "aperture_plus.npy")], ids=["psf", "powers", "pupils"])
def test_optics_that_are_wrong_move_nothing(demo, tmp_path, one, other):
    """Another PSF, or the files of a pair exchanged: the depth is wrong, but nothing lies elsewhere."""
    written(demo, tmp_path / "in")
    toml = tmp_path / "in" / "capture.toml"
    toml.write_text(toml.read_text().replace(other, "@").replace(one, other).replace("@", one))
    prepared = prepare_capture(open_source([tmp_path / "in"]))
    np.testing.assert_array_equal(prepared.matrices, [np.eye(3)] * 4)
    assert prepared.warnings == ()


def test_stored_transforms_are_used_as_they_are(demo, tmp_path):
    source = written(demo, tmp_path / "in", 1, 0.7)
    prepared, stored = prepare_capture(source), tmp_path / "transforms.json"
    stored.write_text(json.dumps({"schema": "dfd-transforms 1", "size_px": {"width": SIZE[1], "height": SIZE[0]},
                                  "frames": prepared.transforms}))
    again = prepare_capture(source, align=str(stored))
    np.testing.assert_allclose(again.matrices, prepared.matrices, atol=1e-12)
    assert again.warnings == () and prepared.warnings != ()


def test_saturation_at_the_largest_pupil_is_told_with_its_share(demo, tmp_path):
    write_simulation(demo, tmp_path / "in", format="tiff")
    path = tmp_path / "in" / "aperture_plus.tiff"
    brighter = tifffile.imread(path) * 2.0
    tifffile.imwrite(path, np.clip(brighter, 0, 65535).astype(np.uint16))
    toml = tmp_path / "in" / "capture.toml"
    text = toml.read_text()
    time = float(re.search(r'file = "aperture_plus.tiff".*?exposure_s = ([\d.]+)', text, re.DOTALL)[1])
    toml.write_text(text.replace(f"exposure_s = {time}", f"exposure_s = {2 * time}"))
    prepared = prepare_capture(open_source([tmp_path / "in"]))
    (line,) = [line for line in prepared.warnings if "saturated" in line]
    told = re.match(r"saturated pixels, a share of aperture_plus.tiff \(aperture-plus\): ([\d.]+); at most 0.001", line)
    assert float(told[1]) == pytest.approx(np.isnan(prepared.capture.images[3]).mean(), rel=0.06)
    assert "expose that frame shorter" in line


def test_a_few_glints_are_no_warning(demo, tmp_path):
    write_simulation(demo, tmp_path / "in", format="tiff")
    path = tmp_path / "in" / "aperture_plus.tiff"
    image = tifffile.imread(path)
    image[50:54, 60:70] = 65535
    tifffile.imwrite(path, image)
    assert prepare_capture(open_source([tmp_path / "in"])).warnings == ()


def _darkened(folder, factors):
    for name, factor in factors.items():
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy") * np.float32(factor))


def test_every_image_of_a_quad_that_is_not_as_bright_as_stated_is_named(demo, tmp_path):
    source = written(demo, tmp_path / "in")
    _darkened(tmp_path / "in", {"power_plus": 0.5, "aperture_plus": 0.4})
    told = [line for line in prepare_capture(source).warnings if "brightness differs" in line]
    assert [line.split(":")[0] for line in told] == ["power_plus.npy", "aperture_plus.npy"]
    assert "factor of 0.5 " in told[0] and "factor of 0.4 " in told[1]


def test_a_quad_of_which_an_image_is_far_too_dark_is_refused(demo, tmp_path):
    source = written(demo, tmp_path / "in")
    _darkened(tmp_path / "in", {"aperture_plus": 1 / 25})
    with pytest.raises(ValueError, match=r"aperture_plus.npy: brightness differs by a factor of 0.04 .*\(at most 20\)"):
        prepare_capture(source)


def test_the_image_of_a_quad_that_lacks_an_exposure_is_named(demo, tmp_path):
    written(demo, tmp_path / "in")
    toml = tmp_path / "in" / "capture.toml"
    start, *tables = re.sub(r"exposure_s = .*\n", "", toml.read_text()).split("[[frames]]\n")
    for lacking, names in (((3,), ["aperture_plus.npy (aperture-plus)"]), ((0, 1, 2, 3), []), ((), [])):
        stated = [table if k in lacking else f"exposure_s = 0.01\n{table}" for k, table in enumerate(tables)]
        toml.write_text("[[frames]]\n".join([start, *stated]))
        told = [line for line in prepare_capture(open_source([tmp_path / "in"])).warnings if "no exposure_s" in line]
        assert [line.split(":")[0] for line in told] == names
