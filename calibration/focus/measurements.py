"""What the frames of a focus calibration show, as one table per station, frame and edge: all that the joint fit sees."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

CHANNELS = ("R", "G", "B")


@dataclass(frozen=True, eq=False)
class FocusData:
    """Measurements of S stations (target distances), F frames and E edges; every array NumPy, one row each.

    distance, distance_sigma   (S,) tape reading [m] and its 1-sigma, from the origin that the shoot names
    station        (F,) int index of the station;   coordinate   (F,) focus coordinate, unit of the shoot
    f_number       (F,) marked f-number
    scale, scale_sigma   (F,) px per metre of the board at its origin, square to the axis: fx / z there
    tilt           (F, 2) change of depth per metre along the board's x and y (positive = farther), no unit
    frame          (E,) int index of the frame;   channel   (E,) int, index in CHANNELS
    place          (E, 2) x, y px of the edge's middle from the middle of the image (x right, y down)
    board          (E, 2) x, y m of the same place on the board
    coc, coc_sigma (E,) px, blur without sign (diameter of the disc of our edge profile) and its 1-sigma
    """

    distance: np.ndarray
    distance_sigma: np.ndarray
    station: np.ndarray
    coordinate: np.ndarray
    f_number: np.ndarray
    scale: np.ndarray
    scale_sigma: np.ndarray
    tilt: np.ndarray
    frame: np.ndarray
    channel: np.ndarray
    place: np.ndarray
    board: np.ndarray
    coc: np.ndarray
    coc_sigma: np.ndarray

    def __post_init__(self):
        for names in (("distance", "distance_sigma"), ("station", "coordinate", "f_number", "scale", "scale_sigma", "tilt"),
                      ("frame", "channel", "place", "board", "coc", "coc_sigma")):
            lengths = {name: len(getattr(self, name)) for name in names}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"columns of one table have different lengths: {lengths}")

    def arrays(self) -> dict[str, np.ndarray]:
        """Every column by name, as they are kept beside a profile."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def without_station(self, station: int) -> FocusData:
        """The measurements of all stations but one."""
        frames = np.flatnonzero(self.station != station)
        number = np.full(len(self.station), -1)
        number[frames] = np.arange(len(frames))
        edges = np.flatnonzero(number[self.frame] >= 0)
        return replace(
            self, distance=np.delete(self.distance, station), distance_sigma=np.delete(self.distance_sigma, station),
            station=self.station[frames] - (self.station[frames] > station), coordinate=self.coordinate[frames],
            f_number=self.f_number[frames], scale=self.scale[frames], scale_sigma=self.scale_sigma[frames],
            tilt=self.tilt[frames], frame=number[self.frame[edges]], channel=self.channel[edges], place=self.place[edges],
            board=self.board[edges], coc=self.coc[edges], coc_sigma=self.coc_sigma[edges])
