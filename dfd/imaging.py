"""Filter and resample images: luminance, box mean, Gaussian, sharp warp, area reduction; through OpenCV or cupyx.

Results are float32 on the device of the input, inputs are never written.  Borders are reflected with the edge pixel
repeated.  NaN means "no data": a filtered pixel is NaN exactly where its window touches one (running sums would
otherwise smear a single NaN over whole rows).
"""

from __future__ import annotations

import math

import numpy as np

from dfd.backend import array_module, scipy_module, to_numpy

REC709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luminance weights of linear R, G, B."""


def luminance(values: np.ndarray) -> np.ndarray:
    """(H, W) float32 of linear grey (H, W) or RGB (H, W, 3)."""
    return values if values.ndim == 2 else values @ REC709


def box_mean(images, size: int):
    """Mean over a `size` x `size` window [px, odd] of (..., H, W) images.  Raises ValueError for an even size."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size ({size} px) of a box must be odd and positive")
    return _filtered(images, lambda plane: _box(plane, size), reach=size // 2)


def gaussian(images, sigma: float):
    """Gaussian of std `sigma` [px, >= 0], cut at 4 sigma, of (..., H, W) images; sigma 0 returns a float32 copy."""
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma ({sigma:g} px) of a Gaussian must be zero or positive")
    if sigma == 0:
        return array_module(images).array(images, dtype=np.float32)
    reach = math.ceil(4 * sigma)
    return _filtered(images, lambda plane: _gaussian(plane, sigma, reach), reach=reach)


def median5(image):
    """Median over 5 x 5 px of an (H, W) float32 image without NaN; the border repeats its edge pixels."""
    if array_module(image) is np:
        import cv2

        return cv2.medianBlur(np.ascontiguousarray(image, dtype=np.float32), 5)
    return scipy_module(image).ndimage.median_filter(image, size=5, mode="nearest")


def separable(image, down, right):
    """An (H, W) float image correlated with 1-D weights `down` in y and `right` in x; zero beyond the border."""
    xp = array_module(image)
    if xp is np:
        import cv2

        return cv2.sepFilter2D(image, -1, right, down, borderType=cv2.BORDER_CONSTANT)
    correlate = scipy_module(image).ndimage.correlate1d
    return correlate(correlate(image, xp.asarray(down), axis=0, mode="constant"), xp.asarray(right), axis=1, mode="constant")


def correlate(image, kernel):
    """An (H, W) image correlated with a small (n, n) NumPy kernel, n odd; NaN where the kernel touches one."""
    return _filtered(image, lambda plane: _correlate(plane, kernel), reach=len(kernel) // 2)


def inside(known, width: int):
    """`known`, (H, W) bool, without what lies within `width` px of the border, where mirrored images have other derivatives.

    An image that is nothing but border is returned as it is.
    """
    if min(known.shape) <= 2 * width:
        return known
    inner = array_module(known).zeros(known.shape, dtype=bool)
    inner[width:-width, width:-width] = known[width:-width, width:-width]
    return inner


def modified_laplacian(image, step: int = 1):
    """|second difference in x| + |second difference in y| of an (H, W) image, neighbours `step` px away (>= 1)."""
    xp = array_module(image)
    padded = xp.pad(image, step, mode="reflect")
    middle = 2 * image
    across = xp.abs(middle - padded[step:-step, 2 * step:] - padded[step:-step, :-2 * step])
    return across + xp.abs(middle - padded[2 * step:, step:-step] - padded[:-2 * step, step:-step])


def warp(image, matrix, *, shape: tuple[int, int] | None = None):
    """`image` seen through a map: out[y, x] = image at matrix @ (x, y, 1); NaN where that lies outside the image.

    image    (H, W) or (H, W, C)
    matrix   (2, 3) affine or (3, 3) homogeneous, OUTPUT pixel (x, y) -> INPUT pixel, pixel centres at whole numbers
    shape    (H, W) of the output, default that of the input

    Identity and whole-pixel shifts copy the values bit for bit.  Anything else is one resampling with the sharp kernel
    of `dfd.kernels.resample` (modulation within 1 % up to 0.35 cycles/px at every sub-pixel phase).
    Raises ValueError for a matrix of another shape, not finite or singular.
    """
    matrix = full_matrix(matrix)
    shape = tuple(image.shape[:2]) if shape is None else tuple(shape)
    if image.ndim == 3:
        planes = [warp(image[..., channel], matrix, shape=shape) for channel in range(image.shape[2])]
        return array_module(image).stack(planes, axis=-1)
    if np.array_equal(matrix, np.round(matrix)) and np.array_equal(matrix[:, :2], np.eye(3)[:, :2]):
        return _shifted(image, int(matrix[0, 2]), int(matrix[1, 2]), shape)
    from dfd.kernels.resample import resample, resample_arrays

    return resample(image, matrix, shape) if array_module(image) is np else resample_arrays(image, matrix, shape)


def full_matrix(matrix) -> np.ndarray:
    """A (2, 3) or (3, 3) map as (3, 3) float64 with a last entry of 1.  Raises ValueError when it is not a map."""
    given = np.asarray(to_numpy(matrix), dtype=np.float64)
    if given.shape not in ((2, 3), (3, 3)):
        raise ValueError(f"matrix (shape {given.shape}) must be 2 x 3 or 3 x 3, output px -> input px")
    full = np.vstack([given, [0.0, 0.0, 1.0]]) if given.shape == (2, 3) else given
    if not np.isfinite(full).all() or full[2, 2] == 0 or abs(np.linalg.det(full[:2, :2])) < 1e-6:
        raise ValueError(f"matrix {full.tolist()} must be finite and invertible")
    return full / full[2, 2]


def reduce(image, factor: int):
    """Area mean over `factor` x `factor` blocks of (H, W) or (H, W, C); an incomplete last row or column is dropped.

    Output pixel (x, y) has its centre at input ((x + 0.5) * factor - 0.5, ...).  Raises ValueError for a factor below 1
    or larger than the image.
    """
    height, width = (length // factor if factor >= 1 else 0 for length in image.shape[:2])
    if factor != int(factor) or min(height, width) < 1:
        raise ValueError(f"factor ({factor}) of a reduction must be a whole number from 1 to the image size "
                         f"({image.shape[1]} x {image.shape[0]} px)")
    xp = array_module(image)
    image = image[:height * factor, :width * factor].astype(np.float32, copy=False)
    if factor == 1:
        return image
    if xp is np:
        import cv2

        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, *image.shape[2:])
    blocks = image.reshape(height, factor, width, factor, *image.shape[2:])
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _filtered(images, kernel, *, reach):
    """`kernel` on every (H, W) plane, kept away from NaN."""
    xp = array_module(images)
    if images.ndim > 2:
        return xp.stack([_filtered(plane, kernel, reach=reach) for plane in images])
    plane = images.astype(np.float32)
    missing = xp.isnan(plane)
    if not bool(missing.any()):
        return kernel(plane)
    touched = _box(missing.astype(np.float32), 2 * reach + 1) > 0.5 / (2 * reach + 1) ** 2
    return xp.where(touched, xp.float32(np.nan), kernel(xp.where(missing, xp.float32(0), plane)))


def _box(plane, size):
    if array_module(plane) is np:
        import cv2

        return cv2.boxFilter(plane, -1, (size, size), borderType=cv2.BORDER_REFLECT)
    return scipy_module(plane).ndimage.uniform_filter(plane, size, mode="reflect")


def _correlate(plane, kernel):
    xp = array_module(plane)
    if xp is np:
        import cv2

        return cv2.filter2D(plane, -1, kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT)
    return scipy_module(plane).ndimage.correlate(plane, xp.asarray(kernel, dtype=np.float32), mode="reflect")


def _gaussian(plane, sigma, reach):
    if array_module(plane) is np:
        import cv2

        return cv2.GaussianBlur(plane, (2 * reach + 1,) * 2, sigma, borderType=cv2.BORDER_REFLECT)
    return scipy_module(plane).ndimage.gaussian_filter(plane, sigma, mode="reflect", truncate=reach / sigma)


def _shifted(image, right, down, shape):
    """out[y, x] = image[y + down, x + right], NaN outside: an exact copy."""
    xp = array_module(image)
    out = xp.full(shape, np.nan, dtype=np.float32)
    rows = slice(max(0, -down), min(shape[0], image.shape[0] - down))
    columns = slice(max(0, -right), min(shape[1], image.shape[1] - right))
    if rows.start < rows.stop and columns.start < columns.stop:
        out[rows, columns] = image[rows.start + down:rows.stop + down, columns.start + right:columns.stop + right]
    return out
