"""Whole files in a folder, on a disk or in an object store."""
