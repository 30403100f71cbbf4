"""Notebooks as files, and their execution in a kernel of their own: what test_notebooks.py and its neighbour share."""

from __future__ import annotations

import copy
import json
import os
import sys

from conftest import ROOT

FOLDER = ROOT / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))

_CELL_SECONDS = 300


def load(name):
    """The content of a committed notebook."""
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def execute(name, folder):
    """The notebook as it comes out of a fresh kernel that works in `folder`, without display; fails with the first error."""
    import nbformat
    from nbclient import NotebookClient

    notebook = copy.deepcopy(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    work, own = folder / "work", folder / "jupyter"
    work.mkdir()
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(own / "ipython"), "MPLBACKEND": "agg"}
    environment.pop("DISPLAY", None)
    client = NotebookClient(notebook, timeout=_CELL_SECONDS, kernel_name="python3", record_timing=False,
                            coalesce_streams=True, resources={"metadata": {"path": str(work)}})
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable  # this interpreter, whatever "python3" is on this machine
    client.execute(env=environment)
    return notebook


def kinds(cell):
    """What a cell shows: names of streams, and for results and pictures the formats."""
    return [output["name"] if output["output_type"] == "stream" else tuple(sorted(output.get("data", ("error",))))
            for output in cell["outputs"]]


def check(name, folder):
    """Execute, and hold the committed outputs against what comes out: the same kinds in every cell, nothing on stderr."""
    made = execute(name, folder)
    for number, (cell, kept) in enumerate(zip(code_cells(made), code_cells(load(name)), strict=True)):
        shown = kinds(cell)
        assert "stderr" not in shown, f"{name}, code cell {number}: {cell['outputs']}"
        assert shown == kinds(kept), f"{name}, code cell {number}: execute the notebook and commit it"
    assert not list((folder / "work").iterdir()), f"{name} leaves files behind"
