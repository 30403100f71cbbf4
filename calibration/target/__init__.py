"""The printed target: its geometry, and the board in an image.

    board       squares, markers, dots, noise, exact to the last digit (calibration.targets draws it)
    detection   find it in a sharp frame, follow it into blurred ones; markers reads ids, grid finds it without, match places
                corners and dots
    pose        what they say of where it stands
"""
