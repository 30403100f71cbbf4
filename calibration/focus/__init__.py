"""The job of `dfd-calibrate focus`: focus law, fx, entrance pupil, field, with one covariance.

    job            brackets -> calibration;   measurements   what frames and edges show, as tables
    law, model     the forward model;   start, fit, system, robust   the joint fit;   holdout   distances left out
    profile        into a LensProfile;   report   what is printed
"""
