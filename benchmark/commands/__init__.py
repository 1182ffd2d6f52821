"""What ``python -m benchmark`` offers, a file a command, and what they share."""
