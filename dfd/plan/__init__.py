"""How to take a capture: the best focus distances and apertures of every kind, and the sigma of depth to expect.

    from dfd.plan import Setup, plan
    setup = Setup(focal_length=0.05, f_number=8.0, pixel_pitch=6e-6, near=0.8, far=1.2, full_well=20000)
    for proposal in plan(setup):
        print(proposal.kind, [frame.focus_distance for frame in proposal.frames], proposal.worst)
"""

from dfd.plan.estimator import LIKELIHOOD, PLAIN, Estimator
from dfd.plan.search import KINDS, Proposal, plan
from dfd.plan.setup import EXPOSURES, Frame, Setup

__all__ = ["EXPOSURES", "KINDS", "LIKELIHOOD", "PLAIN", "Estimator", "Frame", "Proposal", "Setup", "plan"]
