"""The arrays beside a profile: complete, named by their hash, part by part."""

import numpy as np
import pytest

from calibration.sidecar import load_arrays, save
from dfd.lensfile import read, write

PROFILE = {"schema": "dfd-lensprofile", "schema_version": "1.0.0"}


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {"focus/coc": rng.normal(size=7), "focus/frame": np.arange(7), "focus/place": rng.normal(size=(7, 2))}


def saved(tmp_path):
    path = tmp_path / "lens.json"
    write(save(path, PROFILE, arrays()), path)
    return path


def test_arrays_come_back_as_they_were_through_the_profile_file(tmp_path):
    path = saved(tmp_path)
    found = load_arrays(path, read(path))
    assert set(found) == set(arrays())
    for name, value in arrays().items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lens.json", "lens.npz"]


def test_a_profile_without_sidecar_has_no_arrays(tmp_path):
    assert load_arrays(tmp_path / "lens.json", PROFILE) == {}


def test_a_part_is_replaced_whole_and_the_others_are_kept(tmp_path):
    path = saved(tmp_path)
    data = save(path, read(path), {"psf/kernels": np.ones((2, 3, 5), np.float32)})
    data = save(path, data, {"focus/coc": np.zeros(3)})
    found = load_arrays(path, data)
    assert set(found) == {"focus/coc", "psf/kernels"}
    assert found["focus/coc"].shape == (3,) and found["psf/kernels"].shape == (2, 3, 5)


def test_save_changes_neither_its_arguments_nor_the_profile_on_disk(tmp_path):
    path = saved(tmp_path)
    before, data = path.read_bytes(), read(path)
    stated = dict(data["sidecar"])
    save(path, data, {"psf/kernels": np.ones(4)})
    assert data["sidecar"] == stated and path.read_bytes() == before


def test_equal_arrays_make_equal_files(tmp_path):
    first = save(tmp_path / "a.json", PROFILE, arrays())
    second = save(tmp_path / "b.json", PROFILE, arrays())
    assert first["sidecar"]["sha256"] == second["sidecar"]["sha256"]


def test_a_missing_sidecar_is_named(tmp_path):
    path = saved(tmp_path)
    (tmp_path / "lens.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"lens\.npz: no such file, but lens\.json keeps its arrays there; move it"):
        load_arrays(path, read(path))


def test_the_sidecar_of_another_run_is_refused(tmp_path):
    path = saved(tmp_path)
    other = tmp_path / "other.json"
    save(other, PROFILE, arrays(1))
    (tmp_path / "other.npz").replace(tmp_path / "lens.npz")
    with pytest.raises(OSError, match=r"lens\.npz: not the file that lens\.json was written with \(SHA-256 "):
        load_arrays(path, read(path))


def test_a_damaged_sidecar_is_one_line(tmp_path):
    from dfd.io.integrity import sha256

    path = saved(tmp_path)
    cut = tmp_path / "lens.npz"
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(OSError, match=r"lens\.npz: cannot be read as npz \(.*\); calibrate again") as caught:
        load_arrays(path, read(path) | {"sidecar": {"file": "lens.npz", "sha256": sha256(cut)}})
    assert "\n" not in str(caught.value)


def test_a_file_of_nobody_is_not_overwritten(tmp_path):
    (tmp_path / "lens.npz").write_bytes(b"my data")
    with pytest.raises(FileExistsError, match=r"lens\.npz: exists already and lens\.json does not name it"):
        save(tmp_path / "lens.json", PROFILE, arrays())
    assert (tmp_path / "lens.npz").read_bytes() == b"my data"


@pytest.mark.parametrize("name", ["../lens.npz", "/etc/lens.npz", None])
def test_a_sidecar_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"sidecar\.file \(.*\) must be the name of a file beside the profile"):
        load_arrays(tmp_path / "lens.json", PROFILE | {"sidecar": {"file": name, "sha256": ""}})


@pytest.mark.parametrize("key", ["coc", "focus/", "/coc"])
def test_a_key_without_part_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="has no part in its key"):
        save(tmp_path / "lens.json", PROFILE, {key: np.zeros(2)})


def test_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="holds Python objects"):
        save(tmp_path / "lens.json", PROFILE, {"focus/names": np.array([{}, None])})
    assert list(tmp_path.iterdir()) == []
