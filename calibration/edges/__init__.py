"""Blur of the target's edges by a fitted profile: disc, Gaussian core, square of a pixel.

    esf          the profile;   pixels   those of one edge;   fit   of one edge;   illumination   the light over all of them
    measure      every edge of an image;   core   the Gaussian core, from a bracket
"""
