"""Where a probe runs: one file a router, each exporting ``build(options) -> Router``."""
