"""What can go wrong with a DHIS2 server, as types: who is to act, and whether another attempt may help.

Belongs here: the exceptions of this room and the meaning of the server's error codes. Does not belong here: retrying
(`client`), splitting (`tracker`, `aggregate`).

Every message is one sentence or two: server, endpoint, what happened, what to do. None carries a credential, a response
body or a value of a record.
"""

from typing import Final


class Dhis2Error(Exception):
    """A fault of one server. `is_retryable` says whether the same pull, later, may succeed without anybody acting."""

    is_retryable = False

    def __init__(
        self,
        what: str,
        *,
        server: str,
        endpoint: str,
        advice: str,
        http_status: int | None = None,
        error_code: str | None = None,
    ) -> None:
        super().__init__(f"{server}, {endpoint}: {what} {advice}")
        self.what = what
        self.server = server
        self.endpoint = endpoint
        self.advice = advice
        self.http_status = http_status
        self.error_code = error_code


class TransientError(Dhis2Error):
    """The network, a proxy or an overloaded server: the next scheduled run may succeed unchanged."""

    is_retryable = True


class AuthenticationError(Dhis2Error):
    """The server does not know us: wrong, expired or stripped credential, or a login page in place of data."""


class AccessError(Dhis2Error):
    """The server knows us and refuses: a right, an organisation unit or an object is missing for this user."""


class QueryError(Dhis2Error):
    """The server calls the request wrong. Repeating it unchanged cannot help."""


class TooLargeError(Dhis2Error):
    """The request is more than the server wants to answer: ask for less."""


class GatewayTimeoutError(TooLargeError, TransientError):
    """A proxy gave up waiting, again and again (504 without a word of DHIS2): too much was asked, or the server is down. Less is
    asked; when the least is still too much, the next scheduled run may succeed."""


class NotFoundError(Dhis2Error):
    """No such endpoint or object."""


class FormatNotOfferedError(Dhis2Error):
    """The server does not offer the format asked for (406)."""


class AnalyticsMissingError(Dhis2Error):
    """Analytics tables were never built on this server; analytics is skipped with a warning."""


class ServerFaultError(Dhis2Error):
    """The server broke (500 and the like): not repeated at once, because DHIS2 answers 500 to what will break again."""

    is_retryable = True


class UnsupportedServerError(Dhis2Error):
    """The server is one that this client must not read, such as one with another calendar."""


class CompletenessError(Dhis2Error):
    """What arrived disagrees with what the server announced; both numbers are named."""

    is_retryable = True


class ResponseShapeError(Dhis2Error):
    """An answer without the parts that this version must send."""


class MappingError(ValueError):
    """The settings of a DHIS2 server are wrong; the message names server and key, what was found, and what to do."""

    def __init__(self, message: str, *, server: str, key: str) -> None:
        super().__init__(message)
        self.server = server
        self.key = key


SPLIT_CODES: Final = frozenset({"E7128", "E7131", "E7136"})
"""Too many rows, timed out, too long: the request must be halved."""

RIGHTS_CODES: Final = frozenset({"E1006", "E2010", "E2011", "E2012", "E7120", "E7121", "E7217"})
"""The user lacks a right; the message of the server names the object."""

_OUR_BUG = "This is a fault of this program: report it with the version of the server."

ADVICE_BY_CODE: Final[dict[str, str]] = {
    "E1003": _OUR_BUG,
    "E1006": "Ask the server's administrator to grant the service user this right.",
    "E2000": _OUR_BUG,
    "E2001": _OUR_BUG,
    "E2002": "Servers 2.43.0 and 2.43.1 say this without cause when no date range is sent. " + _OUR_BUG,
    "E2003": _OUR_BUG,
    "E2004": _OUR_BUG,
    "E2005": _OUR_BUG,
    "E2006": _OUR_BUG,
    "E2007": _OUR_BUG,
    "E2008": _OUR_BUG,
    "E2009": _OUR_BUG,
    "E2010": "Ask the server's administrator to share the data set named with the service user (data read).",
    "E2011": "Ask the server's administrator to share the attribute option combo named with the service user.",
    "E2012": "Ask the server's administrator to put the organisation unit named into the service user's hierarchy.",
    "E2206": "Lower the number of results asked for.",
    "E2208": "A numeric data element holds text: report it to the data's owner.",
    "E7120": "Ask the server's administrator to put the organisation unit named into the user's data view.",
    "E7121": "Ask the server's administrator to let the service user read the object named.",
    "E7124": "An identifier in the settings is gone from the server: correct the mapping.",
    "E7128": "The result is larger than the server's limit and the smallest request was reached: raise keyAnalyticsMaxLimit.",
    "E7131": "The server gave up on the smallest request: ask its administrator for a longer query time-out.",
    "E7132": "An indicator breaks its own expression, perhaps a division by zero: report it to its owner.",
    "E7133": "An expression compares values of different types: report it to its owner.",
    "E7136": "The server gave up on the smallest request: ask its administrator for a longer query time-out.",
    "E7144": "Ask the server's administrator to run the analytics build.",
    "E7205": _OUR_BUG,
    "E7206": _OUR_BUG,
    "E7209": "Lower the page size in the settings.",
    "E7217": "Ask the server's administrator for the right to view event analytics.",
    "E7230": "This server names its analytics columns differently. " + _OUR_BUG,
    "E8200": "Use UIDs, not another identifier scheme, for this export.",
    "E8201": "Use UIDs, not another identifier scheme, for this export.",
    "E8202": "Use UIDs, not another identifier scheme, for this export.",
    "E8203": "Use UIDs, not another identifier scheme, for this export.",
    "E8204": "Use UIDs, not another identifier scheme, for this export.",
}


def advice_for(error_code: str | None, http_status: int) -> str:
    """What the reader of an error should do, by the server's error code, else by HTTP status."""
    if error_code in ADVICE_BY_CODE:
        return ADVICE_BY_CODE[error_code]
    if error_code and error_code.startswith("E22"):
        return _OUR_BUG
    return {
        400: "The server refuses the parameters. " + _OUR_BUG,
        403: "Ask the server's administrator to grant the service user access to what the endpoint serves.",
        404: "Check the address in the settings, and that the identifiers in the mapping exist on this server.",
        409: "The server refuses the query as it stands; it is not repeated.",
    }.get(http_status, "See the server's log.")
