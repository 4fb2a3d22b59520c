"""DHIS2 servers: client (HTTP only), extraction, reading what was landed, and the assets.

Belongs here: everything that knows the DHIS2 Web API. Does not belong here: pairing of referrals (`methods.linkage`).
"""
