"""The job of `dfd-calibrate psf`: kernels over field and defocus from the noise patches of the target; vignetting.

    job      frames -> kernels;   sights   where they are and how blurred;   fit, solve   kernels pixel by pixel
    model    their parametric form;   report   what is printed;   vignetting   fall-off of light, from flats
"""
