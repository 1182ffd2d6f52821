"""The static site: pages made from a board, which open from a file and need no network."""

from leaderboard.site.build import build_site

__all__ = ["build_site"]
