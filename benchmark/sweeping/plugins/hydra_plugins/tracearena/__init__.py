"""What Hydra is taught for this suite: a sweeper that says how long it takes, one that tunes, and a launcher on Ray.

Hydra finds what lies in a package of the name ``hydra_plugins``; ``benchmark.sweeping.discovery`` puts it on the path.
"""
