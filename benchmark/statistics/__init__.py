"""Pure functions of arrays: distances between distributions, and resampling."""
