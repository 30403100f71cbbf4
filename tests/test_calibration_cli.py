"""`dfd-calibrate noise` as a user calls it, and `dfd depth --lens` with the profile that it wrote."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_calibration_noise import GAIN, LEVELS, READ, write_shoot

from calibration.cli import app
from calibration.cli.common import spread
from dfd.console.run import call as run_command
from dfd.pipeline import run as run_depth
from dfd.simulate import simulate_capture


@pytest.fixture(scope="module")
def shoot(tmp_path_factory):
    return write_shoot(tmp_path_factory.mktemp("shoot"), np.random.default_rng(5), levels=LEVELS[::2], darks=2)


@pytest.fixture
def call(capsys):
    """(exit code, stdout, stderr without the progress lines) of one command line."""

    def called(*arguments):
        code = run_command(app, spread([str(item) for item in arguments]), name="dfd-calibrate")
        out, err = capsys.readouterr()
        return code, out, "".join(line for line in err.splitlines(True) if not line.startswith("read:"))

    return called


def test_noise_writes_a_profile_and_says_what_it_found(call, shoot, tmp_path):
    lens = tmp_path / "lens.json"
    code, out, err = call("noise", shoot / "flats", "--dark", shoot / "darks", "-o", lens)
    assert (code, err) == (0, "")
    assert "ISO 100: 5 flat and 2 dark pairs" in out and "e-/DN" in out and "dfd depth --lens" in out
    (entry,) = json.loads(lens.read_text())["radiometry"]["iso"]
    assert entry["gain_e_per_dn"] == pytest.approx(GAIN, rel=0.01)
    assert entry["read_noise_e"] == pytest.approx(READ, abs=0.09)  # e-


def test_dark_takes_every_file_up_to_the_next_option(call, shoot, tmp_path):
    flats, darks = sorted((shoot / "flats").iterdir()), sorted((shoot / "darks").iterdir())
    code, out, _ = call("noise", *flats, "--dark", *darks, "-o", tmp_path / "lens.json", "--json")
    (row,) = json.loads(out)
    assert code == 0 and len(row["flat_pairs"]) == 5 and row["dark_pairs"] == ["d0a.dng + d0b.dng", "d1a.dng + d1b.dng"]


def test_into_updates_a_profile_and_o_never_replaces_one(call, shoot, tmp_path):
    lens = tmp_path / "lens.json"
    lens.write_text(json.dumps({"schema": "dfd-lensprofile", "schema_version": "1.0.0", "mine": 1}))
    command = ("noise", shoot / "flats", "--dark", shoot / "darks")
    code, _, err = call(*command, "-o", lens)
    assert code == 2 and "exists already" in err and f"--into {lens}" in err
    assert call(*command, "--into", lens)[0] == 0
    data = json.loads(lens.read_text())
    assert data["mine"] == 1 and data["radiometry"]["iso"][0]["iso"] == 100


@pytest.mark.parametrize(("arguments", "said"), [
    (["noise"], "FLATS"),
    (["noise", "absent", "-o", "lens.json"], "absent: no such file"),
    (["noise", "absent"], "either -o PROFILE.json"),
    (["noise", "absent", "-o", "a.json", "--into", "b.json"], "either -o PROFILE.json"),
    (["noise", "absent", "--into", "b.json"], "b.json: no such lens profile"),
    (["noise", "absent", "-o", "no/folder/lens.json"], "no folder"),
    (["noise", "absent", "--dark", "-o", "lens.json"], "--dark"),
    (["noise", "absent", "-o", "lens.json", "--iso", "zero"], "--iso"),
    (["sound"], "sound"),
])
def test_a_wrong_call_is_exit_code_2_and_one_line(call, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(*arguments)
    assert code == 2
    assert err.startswith("dfd-calibrate: ") and err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == []


def test_a_refused_shoot_leaves_no_profile(call, shoot, tmp_path):
    flats = sorted((shoot / "flats").iterdir())[:2]
    code, _, err = call("noise", *flats, "-o", tmp_path / "lens.json")
    assert code == 2 and "usable flat pairs: 1" in err and list(tmp_path.iterdir()) == []


def test_help_names_the_commands_and_the_version_is_told(call):
    code, out, _ = call("--help")
    assert code == 0 and "noise" in out
    code, out, _ = call("noise", "--help")
    assert code == 0 and "--into" in out and "[px]" in out
    assert call("--version")[1].startswith("dfd-calibrate ")


def test_the_entry_point_ends_the_process_with_the_exit_code(tmp_path):
    command = [sys.executable, "-c", "from calibration.cli import main; main()", "noise", "absent", "-o", "lens.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "absent: no such file" in done.stderr


def test_dfd_depth_uses_the_noise_of_the_profile_and_result_json_says_so(call, shoot, tmp_path):
    from dfd.io.simulated import write_simulation

    lens = tmp_path / "lens.json"
    assert call("noise", shoot / "flats", "--dark", shoot / "darks", "-o", lens)[0] == 0
    simulation = simulate_capture("focal-stack", scene="slant", size=(96, 144), frames=6, noise=4760.0)
    write_simulation(simulation, tmp_path / "stack", format="dng")
    toml = tmp_path / "stack" / "capture.toml"
    lines = toml.read_text().splitlines()
    toml.write_text("\n".join(line for line in lines if not line.startswith(("gain_e_per_dn", "read_noise_e"))))
    outcome = run_depth(tmp_path / "stack", tmp_path / "out", lens=lens)
    noise = json.loads((tmp_path / "out" / "result.json").read_text())["noise"]
    (entry,) = json.loads(lens.read_text())["radiometry"]["iso"]
    assert noise["gain_e_per_dn"] == outcome.source.gain_e_per_dn == entry["gain_e_per_dn"]
    assert noise["read_noise_e"] == outcome.source.read_noise_e == entry["read_noise_e"]
