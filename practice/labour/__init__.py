"""What the overseas-labour department would have sent: bulletins of real published figures, synthetic contract registers.

Belongs here: writing files into an inbox as of an instant. Does not belong here: reading them (`assets.labour`).
"""

from practice.labour.inbox import write_inbox

__all__ = ["write_inbox"]
