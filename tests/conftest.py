"""Shared fixtures: real captures and references (never part of the repository) and a fast, seeded random generator."""

import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy: every worker and every program it starts has one core to itself

import numpy as np  # noqa: E402
import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

HEAVIEST = ("notebooks", "cli", "edges", "quad_preparing", "pair_solvers", "solvers", "large_stacks", "focus_fit",
            "detection", "sequences", "pair_alignment", "calibration_report", "focus_command", "quad_solvers",
            "pipeline", "prepare", "plan", "pair_runs", "dual_pixel", "prior", "field_psf", "derivatives_kernel",
            "breathing", "affine", "tiles", "psf_job", "real_stacks", "lens_sigma", "disparity", "imaging",
            "blurry_edges", "multiplane_pairs", "real_pairs", "raw_exactness", "multiplane", "psf_model", "psf_fit",
            "calibration_rendering", "seams_kernel")
"""Test files by core seconds, most first (80 to 10 of them).  They start in this order, so that no long file is left for one
worker when the others are done."""


def pytest_configure(config):
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist would start the files with most tests first, long or short


def pytest_collection_modifyitems(items):
    place = {f"test_{name}": number for number, name in enumerate(HEAVIEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def shared_data(relative: str) -> Path:
    """A folder or file of real data; skips the test when it is missing, fails when DFD_REQUIRE_DATA=1."""
    path = SHARED / relative
    if not path.exists():
        if os.environ.get("DFD_REQUIRE_DATA") == "1":
            pytest.fail(f"DFD_REQUIRE_DATA=1 but {path} is missing")
        pytest.skip(f"real data {path} is not on this machine")
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(20261120)
