"""Recommend music from its sound: small commands that hand HDF5 files to each other."""

__version__ = "0.1.0"
