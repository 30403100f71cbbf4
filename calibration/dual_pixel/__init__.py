"""The job of `dfd-calibrate dual-pixel`: flats at known distances -> kappa and focus over the picture.

    job      flats -> field;   flats   reads and measures them;   tiles   their disparities;   field   the surface through
             them
    checks   what makes a shoot doubtful;   report   what is printed
"""
