"""The leaderboard: records in; a table out."""
