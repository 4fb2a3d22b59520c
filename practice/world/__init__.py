"""The synthetic region: what is true in it, and what each national DHIS2 server shows of it at an instant.

The state of the world is a pure function of a seed and an instant; nothing is stored. HTTP, versions of the Web API and
quirks of servers do not belong here (see `practice.dhis2`), nor do labour and survey extracts.
"""

from practice.world.region import World

__all__ = ["World"]
