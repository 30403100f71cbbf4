"""Hot loops, compiled: numba for the CPU, and an array-level reference that tests hold them against."""
