"""The house rules of the source tree, held against its syntax: layers, cycles, owners of dependencies, file length."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS = (
    {"optics", "backend", "threads"},
    {"psf", "measured", "fieldpsf", "imaging", "noise", "kernels"},
    {"settings", "lensfile", "lensrules", "lensarrays", "focuslaw", "lenscurves", "lenssigma", "lensmap", "profile",
     "vignetting", "field", "capture", "depthmap", "lightfield"},
    {"prepare", "simulate", "solvers", "references", "refine", "rimfill", "fuse", "evaluate", "affine", "anchors", "bound",
     "plan", "restore", "apps", "tiles"},
    {"pipeline", "allfocus", "streaming", "sequences", "firstquad", "assemble", "cautions", "decode", "forecast", "io"},
    {"report", "batch", "cluster", "console"},
    {"cli"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS, 1) for name in names}

OWNERS = {
    "cupy": ("dfd/backend.py", "dfd/kernels/"),
    "cupyx": ("dfd/backend.py", "dfd/kernels/"),
    "numba": ("dfd/kernels/",),
    "rawpy": ("dfd/io/raw.py",),
    "exifread": ("dfd/io/exif.py",),
    "tifffile": ("dfd/io/images.py", "dfd/io/dng.py"),
    "cv2": ("dfd/imaging.py", "dfd/io/images.py", "dfd/prepare.py", "dfd/prepare/", "calibration/"),
    "matplotlib": ("dfd/report/", "calibration/report/", "calibration/targets.py"),
    "PIL": ("dfd/report/panels.py",),
    "trimesh": ("dfd/io/points.py",),
    "h5py": ("dfd/io/lightfield.py",),
    "dask": ("dfd/cluster.py",),
    "distributed": ("dfd/cluster.py",),
    "plotly": ("dfd/report/",),
    "onnxruntime": ("dfd/apps/onnx.py",),
    "typer": ("dfd/console/", "dfd/cli/", "calibration/cli/"),
    "rich": ("dfd/console/", "dfd/cli/"),
    "numpy": ("dfd/", "calibration/"),
    "scipy": ("dfd/", "calibration/"),
}
"""Third-party package -> the only places that import it; a package that is not here has no owner yet."""

FILES = sorted([*ROOT.glob("dfd/**/*.py"), *ROOT.glob("calibration/**/*.py")])
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
MODULES = {name.removesuffix("/__init__.py").removesuffix(".py").replace("/", "."): name for name in NAMES}


def imports(path):
    """Every module that a file imports, wherever in the file, as dotted names; `from dfd import x` names dfd.x."""
    package = path.relative_to(ROOT).with_suffix("").parts
    package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full in MODULES else module


def unit(module):
    """dfd.io.raw -> io: the row of the layer table that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("dfd/") and name != "dfd/__init__.py"])
def test_imports_point_down_only(name):
    own = name.split("/")[1].removesuffix(".py")
    assert own in LEVEL, f"{name} has no row in the layer table"
    for module in imports(ROOT / name):
        assert module.split(".")[0] != "calibration", f"{name} imports {module}: dfd never imports calibration"
        target = unit(module) if module.startswith("dfd.") else ""
        if target and target != "__version__":
            assert LEVEL[target] <= LEVEL[own], f"{name} (layer {LEVEL[own]}) imports {module} (layer {LEVEL[target]})"


def test_calibration_uses_everything_but_the_command_line():
    for name in NAMES:
        if name.startswith("calibration/"):
            upper = [module for module in imports(ROOT / name) if module.startswith("dfd.") and LEVEL[unit(module)] > 6]
            assert not upper, f"{name} imports {upper[0]}: calibration uses rows 1 to 6 of the table"


def cycles(graph):
    """Every node of a directed graph that can reach itself."""
    reach = {}
    for start in graph:
        seen, open_ = set(), list(graph[start])
        while open_:
            node = open_.pop()
            if node not in seen:
                seen.add(node)
                open_ += graph.get(node, ())
        reach[start] = seen
    return sorted(node for node in graph if node in reach[node])


def test_a_cycle_is_seen():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]


def test_no_file_reaches_itself_through_imports():
    graph = {module: {target for target in imports(ROOT / name) if target in MODULES and target not in ("dfd", module)}
             for module, name in MODULES.items() if module != "dfd"}
    assert cycles(graph) == []


def test_no_row_of_the_table_holds_a_circle():
    graph = {name: set() for name in LEVEL}
    for module, name in MODULES.items():
        if module.startswith("dfd."):
            graph[unit(module)] |= {unit(target) for target in imports(ROOT / name)
                                    if target.startswith("dfd.") and unit(target) != unit(module)}
    assert cycles(graph) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_dependency_is_imported_by_its_owner_only(name):
    for module in imports(ROOT / name):
        package = module.split(".")[0]
        if package in sys.stdlib_module_names or package in ("dfd", "calibration"):
            continue
        assert package in OWNERS, f"{name} imports {package}, which has no owner"
        owners = OWNERS[package]
        assert name.startswith(owners), f"{name} imports {package}; its owners are {' '.join(owners)}"


def test_optics_needs_the_standard_library_only():
    assert {module.split(".")[0] for module in imports(ROOT / "dfd/optics.py")} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "dfd/__init__.py"])
def test_no_file_hides_an_import_or_an_attribute(name):
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    hidden = [node for node in ast.walk(tree) if isinstance(node, ast.Call)
              and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("import_module", "__import__")]
    assert not hidden, f"{name}: import_module belongs to dfd/__init__.py alone"
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"], name


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_one_idea(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300, f"{name} has {len(lines)} lines, limit 300: it holds two ideas"
    assert ast.get_docstring(ast.parse("\n".join(lines))), f"{name} must open with a sentence that says what it is for"


def public_without_docstring(body, prefix=""):
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from public_without_docstring(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("name", NAMES)
def test_everything_public_says_what_it_is(name):
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    assert list(public_without_docstring(tree.body)) == []
