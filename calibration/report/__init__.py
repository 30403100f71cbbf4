"""The report of a lens profile: every number with its sigma, what was measured beside what was fitted, and what to expect.

    profile_data   the profile with its arrays; the blur of its frames, moved to the middle of the picture
    expected       sigma of depth over the range, the part of the lens and that of the image
    gates          what makes a profile good enough, and the sentences where it is not
    numbers        the table
    plots          curves of the focus calibration;   pictures   fields, kernels, photon transfer, vignetting
    sections       which plots and tables stand under which heading;   summary   what stands above them
    document       the file: HTML;   paper   PDF
"""

from calibration.report.document import write_report
from calibration.report.gates import failures

__all__ = ["failures", "write_report"]
