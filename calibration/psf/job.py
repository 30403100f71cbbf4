"""The job of `dfd-calibrate psf`: frames of the target -> kernels over field and defocus -> the psf of a LensProfile.

    sights   where frames show noise squares, and their signed coc     (calibration.psf.sights)
    choose   for every square and blur, the frames that share a kernel
    fit      the kernel pixel by pixel, then its parametric model      (calibration.psf.fit, calibration.psf.model)
"""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

import numpy as np

from calibration.noise.radiometry import new_profile
from calibration.psf.fit import KernelEstimate, fit_patches, noise_patch
from calibration.psf.model import MODEL, KernelFit, fit_kernel
from calibration.psf.sights import Sight, find_sights
from calibration.shoot.bracket import read_planes
from calibration.shoot.shoots import Shoot
from calibration.target.board import Board
from dfd import __version__
from dfd.io.integrity import sha256
from dfd.lensfile import section
from dfd.threads import worker_count

ESTIMATOR = "nnls_centroid_v1"
"""How kernels were measured: non-negative least squares, centred on their centroid."""

LEVELS = (2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0, 23.0)
"""|coc| [px] at which kernels are wanted, on either side of focus."""

MOST_FRAMES = 4

_NEAR_LEVEL = (0.5, 0.17)  # px, share: how far from a level a frame may lie
_ALIKE = (0.12, 0.025)  # px, share: blurs that share a kernel
_SAME_PLACE = 0.15  # of the half diagonal
_SIGNED = 1.8  # px; the field is curved, so best focus of the target is not that of every square
_LEAST_SPAN = 3.0  # sides of a square over |coc|


@dataclass(frozen=True, eq=False)
class PsfNode:
    """The kernel of one place, f-number and signed coc [px].

    place    (x, y) px from the middle of the image;   square   of the target
    sights   the frames it was measured in;   estimate, fit   both tiers
    """

    place: tuple[float, float]
    f_number: float
    coc: float
    square: int
    sights: tuple[Sight, ...]
    estimate: KernelEstimate
    fit: KernelFit


@dataclass(frozen=True, eq=False)
class PsfField:
    """All kernels of a shoot, by f-number, square and coc; `rejected` says what was left out."""

    shoot: Shoot
    nodes: tuple[PsfNode, ...]
    rejected: tuple[str, ...]


def calibrate_psf(shoot: Shoot, board: Board, *, profile=None, origin: str = "sensor", levels=LEVELS,
                  workers: int | None = None, progress=None) -> PsfField:
    """Measure the kernels of a lens over the field, on both sides of focus.

    board     the target in its printed size;   profile, origin   see psf_sights.find_sights
    levels    |coc| [px] at which kernels are wanted;   workers   kernels measured at a time, default all cores
    Raises OSError for files; ValueError where no board is found, blur has no sign, or no kernel can be measured.
    """
    sights, told = find_sights(shoot, board, profile=profile, origin=origin, workers=workers, progress=progress)
    groups = choose(sights, levels, half_diagonal=math.hypot(*shoot.size) / 2)
    if not groups:
        raise ValueError(f"no noise square of the target has a blur of about {levels[0]:g} px or more, and size enough, "
                         f"in any of {len(shoot.shots)} frames "
                         f"({'; '.join(told[:3]) or 'they are all sharp, or too far away'}); take focus steps on both "
                         "sides of the target, near enough that it fills the picture")
    patches, lost = _patches(groups, board)
    nodes, failed = _measured(groups, patches, board, workers, progress)
    if not nodes:
        raise ValueError(f"no kernel could be measured: {'; '.join([*lost, *failed][:3])}")
    nodes.sort(key=lambda node: (node.f_number, node.square, node.coc))
    return PsfField(shoot, tuple(nodes), tuple(dict.fromkeys([*told, *lost, *failed])))


def choose(sights, levels=LEVELS, *, half_diagonal: float) -> list[tuple[Sight, ...]]:
    """Groups of sights that share a kernel: one f-number, one square, nearly one place of the image and one blur.

    The place of a square is that of the frames which show it largest, and so farthest out.
    """
    groups, cells = [], {}
    for sight in sights:
        cells.setdefault((sight.f_number, sight.square), []).append(sight)
    for members in cells.values():
        home = max(members, key=lambda sight: sight.span).place
        near = [sight for sight in members if math.dist(sight.place, home) <= _SAME_PLACE * half_diagonal
                and sight.span >= _LEAST_SPAN * abs(sight.coc)]
        taken = set()
        for level in [sign * level for sign in (-1, 1) for level in levels]:
            free = [sight for sight in near if id(sight) not in taken]
            first = min(free, key=lambda sight: abs(sight.coc - level), default=None)
            if first is None or abs(first.coc - level) > max(_NEAR_LEVEL[0], _NEAR_LEVEL[1] * abs(level)):
                continue
            alike = [sight for sight in free if abs(sight.coc - first.coc) <= max(_ALIKE[0], _ALIKE[1] * abs(first.coc))]
            group = sorted(alike, key=lambda sight: (sight is not first, -sight.span))[:MOST_FRAMES]
            taken |= {id(sight) for sight in group}
            groups.append(tuple(group))
    return groups


def into_profile(found: PsfField, data: dict | None = None) -> tuple[dict, dict[str, np.ndarray]]:
    """(content of a LensProfile with these kernels, arrays of its sidecar); `data` is updated, all else in it is kept.

    The kernels, pixel by pixel, are "psf/kernels" (n, s, s) float32 of the n nodes "psf/nodes" (n, 4): x, y [px from the
    middle of the image], f-number, signed coc [px]; "psf/cov" (n, 11, 11) belongs to the parameters.
    """
    shoot, settings = found.shoot, found.shoot.settings
    data = new_profile(_Camera(shoot)) if data is None else copy.deepcopy(data)
    other = section(data, "camera").get("model")
    if other and settings.model and other != settings.model:
        raise ValueError(f"the profile is of camera {other}, the frames are of {settings.model}; write another file with -o")
    data["created_utc"] = datetime.now(UTC).isoformat(timespec="seconds")
    data["tool"] = {"name": "dfd-calibrate psf", "version": __version__}
    kept = section(data, "psf")
    cores = np.array([node.fit.params[10] for node in found.nodes])
    core = {} if kept.get("core_px") is not None else {
        "core_px": float(np.median(cores)),
        "core_sigma_px": float(1.4826 * np.median(np.abs(cores - np.median(cores))) / math.sqrt(len(cores)))}
    data["psf"] = {**kept, **core, "model": MODEL, "kernel_estimator_id": ESTIMATOR, "nonparam": "npz:psf/kernels",
                   "nodes": [_entry(node, index) for index, node in enumerate(found.nodes)]}
    provenance = data["provenance"] = data.get("provenance") or {}
    paths = dict.fromkeys(sight.path for node in found.nodes for sight in node.sights)
    inputs = [{"file": f"{path.parent.name}/{path.name}", "sha256": sha256(path), "role": "psf"} for path in paths]
    provenance["inputs"] = [item for item in provenance.get("inputs") or [] if item.get("role") != "psf"] + inputs
    return data, _arrays(found.nodes)


def _entry(node, index):
    return {"x": round(node.place[0], 2), "y": round(node.place[1], 2), "f_number": node.f_number,
            "c_signed_px": round(node.coc, 4), "params": node.fit.params.tolist(), "sigma": node.fit.sigma.tolist(),
            "cov": f"npz:psf/cov_{index:03d}", "residual_l2": node.fit.residual_l2, "n_frames": len(node.sights),
            "noise_rel": float(np.mean(node.estimate.residual))}


def _arrays(nodes):
    size = max(len(node.estimate.kernel) for node in nodes)
    kernels = np.stack([np.pad(node.estimate.kernel, (size - len(node.estimate.kernel)) // 2) for node in nodes])
    places = np.array([[*node.place, node.f_number, node.coc] for node in nodes])
    return {"psf/kernels": kernels.astype(np.float32), "psf/nodes": places,
            **{f"psf/cov_{index:03d}": node.fit.covariance for index, node in enumerate(nodes)}}


def _patches(groups, board):
    """(sight's id -> NoisePatch or None, sentences on those that tell nothing); every file is read once."""
    found, lost, by_path = {}, [], {}
    for group in groups:
        for sight in group:
            by_path.setdefault(sight.path, []).append(sight)
    for path, members in by_path.items():
        image, mask = read_planes(path).channels[1]
        for sight in members:
            try:
                found[id(sight)] = noise_patch(image, sight.matrix, board, sight.square, mask=mask)
            except ValueError as error:
                lost.append(f"{path.parent.name}/{path.name}: {error}")
    return found, lost


def _measured(groups, patches, board, workers, progress):
    """(nodes, sentences on the groups that failed)."""
    failed, done, lock = [], [0], Lock()

    def one(group):
        group = tuple(sight for sight in group if id(sight) in patches)
        try:
            return _node(group, [patches[id(sight)] for sight in group], board) if group else None
        except ValueError as error:
            first = group[0]
            name = f"{first.path.parent.name}/{first.path.name}"
            with lock:
                failed.append(f"{name}, square {first.square}, coc {first.coc:+.1f} px: {error}")
            return None
        finally:
            with lock:
                done[0] += 1
                if progress is not None:
                    progress("measure kernels", done[0], len(groups))

    with ThreadPoolExecutor(worker_count(workers)) as pool:
        nodes = [node for node in pool.map(one, groups) if node is not None]
    return nodes, failed


def _node(group, patches, board):
    """The node of one group; without a focus law its |coc| is the diameter of the disc as large as the kernel."""
    coc = float(np.mean([sight.coc for sight in group]))
    estimate = fit_patches(patches, board, coc=coc)
    fit = fit_kernel(estimate.kernel)
    place = tuple(float(value) for value in np.mean([sight.place for sight in group], axis=0))
    if not group[0].by_law:
        if fit.diameter < _SIGNED:
            raise ValueError(f"blurred by {fit.diameter:.1f} px here, at least {_SIGNED:g} px are needed to tell its "
                             "sign; a profile with a focus law tells it")
        coc = math.copysign(fit.diameter, coc)
    return PsfNode(place, group[0].f_number, coc, group[0].square, tuple(group), estimate, fit)


class _Camera:
    """What `new_profile` asks of a shoot."""

    def __init__(self, shoot):
        self.make, self.model, self.size, self.raw = shoot.settings.make, shoot.settings.model, shoot.size, shoot.raw
