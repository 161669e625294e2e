"""Corpora: files (or a generator) to examples. ``registry.py`` lists them."""
