"""Reference: published series with their citations, and the frames of areas and memberships.

Belongs here: figures that others published. Does not belong here: figures that this warehouse computes.
"""
