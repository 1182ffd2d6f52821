"""Sweeps through Hydra: how configs become cells, and the sweepers and the launcher that run.py teaches it."""

import warnings

# Presets of launchers are checked against the plugins' own of the same name, which is meant. Workers need this too.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")
