"""`dfd compare`: what it reads, and how its options meet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfd.cli.choices import AsJson, Fit, Quantity


def compare(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="folder of `dfd depth`, or a depth file")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="tiff, pfm, npy, npz, png, or a folder of dfd")],
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="tiff, png or npy; 0 = leave this pixel out")] = None,
    align: Annotated[Fit, typer.Option(
        help="what may be fitted on the reference first, in dioptres where it is metric")] = Fit.NONE,
    border: Annotated[int, typer.Option(metavar="PX", min=0, help="pixels to leave out at each edge")] = 0,
    resize: Annotated[bool, typer.Option(
        "--resize", help="bring the result to the pixel grid of the reference: nearest, or median of the known")] = False,
    scale: Annotated[float | None, typer.Option(
        metavar="M", help="metres per unit of a plain reference file (dioptres or px with --quantity); integers need it"
    )] = None,
    result_scale: Annotated[float | None, typer.Option(
        metavar="M", help="the same for a plain result file")] = None,
    quantity: Annotated[Quantity | None, typer.Option(
        help="numbers of a plain reference file: depth [m], inverse-depth [dioptre], disparity [px, positive = nearer]"
    )] = None,
    result_quantity: Annotated[Quantity | None, typer.Option(
        help="the same for a plain result file [default: metres, or the unit of a relative reference]")] = None,
    px_per_dioptre: Annotated[float | None, typer.Option(
        metavar="PX", help="disparity per dioptre [px], of a light field per view step: for figures of its benchmark, and "
        "with --focus to make a disparity metric")] = None,
    focus: Annotated[float | None, typer.Option(
        metavar="DPT", help="inverse distance of zero disparity [dioptre]")] = None,
    fx: Annotated[float | None, typer.Option(
        metavar="PX", help="focal length in pixels of the reference, for errors of normals [default: what its folder says]"
    )] = None,
    regions: Annotated[Path | None, typer.Option(
        metavar="DIR", help="folder of mask_planes.png, mask_discontinuities.png ...: pixels scored by themselves")] = None,
    affine_invariant: Annotated[bool, typer.Option(
        "--affine-invariant", help="add the scores of dual-pixel papers: AI(1), AI(2), four kinds of 1 - |rho|")] = False,
    figure: Annotated[Path | None, typer.Option(
        metavar="FILE.png", help="draw image, depth, reference, error, sparsification side by side; replaces FILE")] = None,
    as_json: AsJson = False,
):
    """Judge a depth map by a reference: errors, density, the scores of benchmarks, honesty of sigma."""
    from dfd.cli.figures import affine_figures
    from dfd.cli.terminal import metrics_table
    from dfd.evaluate import compare as judge
    from dfd.evaluate import to_grid
    from dfd.io.maps import read_map, read_mask
    from dfd.io.regions import read_regions

    if figure is not None and figure.suffix.lower() != ".png":
        raise ValueError(f"--figure ({figure}) is written as PNG; name it {figure.stem}.png")
    line = _line(px_per_dioptre, focus)
    disparity = {name: line if name is Quantity.DISPARITY else {} for name in (quantity, result_quantity)}
    if focus is not None and not any(disparity.values()):
        raise ValueError(f"--focus ({focus:g} dioptre) makes a disparity metric; name the file that holds one with "
                         "--quantity disparity or --result-quantity disparity")
    found = read_map(result, scale=result_scale, quantity=result_quantity and result_quantity.value,
                     **disparity[result_quantity])
    known = read_map(reference, scale=scale, quantity=quantity and quantity.value, **disparity[quantity])
    pixels, intrinsics = _camera(reference, result, known.shape, found.shape)
    pixels, intrinsics = px_per_dioptre or pixels, intrinsics if fx is None else _centred(fx, known.shape)
    wanted = None if mask is None else read_mask(mask)
    figures = judge(found, known, mask=wanted, align=align.value, border=border, resize=resize, px_per_dioptre=pixels,
                    intrinsics=intrinsics, regions=None if regions is None else read_regions(regions, known.shape))
    for name, value in (("--px-per-dioptre", px_per_dioptre), ("--fx", fx)):
        if value is not None and figures["scale"] != "metric":
            raise ValueError(f"{name} ({value:g} px) applies to a comparison in dioptres, this one is in {figures['unit']}; "
                             "leave it out, or make the reference metric (--quantity disparity with --focus)")
    found = to_grid(found, known.shape) if resize else found
    if figure is not None:
        _draw(figure, found, known, figures, result, wanted)
    if affine_invariant:
        figures["affine_invariant"] = affine_figures(found, known, figures["scale"], mask=wanted, border=border)
    metrics_table(figures, as_json=as_json)


def _draw(path, found, known, figures, folder, mask):
    """The picture of a comparison, with the all-in-focus image of a result folder where it lies on the same grid."""
    from dfd.io.images import image_size, read_image
    from dfd.report.comparison import comparison_picture

    sharp = folder / "allfocus.tiff"
    fits = sharp.is_file() and tuple(image_size(sharp)) == tuple(known.shape)
    image = read_image(sharp, linear=False).values if fits else None
    comparison_picture(found, known, figures, image=image, mask=mask).save(path)


def _line(px_per_dioptre, focus):
    """What makes a disparity metric: both numbers, or neither where only the px of a benchmark are told."""
    if focus is None:
        return {}
    if px_per_dioptre is None:
        raise ValueError(f"--focus ({focus:g} dioptre) makes a disparity metric only together with --px-per-dioptre; give "
                         "both, or none and fit with --align affine")
    return {"px_per_dioptre": px_per_dioptre, "focus": focus}


def _camera(reference, result, shape, of_result):
    """(px_per_dioptre, intrinsics) of the folder of the reference, else intrinsics of the result where sizes are equal."""
    from dfd.io.maps import map_facts

    pixels, intrinsics = map_facts(reference)
    if intrinsics is None and tuple(shape) == tuple(of_result):
        intrinsics = map_facts(result)[1]
    return pixels, intrinsics


def _centred(fx, shape):
    if not fx > 0:
        raise ValueError(f"--fx ({fx:g} px) must be positive: focal length over pixel pitch")
    return fx, fx, (shape[1] - 1) / 2, (shape[0] - 1) / 2
