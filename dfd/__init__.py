"""Metric depth, with honest uncertainty, from several differently focused images of a real camera.

    import dfd
    capture = dfd.read_capture("stack/")
    result = dfd.estimate_depth(capture)
    result.depth, result.depth_sigma        # metres
"""

from importlib import import_module

_PUBLIC = {
    "read_capture": "dfd.pipeline",
    "read_light_field": "dfd.io.lightfield",
    "estimate_depth": "dfd.pipeline",
    "stream": "dfd.streaming",
    "compare": "dfd.evaluate",
    "affine_errors": "dfd.affine",
    "show": "dfd.report.show",
    "simulate": None,
    "ThinLens": "dfd.optics",
    "Psf": "dfd.psf",
    "MeasuredPsf": "dfd.measured",
    "FieldPsf": "dfd.fieldpsf",
    "Noise": "dfd.noise",
    "CameraSettings": "dfd.settings",
    "Value": "dfd.settings",
    "LensProfile": "dfd.profile",
    "View": "dfd.capture",
    "Capture": "dfd.capture",
    "FocalStack": "dfd.capture",
    "AperturePair": "dfd.capture",
    "DualPixelPair": "dfd.capture",
    "DifferentialQuad": "dfd.capture",
    "DepthMap": "dfd.depthmap",
    "LightField": "dfd.lightfield",
    "reference_depth": "dfd.references",
    "ViewCamera": "dfd.lightfield",
    "KnownDepth": "dfd.anchors",
    "anchored": "dfd.anchors",
}
"""Public name -> the module that holds it (None: the name is a module); loaded when first used."""

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name):
    if name == "__version__":
        return _version()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dfd' has no attribute {name!r}")
    home = _PUBLIC[name]
    return import_module(f"dfd.{name}") if home is None else getattr(import_module(home), name)


def __dir__():
    return __all__


def _version():
    """Looked up when asked for: what reads it takes longer to load than the rest of this file."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("depth-from-defocus")
    except PackageNotFoundError:  # a source tree on PYTHONPATH, not installed
        return "0+source"
