"""Practice servers that speak the DHIS2 Web API over the practice world, version by version, quirk by quirk.

Written from the project's notes on the Web API, not from the client, so that the two check each other. What is true in the
region does not belong here (see `practice.world`).
"""

from practice.dhis2.server import RunningServers, serve

__all__ = ["RunningServers", "serve"]
