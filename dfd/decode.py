"""Decode every frame once: its luminance into room in memory or on disk, and what noise and brightness need of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dfd import imaging, noise, prepare
from dfd.io import frames as reader
from dfd.io.scratch import darkest, exact, in_memory, new_frames, serves
from dfd.io.sources import Source
from dfd.noise import Noise
from dfd.threads import in_order

_COARSE_PIXELS = 0.3e6
"""Most pixels of the small image that brightness is matched on."""

_NOISE_PIXELS = 6e6
"""Pixels of all frames together that the noise is estimated from."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """All frames of a source, neither registered nor equally bright.

    images       (K, H, W) float32 array or io.scratch.Scratch, linear, 0 = black, 1 = white, NaN = saturated
    pyramids     K prepare.Pyramid, what alignment looks at
    coarse       K small images, `factor` times reduced, NaN = saturated: what brightness is matched on
    noises       the Noise of each frame;   noise_from   in words, where it comes from
    """

    images: np.ndarray
    pyramids: list
    coarse: list[np.ndarray]
    factor: int
    noises: list[Noise]
    noise_from: str


@dataclass(frozen=True, eq=False)
class _Part:
    """What is kept of a frame when its pixels are stored; bands: see noise.bands, None where nobody needs them."""

    plane: reader.Plane
    pyramid: object
    coarse: np.ndarray
    bands: np.ndarray | None


def decode_frames(source: Source, *, reduction: int, factors: tuple[float, float], workers: int, report) -> Decoded:
    """Decode all frames in threads (the readers release the lock), reduced by a whole factor.

    factors   smallest and largest by which brightness will be multiplied;   report   called as report("decode", done, total)
    Raises OSError for a file and for a disk that cannot hold the frames, ValueError for values.
    """
    import dfd.kernels.tables  # noqa: F401  the compiler is loaded here, not by all threads at once

    count, parts, images = len(source.frames), [], None
    height, width = (length // reduction for length in reader.image_size(source.frames[0].path))
    factor = max(1, math.ceil(math.sqrt(height * width / _COARSE_PIXELS)))
    share, asked = int(_NOISE_PIXELS / min(count, noise.FRAMES)), _asked(source)
    report("decode", 0, count)

    def decode(index):
        plane = reader.read_luminance(source.frames[index])
        image = imaging.reduce(plane.image, reduction) if reduction > 1 else plane.image
        bands = noise.bands(image, share, first=index) if index in asked else None
        return image, _Part(replace(plane, image=None), prepare.pyramid(image, frames=count),
                            prepare.coarse(image, factor), bands)

    for image, part in in_order(decode, range(count), workers):
        if images is None:
            small = in_memory((count, *image.shape))
            first = None if small else _own_noise(source, part, reduction)
            images = new_frames((count, *image.shape), first, factors, darkest=darkest(image))
        if not small and not serves(images, image, _own_noise(source, part, reduction), factors):
            images = exact(images, len(parts))
        images[len(parts)] = image
        parts.append(part)
        report("decode", len(parts), count)
    found, noise_from = noises_of(source, [part.plane for part in parts], [part.bands for part in parts], reduction)
    return Decoded(images, [part.pyramid for part in parts], [part.coarse for part in parts], factor, found, noise_from)


def even_views(source: Source, decoded: Decoded, reduction: int) -> np.ndarray | None:
    """The factor that made the right view of a dual-pixel pair as bright as the left one, where one was needed and no white
    sheets say it: (H, W) float32, already applied to `decoded`, in place; reduction: of its images."""
    if source.kind != "dual-pixel" or source.frames[1].sheets is not None:
        return None
    ratio = prepare.view_ratio(decoded.images[0], decoded.images[1], reduction=reduction)
    if ratio is not None:
        decoded.images[1] = decoded.images[1] * ratio
        decoded.coarse[1] = prepare.coarse(decoded.images[1], decoded.factor)
        decoded.noises[1] = decoded.noises[1].scaled(float(ratio.mean()))
    return ratio


def register(images, matrices, gains, kept, report):
    """Bring the kept frames onto the reference grid, equally bright, each resampled once; they take the first places.

    images   as in Decoded, changed in place;   kept   ascending indices of frames
    Returns (len(kept), H, W) images of the same kind.
    """
    report("register", 0, len(kept))
    for place, index in enumerate(kept):
        if place != index or gains[index] != 1 or not np.array_equal(matrices[index], np.eye(3)):
            image = imaging.warp(images[index], matrices[index])
            image *= np.float32(gains[index])
            images[place] = image
        report("register", place + 1, len(kept))
    return images[:len(kept)] if isinstance(images, np.ndarray) else images.head(len(kept))


def _asked(source):
    """Indices of the frames that are asked for their noise, evenly spread; none where it is stated."""
    if source.gain_e_per_dn is not None and source.read_noise_e is not None:
        return ()
    count = len(source.frames)
    return tuple(int(index) for index in np.linspace(0, count - 1, min(count, noise.FRAMES)))


def _own_noise(source, part, reduction):
    """The noise that one frame shows or its source states; None where it was not asked."""
    stated = _asked(source) == ()
    return noises_of(source, [part.plane], [part.bands], reduction)[0][0] if stated or part.bands is not None else None


def noises_of(source: Source, planes, bands, reduction: int) -> tuple[list[Noise], str]:
    """(noise of each image before its brightness is matched, where it comes from): a stated number always wins.

    planes   of each image, their own image may be None;   bands   of each image, see noise.bands; None: not asked
    """
    gain, read = source.gain_e_per_dn, source.read_noise_e
    stated = [_stated_noise(plane, 1.0 if gain is None else gain, 0.0 if read is None else read, reduction)
              for plane in planes]
    if gain is not None and read is not None:
        return stated, "stated"
    known = stated[0].taps if all(reader.is_raw(frame.path) for frame in source.frames) else None
    found = noise.estimate(np.concatenate([band for band in bands if band is not None]), taps=known)
    if gain is not None:
        floor = found.read_noise / found.gain
        return [replace(item, read_noise=floor * item.gain) for item in stated], "gain stated, the rest from the images"
    if read is not None:
        return [replace(item, gain=found.gain) for item in stated], "read noise stated, the rest from the images"
    return [found] * len(planes), "the images themselves"


def _stated_noise(plane, gain, read, reduction):
    """The camera's numbers through what its pixels went through: channels averaged, filtered, blocks averaged."""
    camera = Noise.from_camera(gain, read * math.sqrt(plane.reads), plane.dn_range).averaged(plane.share).scaled(plane.gain)
    if reduction == 1:
        return camera.filtered(plane.taps)
    passed = np.convolve(plane.taps, np.full(reduction, 1 / reduction))
    return camera.averaged(float(np.sum(passed**2)) ** 2)
