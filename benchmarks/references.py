"""Depth straight from a light field, by both methods, against ground truth that neither reads.

    python benchmarks/references.py [antinous] [rendered]

`antinous`: HCI 4D benchmark, 9 x 9 views of 512 x 512 px, range found by the method, a border of 15 px left out as the
benchmark does.  `rendered`: scenes of `dfd.simulate.simulate_light_field`, 7 x 7 views, 8 px left out.  Disparity in px per
view step; BadPix counts unknown pixels as bad, MSE x 100 and Q25 x 100 are of known ones.  Rows are processes.
"""

import json
import sys

from common import header, load, measure, row, shared_data

import dfd
from dfd.simulate.lightfield import simulate_light_field

METHODS = ("phase-shift", "defocus-correspondence")
RENDERED = ("demo", "slant", "step")


def light_field(name):
    """(LightField with its truth, border [px])."""
    if name == "antinous":
        return dfd.read_light_field(shared_data("lf/hci_antinous"), check=False), 15
    return simulate_light_field(name, size=(144, 192), views=7, seed=4), 8


def figures(field, border, method):
    """The figures of one method on one light field."""
    scored = dfd.compare(dfd.reference_depth(field, method=method), field.disparity_map, border=border)
    return scored | {"ause": scored["ause_rmse"] / scored["ause_rmse_random"]}


def main(names):
    """Print a row per scene and method."""
    print(f"{load()}\n")
    header("scene", "method", "BadPix .07 / .03 / .01", "MSE x 100", "Q25 x 100", "density", "1 sigma covers",
           "AUSE over that of a constant sigma", "CPU s", "private MB")
    for name in names:
        for method in METHODS:
            cost, text = measure([sys.executable, __file__, "--one", name, method])
            if cost.code:
                sys.exit(text)
            found = json.loads(text.splitlines()[-1])
            row(name, method, " / ".join(f"{found[f'badpix_{limit}']:.2f}" for limit in ("07", "03", "01")),
                f"{found['mse_x100']:.2f}", f"{found['q25_x100']:.2f}", f"{found['density']:.1%}",
                f"{found['coverage_1_sigma']:.1%}", f"{found['ause']:.2f}", f"{cost.cpu:.0f}",
                f"{cost.private:.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        field, border = light_field(sys.argv[2])
        print(json.dumps(figures(field, border, sys.argv[3])))
    else:
        wanted = sys.argv[1:] or ["antinous", "rendered"]
        main([name for word in wanted for name in (RENDERED if word == "rendered" else (word,))])
