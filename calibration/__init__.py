"""Measure a lens and a camera, and write what was found into a LensProfile file; the command `dfd-calibrate`.

    noise        photon transfer: gain, read noise, black level and linearity from pairs of flats and darks
    patches      the image files of a calibration: the central region of each, in DN, and which files are pairs
    radiometry   the job of `dfd-calibrate noise`: files -> noise per ISO -> LensProfile
    dual_pixel   the job of `dfd-calibrate dual-pixel`: flats at known distances -> kappa and focus over the picture;
                 _flats reads and measures them, _tiles finds disparities, _field is the field, _report the table
    edges        blur of the board's edges in one image; edge_fit is the fit of one, edge_pixels its pixels, esf the profile,
                 illumination what all edges tell of the light, edge_core the core of the profile from a bracket
    cli          the command line

The contract with `dfd` is the LensProfile JSON (schema 1, `dfd.lensfile`) and nothing else: this package may use dfd's
layers below its command line, and no file of dfd imports it.
"""
