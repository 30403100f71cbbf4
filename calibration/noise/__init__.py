"""The job of `dfd-calibrate noise`: gain, read noise, black level and linearity.

    transfer     photon transfer of pairs;   patches   the image files, central region of each
    radiometry   files -> noise per ISO -> LensProfile;   stack   a labelled estimate from one stack
"""
