"""Quality models for the kernel: fitted by scikit-learn or torch, compiled to blobs of integers."""
