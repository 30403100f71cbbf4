"""Measure a lens and a camera, and write what was found into a LensProfile file; the command `dfd-calibrate`.

    target       the printed board and how it is found in an image;   targets   draws it as PDF, SVG, PNG
    shoot        which frames at which distance and focus, and what each of them shows;   edges   how blurred they are
    focus        focus law, fx, pupil, field: the joint fit;   breathing   image scale over focus alone
    psf          kernels over field and defocus, vignetting;   noise   gain and read noise
    dual_pixel   kappa and focus of a dual-pixel sensor
    simulate     whole shoots of a known lens;   report   a profile as a page
    sidecar      the arrays beside a profile;   cli   the command line

The contract with `dfd` is the LensProfile JSON (schema 1, `dfd.lensfile`) and nothing else: this package may use dfd's
layers below its command line, and no file of dfd imports it.
"""
