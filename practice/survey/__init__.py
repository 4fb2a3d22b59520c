"""Synthetic surveys: finite populations with stated truths, samples drawn from them, and files as survey offices deliver them.

Nothing here knows how the files are read or estimated; that is what they test. No person in them exists.
"""
