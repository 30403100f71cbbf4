"""A depth map: closed forms in metres, honest sigma, NaN alone is unknown, the file, every device."""

import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)

from dfd.capture import SCALES
from dfd.depthmap import DepthMap

VALUES = np.array([[2.0, 1.0, 0.5, 0.0], [-0.1, np.nan, 0.25, 4.0]], np.float32)
SIGMA = np.array([[0.02, 0.01, 0.05, 0.01], [0.01, np.nan, 0.30, 0.0]], np.float32)


def depth_map(scale="metric", put=np.asarray):
    return DepthMap(put(VALUES), put(SIGMA), scale, "test")


def test_depth_is_one_over_inverse_depth_and_infinite_at_or_beyond_infinity(device):  # noqa: F811
    made = depth_map(put=device.put)
    expected = np.array([[0.5, 1.0, 2.0, np.inf], [np.inf, np.nan, 4.0, 0.25]], np.float32)
    assert device.owns(made.depth) and made.depth.dtype == np.float32
    np.testing.assert_allclose(device.get(made.depth), expected, rtol=1e-6)
    np.testing.assert_array_equal(device.get(made.inverse_depth), VALUES)


def test_depth_sigma_is_half_the_interval_and_infinite_where_it_is_open(device):  # noqa: F811
    found = device.get(depth_map(put=device.put).depth_sigma)
    expected = np.array([[(1 / 1.98 - 1 / 2.02) / 2, (1 / 0.99 - 1 / 1.01) / 2, (1 / 0.45 - 1 / 0.55) / 2, np.inf],
                         [np.inf, np.nan, np.inf, 0.0]])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-9)
    assert found.dtype == np.float32


def test_small_sigma_is_z_squared_times_sigma():
    made = DepthMap(np.full((2, 3), 0.5, np.float32), np.full((2, 3), 2.621e-4, np.float32), "metric")
    assert made.depth_sigma == pytest.approx(np.full((2, 3), 1.048e-3), rel=1e-3)


def test_nan_alone_is_unknown(device):  # noqa: F811
    made = depth_map(put=device.put)
    assert np.array_equal(device.get(made.valid), ~np.isnan(VALUES))


def test_confidence_falls_with_sigma_and_is_0_where_unknown(device):  # noqa: F811
    found = device.get(depth_map(put=device.put).confidence)
    assert found.dtype == np.float32 and found[1, 1] == 0
    assert found.min() >= 0 and found.max() <= 1 and found[1, 3] == 1
    known = np.isfinite(SIGMA)
    order = np.argsort(SIGMA[known], kind="stable")
    assert (np.diff(found[known][order]) <= 0).all()
    assert found[0, 0] < found[0, 1], "strictly, where sigma differs"


def test_confidence_is_one_half_at_the_median_sigma():
    made = DepthMap(np.ones((1, 3), np.float32), np.array([[0.1, 0.2, 0.7]], np.float32), "metric")
    assert made.confidence[0, 1] == pytest.approx(0.5, abs=1e-6)


def test_confidence_of_a_map_that_knows_nothing_is_0(device):  # noqa: F811
    nothing = device.put(np.full((2, 5), np.nan, np.float32))
    assert device.get(DepthMap(nothing, nothing, "steps").confidence).sum() == 0


def test_infinite_sigma_has_confidence_0():
    made = DepthMap(np.ones((1, 2), np.float32), np.array([[0.1, np.inf]], np.float32), "metric")
    assert made.confidence[0, 1] == 0


def test_keep_forgets_where_the_mask_is_false(device):  # noqa: F811
    made, mask = depth_map(put=device.put), VALUES > 0.9
    kept = made.keep(device.put(mask))
    assert np.array_equal(device.get(kept.valid), mask)
    assert np.isnan(device.get(kept.sigma)[~mask]).all() and kept.values.dtype == np.float32
    assert np.array_equal(device.get(made.values), VALUES, equal_nan=True), "the original is not touched"


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"mask \(4, 2\) must have the size of the depth map \(2, 4\)"):
        depth_map().keep(np.ones((4, 2), bool))


@pytest.mark.parametrize("scale", ["stage", "steps", "affine"])
@pytest.mark.parametrize("name", ["depth", "depth_sigma", "inverse_depth"])
def test_nothing_relative_is_ever_called_metres(scale, name):
    made = depth_map(scale)
    message = rf"{name} needs a metric result, this one has scale {scale} .*focus_distance_m"
    with pytest.raises(ValueError, match=message):
        getattr(made, name)
    assert made.unit == SCALES[scale] and np.array_equal(made.values, VALUES, equal_nan=True)


@pytest.mark.parametrize("scale", SCALES)
def test_save_and_load_keep_everything(tmp_path, scale, device):  # noqa: F811
    depth_map(scale, device.put).save(tmp_path / "depth.npz")
    again = DepthMap.load(tmp_path / "depth.npz")
    assert (again.scale, again.method, again.values.dtype) == (scale, "test", np.float32)
    np.testing.assert_array_equal(again.values, VALUES)
    np.testing.assert_array_equal(again.sigma, SIGMA)


@pytest.mark.parametrize("content", [b"", b"not a zip file", None])
def test_loading_something_else_is_an_os_error(tmp_path, content):
    path = tmp_path / "depth.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError, match=r"depth\.npz"):
        DepthMap.load(path)


@pytest.mark.parametrize("content", [
    {"values": VALUES}, {"values": VALUES, "sigma": SIGMA, "scale": "m", "method": ""}])
def test_loading_an_incomplete_file_is_an_os_error(tmp_path, content):
    np.savez(tmp_path / "depth.npz", **content)
    with pytest.raises(OSError, match=r"depth\.npz: not a depth map saved by DepthMap.save"):
        DepthMap.load(tmp_path / "depth.npz")


def test_a_damaged_archive_is_an_os_error_wherever_it_is_damaged(tmp_path):
    path = tmp_path / "depth.npz"
    depth_map().save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        for damaged in (whole[:place], whole[:place] + b"\xff\x00\x80" + whole[place + 3:]):
            path.write_bytes(damaged)
            try:
                DepthMap.load(path)  # a byte that nothing depends on may change
            except OSError as error:
                assert "depth.npz" in str(error)
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(OSError, match=r"depth\.npz: not a depth map"):
        DepthMap.load(path)


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "depth.npz"
    depth_map("steps").save(path)
    before = path.read_bytes()

    def disk_full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="No space left"):
        depth_map("metric").save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_numpy_brings_the_map_to_the_host(device):  # noqa: F811
    host = depth_map(put=device.put).numpy()
    assert isinstance(host.values, np.ndarray) and isinstance(host.sigma, np.ndarray)


def test_a_map_is_frozen_and_read_only_and_the_callers_array_is_not():
    mine = VALUES.copy()
    made = DepthMap(mine, SIGMA, "metric")
    with pytest.raises(ValueError, match="read-only"):
        made.values[0, 0] = 1.0
    with pytest.raises(AttributeError):
        made.scale = "steps"
    mine[0, 0] = 3.0


@pytest.mark.parametrize("scale", SCALES)
def test_the_table_shows_numbers_only(scale, device):  # noqa: F811
    made = depth_map(scale, device.put)
    html = made._repr_html_()
    assert "87.5%" in html and f"median [{SCALES[scale]}]" in html and "<img" not in html
    assert repr(made) == f"DepthMap(4 x 2 px, scale {scale} [{SCALES[scale]}], method 'test')"


def test_the_table_of_an_unknown_map_has_dashes():
    nothing = np.full((2, 3), np.nan, np.float32)
    assert DepthMap(nothing, nothing, "metric")._repr_html_().count("<td>-</td>") == 2


def test_the_table_escapes_the_method():
    html = DepthMap(VALUES, SIGMA, "metric", "<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in html


@pytest.mark.parametrize("values, sigma, scale, error, message", [
    (VALUES.astype(np.float64), SIGMA, "metric", TypeError, r"values \(float64\) of a depth map must be float32"),
    (VALUES, SIGMA.astype(np.float64), "metric", TypeError, r"sigma \(float64\)"),
    (VALUES, SIGMA.T.copy(), "metric", ValueError, r"values \(2, 4\) and sigma \(4, 2\) must be two equal"),
    (VALUES[0], SIGMA[0], "metric", ValueError, r"must be two equal \(H, W\) maps"),
    (VALUES, SIGMA, "metres", ValueError, r"scale \('metres'\) must be one of"),
    (VALUES, -SIGMA, "metric", ValueError, "sigma must be zero or positive"),
])
def test_a_map_that_cannot_be_is_refused(values, sigma, scale, error, message):
    with pytest.raises(error, match=message):
        DepthMap(values, sigma, scale)


def test_host_and_device_are_not_mixed(device):  # noqa: F811
    if device.name == "cpu":
        assert depth_map().valid.any()
    else:
        with pytest.raises(TypeError, match="mixed"):
            DepthMap(device.put(VALUES), SIGMA, "metric")


@pytest.mark.filterwarnings("error")
def test_a_depth_that_may_be_infinite_is_not_to_be_trusted():
    values = np.array([[2.0, 0.12, 0.03, -0.5, 0.01, np.nan]], np.float32)
    sigma = np.where(np.isnan(values), values, np.float32(0.02))
    made = DepthMap(values, sigma, "metric")
    assert np.array_equal(np.isinf(made.depth_sigma[0]), [False, False, False, True, True, False])
    assert made.trust[0] == pytest.approx([0.5, 0.5, 0.25, 0.025, 0.025, 0], abs=1e-6)
    assert DepthMap(values, sigma, "affine").trust[0] == pytest.approx([0.5] * 5 + [0], abs=1e-6)
