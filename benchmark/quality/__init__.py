"""Inferring quality: the features that the kernel computes too, the tasks, and the models."""
