"""Blurred images of the board, made without the edge profile: reflectance on fine pixels, transfer function of dfd.psf,
block means.  Means over fine pixels and the mean of those in one pixel are together the square of the pixel, exactly."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from dfd.psf import Psf


def view(board, square, shape, *, angle=0.0, shift=(0.0, 0.0), perspective=(0.0, 0.0)):
    """(3, 3) board m -> px: `square` px per square, turned clockwise by `angle`, the origin in the middle of `shape` plus
    `shift` (x, y), `perspective` the relative change of scale per board half width and half height."""
    scale, (cos, sin) = square / board.square, (math.cos(angle), math.sin(angle))
    turned = np.array([[scale * cos, -scale * sin, 0], [scale * sin, scale * cos, 0],
                       [2 * perspective[0] / board.size[0], 2 * perspective[1] / board.size[1], 1]])
    return np.array([[1, 0, (shape[1] - 1) / 2 + shift[0]], [0, 1, (shape[0] - 1) / 2 + shift[1]], [0, 0, 1]]) @ turned


class Scene:
    """A board in one view: render it at any blur.

    warp   moves image points before they are looked up on the board: (x, y) -> (x, y), for edges that are not straight
    """

    def __init__(self, board, view_matrix, shape, *, fine=4, white=0.8, black=0.05, warp=None):
        self.board, self.view_matrix, self.shape, self.fine = board, np.asarray(view_matrix), shape, fine
        inverse = np.linalg.inv(self.view_matrix)
        half = 0.5 / fine * math.sqrt(abs(np.linalg.det(inverse[:2, :2])))
        picture = np.empty((shape[0] * fine, shape[1] * fine), np.float32)
        x = (np.arange(picture.shape[1]) + 0.5) / fine - 0.5
        for top in range(0, len(picture), 256):
            y = (np.arange(top, min(top + 256, len(picture))) + 0.5) / fine - 0.5
            at_x, at_y = np.meshgrid(x, y)
            if warp is not None:
                at_x, at_y = warp(at_x, at_y)
            depth = inverse[2, 0] * at_x + inverse[2, 1] * at_y + inverse[2, 2]
            place = [(row[0] * at_x + row[1] * at_y + row[2]) / depth for row in inverse[:2]]
            picture[top:top + 256] = board.reflectance(*place, half, white=white, black=black)
        self.spectrum = fft.rfft2(picture)
        self.frequency = [2 * math.pi * fine * values for values in (fft.fftfreq(picture.shape[0])[:, None],
                                                                     fft.rfftfreq(picture.shape[1])[None])]

    def render(self, coc, core, transfer=None):
        """(H, W) float64 without noise; `transfer`(wy, wx) takes the place of the disc's transfer function, without core."""
        wy, wx = self.frequency
        blur = Psf("disk-gaussian", core).otf(coc, wy, wx) if transfer is None \
            else transfer(wy, wx) * np.exp(-0.5 * core**2 * (wy**2 + wx**2))
        picture = fft.irfft2(self.spectrum * blur.astype(np.float32), (self.shape[0] * self.fine, self.shape[1] * self.fine))
        return picture.reshape(self.shape[0], self.fine, self.shape[1], self.fine).mean(axis=(1, 3), dtype=np.float64)


def exposed(image, rng, *, electrons=20000.0, read_noise=3.0):
    """The image as a sensor counts it: Poisson, read-out; white = `electrons`."""
    counted = rng.poisson(np.maximum(image, 0) * electrons) + read_noise * rng.standard_normal(image.shape)
    return (counted / electrons).astype(np.float32)
