"""The flats and darks of a simulated shoot: pairs of an even surface at rising exposures, for `dfd-calibrate noise`."""

from __future__ import annotations

import numpy as np

from calibration.simulate.files import mosaicked, said, write_light, write_marker
from calibration.simulate.rendering import CHANNELS
from calibration.simulate.truelens import TrueLens

EXPOSURES, DARK_PAIRS = 12, 4

_DIMMEST, _BRIGHTEST = 0.04, 0.85  # light in the brightest channel, 1 = white
_F_NUMBER = 8.0
_LONGEST = 0.1  # s
_FLAT, _DARK = 5, 6  # streams of random numbers


def write_flats(folder, lens: TrueLens, *, seed: int, progress=None):
    """Write the folders flats and darks into `folder`: EXPOSURES pairs in geometric progression, DARK_PAIRS of darks."""
    height, width = lens.size
    y, x = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width)[None] - (width - 1) / 2
    shade = lens.vignetting(x, y, _F_NUMBER).astype(np.float32)
    surface = mosaicked(np.stack([shade * np.float32(lens.channel_gain[index]) for index in CHANNELS.values()], axis=2))
    levels = np.geomspace(_DIMMEST, _BRIGHTEST, EXPOSURES)
    total = 2 * (EXPOSURES + DARK_PAIRS)
    shots = [("flats", f"flat_{pair:02d}", level, _FLAT) for pair, level in enumerate(levels)]
    shots += [("darks", f"dark_{pair:02d}", 0.0, _DARK) for pair in range(DARK_PAIRS)]
    for number, (kind, stem, level, stream) in enumerate(shots):
        place = folder / kind
        place.mkdir(exist_ok=True)
        settings = said(lens, None, _F_NUMBER, exposure=_LONGEST * (level or levels[0]) / _BRIGHTEST)
        for twin in (0, 1):
            rng = np.random.default_rng([seed, stream, number, twin])
            write_light(place / f"{stem}{'ab'[twin]}.dng", surface * np.float32(level), lens, rng, settings)
            if progress is not None:
                progress("flats", 2 * number + twin + 1, total)
    for kind in ("flats", "darks"):
        write_marker(folder / kind, kind, [path.name for path in sorted((folder / kind).iterdir())],
                     gain_e_per_dn=lens.gain, read_noise_e=lens.read_noise, black_dn=lens.black)
