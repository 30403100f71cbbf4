"""A calibration shoot: which file shows the target at which distance and focus coordinate, and what each frame shows.

    distances   words and tables of the command line;   shoots   every frame of a shoot
    bracket     the frames of one distance, measured;   sweep   a bracket alone, for breathing
"""
