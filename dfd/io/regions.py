"""Read the masks of a benchmark scene, named as the HCI benchmark does: mask_planes.png, mask_fine_lowres.png ..."""

from __future__ import annotations

from pathlib import Path

from dfd.io.images import image_size
from dfd.io.maps import read_mask

_NAMES = {"planes": "mask_planes", "surfaces": "mask_smooth_surfaces", "discontinuities": "mask_discontinuities",
          "fine": "mask_fine", "fine_surrounding": "mask_fine_surrounding"}
"""Region of `dfd.evaluate` -> how its file begins."""

_ENDINGS = ("", "_lowres", "_highres")


def read_regions(folder, shape) -> dict:
    """Region -> (H, W) bool, of the masks in `folder` that have the size (H, W) `shape`; others are of another resolution.

    Raises OSError where there is no such folder or mask, or one is damaged; ValueError where none has the size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise OSError(f"{folder}: no such folder; --regions names the folder that holds mask_planes.png and the like")
    found = [(region, path) for region, name in _NAMES.items() for ending in _ENDINGS
             if (path := folder / f"{name}{ending}.png").is_file()]
    if not found:
        raise OSError(f"{folder}: holds none of {', '.join(f'{name}[_lowres|_highres].png' for name in _NAMES.values())}")
    sizes = {path: image_size(path) for _, path in found}
    fitting = {region: read_mask(path) for region, path in found if tuple(sizes[path]) == tuple(shape)}
    if not fitting:
        height, width = sizes[found[0][1]]
        raise ValueError(f"{folder}: {found[0][1].name} is {width} x {height} px but the reference is {shape[1]} x "
                         f"{shape[0]} px, and no other mask fits; take the masks of its resolution")
    return fitting
