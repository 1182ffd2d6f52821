"""What Hydra is taught for this suite: a sweeper that says how long it takes, one that tunes, and a launcher on Ray.

Hydra finds plugins in the folder ``hydra_plugins`` by itself. Everything else about Hydra is in run.py.
"""

import warnings

# Presets of launchers are checked against the plugins' own of the same name, which is meant. Workers need this too.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")
