"""`import dfd` is light, and every public name is where it is said to be."""

import ast
import importlib
import importlib.util
import subprocess
import sys

import pytest
from conftest import ROOT

import dfd

HEAVY = ("rawpy", "exifread", "cv2", "tifffile", "matplotlib", "trimesh", "numba", "cupy", "dask", "typer", "rich",
         "scipy.optimize", "scipy.ndimage")


def fresh(code):
    """Standard output of `code` in an interpreter that has imported nothing."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_takes_less_than_0_3_s():
    code = "import time; start = time.perf_counter(); import dfd; print(time.perf_counter() - start)"
    assert min(float(fresh(code)) for _ in range(3)) < 0.3


def test_import_loads_nothing_heavy():
    loaded = fresh(f"import sys, dfd; print(*[name for name in {HEAVY} if name in sys.modules])")
    assert loaded == ""


@pytest.mark.parametrize("module", ["dfd.capture", "dfd.depthmap", "dfd.profile", "dfd.psf", "dfd.noise"])
def test_the_nouns_load_no_reader_and_no_plotter(module):
    loaded = fresh(f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])")
    assert loaded == ""


@pytest.mark.parametrize("name", dfd.__all__)
def test_every_public_name_resolves(name):
    assert getattr(dfd, name) is not None
    assert name in dir(dfd)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        dfd.no_such_name


@pytest.mark.parametrize("arguments", ["--version", "--help", "depth --help", "simulate --help", "plan --help"])
def test_help_loads_no_arithmetic_and_no_simulator(arguments):
    unwanted = (*(name for name in HEAVY if name not in ("typer", "rich")), "numpy", "scipy", "dfd.simulate", "dfd.pipeline",
                "dfd.plan", "dfd.report")
    loaded = fresh("import contextlib, sys\n"
                   "from dfd.cli import main\n"
                   f"sys.argv = ['dfd', *{arguments.split()}]\n"
                   "with contextlib.suppress(SystemExit): main()\n"
                   f"print('loaded', *[name for name in {unwanted} if name in sys.modules])")
    assert loaded.splitlines()[-1] == "loaded"


def test_the_main_job_starts_without_compiler_plotter_or_simulator():
    unwanted = ("numba", "matplotlib", "cv2", "rawpy", "tifffile", "scipy.ndimage", "dfd.simulate", "importlib.metadata")
    loaded = fresh("import sys, dfd.cli.commands, dfd.cli.terminal, dfd.pipeline, dfd.report\n"
                   f"print(*[name for name in {unwanted} if name in sys.modules])")
    assert loaded == ""


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import_names_that_exist(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("dfd", "calibration"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.util.find_spec(f"{node.module}.{alias.name}"), \
                    f"{path.name}: {node.module} has no {alias.name}"
