"""The job of `dfd-calibrate simulate`: whole calibration shoots of a lens that is known, from the target to the RAW file.

    truelens    the lens and camera;   plan   distances, frames and errors;   pose   the board in space
    rendering   one frame, blur its point spread;   noise   flats and darks;   scene   a capture through the same lens
    job, files  what is written
"""
