"""Shared fixtures: real captures and references (never part of the repository) and a fast, seeded random generator."""

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


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
