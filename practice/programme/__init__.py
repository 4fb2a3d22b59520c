"""Synthetic programme registers of the practice ground: what projects and ministries would have sent by an instant.

Belongs here: the numbers, drawn from a seed, and writing them as register files. Does not belong here: reading them
(`assets.programme`), published statements, the simulated clock.
"""

from practice.programme.inbox import files_at, victim_files_at, write_inbox, write_victims

__all__ = ["files_at", "victim_files_at", "write_inbox", "write_victims"]
