"""The other half of the notebooks: a file of its own, so that two processes execute them at a time."""

import pytest
from notebookfiles import NAMES, check


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[1::2])
def test_a_notebook_runs_and_shows_what_is_committed(name, tmp_path):
    check(name, tmp_path)
