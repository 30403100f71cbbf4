"""The notebooks: they run without an error, and what is committed is what comes out, small and free of this machine."""

import base64
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from notebookfiles import FOLDER, NAMES, check, code_cells, load

_MOST_BYTES, _MOST_PICTURE = 800_000, 200_000
_PATH = re.compile(r"(?<![\w.])/(home|tmp|work|root|Users|private|var)/|[A-Z]:\\\\")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[::2])
def test_a_notebook_runs_and_shows_what_is_committed(name, tmp_path):
    check(name, tmp_path)


def test_notebooks_are_counted_from_one():
    assert len(NAMES) >= 4 and [int(name.split("-")[0]) for name in NAMES] == sorted({int(name[0]) for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_complete(name):
    notebook = load(name)
    assert (FOLDER / f"{name}.ipynb").stat().st_size <= _MOST_BYTES
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "executed once, from the top"
    pictures = [output["data"]["image/png"] for cell in cells for output in cell["outputs"] if "image/png" in
                output.get("data", ())]
    assert len(pictures) >= 3 and sum(bool(cell["outputs"]) for cell in cells) >= 6
    assert max(len(base64.b64decode(picture)) for picture in pictures) <= _MOST_PICTURE
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"
                or output.get("name") == "stderr"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_tells_nothing_of_the_machine_that_made_it(name):
    notebook = load(name)
    assert notebook["metadata"] == {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                                    "language_info": {"name": "python"}}
    for cell in notebook["cells"]:
        assert not cell["metadata"]
        texts = ["".join(cell["source"])]
        for output in cell.get("outputs", ()):
            texts += ["".join(output.get("text", "")),
                      *("".join(data) for kind, data in output.get("data", {}).items() if kind != "image/png")]
        for text in texts:
            assert not _PATH.search(text) and not _TIME.search(text), text


def test_links_of_notebooks_lead_to_files():
    for name in NAMES:
        for cell in load(name)["cells"]:
            for target in re.findall(r"\]\(([^)#]+)", "".join(cell["source"])):
                assert target.startswith("https://") or (FOLDER / target).is_file(), f"{name}: {target}"


def test_notebooks_are_lint_clean():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "notebooks"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
