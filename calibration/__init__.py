"""Measure a lens and a camera, and write what was found into a LensProfile file; the command `dfd-calibrate`.

The target
    board        its geometry: squares, markers, dots, noise;   targets   draws it as PDF, SVG, PNG
    detection    the board in an image: _markers reads ids, _grid finds it without, _match places corners and dots; pose is
                 what they say of its place
    esf, edges   blur of the board's sides by a fitted profile: edge_fit is the fit of one, edge_pixels its pixels,
                 illumination what all of them tell of the light;   core   the Gaussian core, from a bracket
A shoot
    distances    which folder or file shows the target at which distance;   shoots   every frame with its focus coordinate
    bracket      the frames of one distance, measured;   measurements   all that they show, as tables
Jobs, one per command
    focus        focus law, fx, pupil, field: _start, _model, _fit and law are the joint fit, holdout leaves distances out,
                 _profile writes, _report prints
    psf          kernels over field and defocus: _sights finds where and how blurred, _fit and _solve measure pixel by
                 pixel, _model is the parametric form;   vignetting   fall-off of light, from flats
    breathing    image scale over focus, of focus_sweep's frames
    radiometry   noise per ISO: patches reads, noise is photon transfer;   stack_noise   an estimate from one stack
    dual_pixel   kappa and focus over the picture: _flats, _tiles, _field, _checks, _report
    simulate     whole shoots of a known lens: truelens, rendering, _plan, _scene, _files
    report       a profile as a page;   sidecar   the arrays beside a profile;   cli   the command line

The contract with `dfd` is the LensProfile JSON (schema 1, `dfd.lensfile`) and nothing else: this package may use dfd's
layers below its command line, and no file of dfd imports it.
"""
