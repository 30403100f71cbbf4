"""README is true: its two set-up commands are the contract's, the gate runs them, and its Python example works."""

import re
import shlex
import warnings
from pathlib import Path

import pytest

from dfd.cli.commands import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SET_UP = (
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/dfd demo -o demo",
    ".venv/bin/pip install '.[test]' && .venv/bin/python -m pytest",
)


def test_the_two_set_up_commands_stand_in_readme_as_the_gate_looks_for_them():
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"s/\^    \((.*)\)\$/", gate)[1].replace(r"\/", "/")
    assert tuple(re.findall(rf"(?m)^    ({pattern})$", README)) == SET_UP


def test_every_command_that_readme_shows_exists_with_its_options():
    commands = {row.name or row.callback.__name__: row.callback for row in app.registered_commands}
    shown = [shlex.split(line, comments=True) for line in re.findall(r"(?m)^    (dfd .*)$", README)]
    assert {words[1] for words in shown} == set(commands)
    renamed = {"format": "file_format", "json": "as_json"}
    for words in shown:
        options = {word[2:] for word in words if word.startswith("--")}
        assert {renamed.get(name, name.replace("-", "_")) for name in options} <= set(commands[words[1]].__annotations__)


def test_the_python_example_runs(tmp_path, monkeypatch):
    from dfd.io.simulated import write_simulation
    from dfd.simulate import simulate_capture

    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    write_simulation(simulate_capture(scene="plane", size=(96, 144), frames=7), tmp_path / "stack")
    monkeypatch.chdir(tmp_path)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seven small, strongly blurred frames are hard to align, and it says so
        exec(compile(example, "README.md", "exec"), names)
    assert names["result"].scale == "metric"


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_links_lead_to_files(target):
    assert (ROOT / target).exists()


def test_no_host_of_a_registry_is_named_anywhere():
    hosts = re.compile(r"https?://[^\s)\"']*(pypi|anaconda|npmjs|debian)", re.IGNORECASE)
    for path in (*ROOT.glob("*.*"), *ROOT.glob("docs/*"), *ROOT.glob("benchmarks/*")):
        if path.is_file() and path.suffix in {".md", ".toml", ".cff", ".py"}:
            assert not hosts.search(path.read_text(encoding="utf-8")), path
