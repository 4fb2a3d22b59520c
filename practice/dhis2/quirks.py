"""The quirks that a practice server can play, by name, with the versions that have them by default.

Numbers are those of section 17 of the project's notes on the DHIS2 Web API. What a quirk does is in the module that plays
it; this is the list.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

VERSIONS = ("2.40", "2.41", "2.42", "2.43", "2.44")


@dataclass(frozen=True)
class Quirk:
    """One quirk: its name, its number in the notes, what it does, and the versions that play it unasked.

    `stops` marks those under which no pull may succeed: the client must refuse and say why.
    """

    name: str
    number: int
    summary: str
    versions: tuple[str, ...] = ()
    stops: bool = False


def _since(version: str) -> tuple[str, ...]:
    return VERSIONS[VERSIONS.index(version) :]


QUIRKS = (
    Quirk("tracker-shape", 1, "tracker lists under the key and pager of the version", VERSIONS),
    Quirk("next-page-elsewhere", 2, "nextPage names a host and scheme that do not answer", _since("2.42")),
    Quirk("stale-parameters", 3, "skipPaging and ouMode are accepted and ignored", _since("2.42")),
    Quirk("strict-parameters", 4, "400 for parameters that do not go together", _since("2.41")),
    Quirk("old-endpoints", 5, "/api/trackedEntityInstances, /enrollments and /events answer", ("2.40", "2.41")),
    Quirk("hoisted-keys", 6, "dataValueSets rows lack the one period, unit or option combo asked for", _since("2.43")),
    Quirk("needs-range", 7, "dataValueSets with lastUpdated and no range: 409 E2002", ("2.43",)),
    Quirk("export-budget", 8, "a tracker export larger than the budget: 504 with JSON", ("2.44",)),
    Quirk("analytics-shape", 9, "analytics headers and pager of the version", VERSIONS),
    Quirk("plain-statuses", 10, "400 and 403 where 2.40 answers 409", _since("2.41")),
    Quirk("new-period-types", 11, "FriW, Feb and Aug periods are understood", _since("2.43")),
    Quirk(
        "short-pages",
        12,
        "pages short of rows, and one empty, before the last (on 2.40 and 2.41, which show all, a client refuses)",
        _since("2.42"),
    ),
    Quirk("moving-pages", 13, "time passes between two page requests: rows appear and change"),
    Quirk("purged", 14, "what was deleted softly has been purged"),
    Quirk("values-removed", 15, "one value in ten events has been taken away"),
    Quirk("late-bump", 16, "a tracked entity's updatedAt moves some seconds after the event's", VERSIONS),
    Quirk("ownership-moved", 17, "one tracked entity in seven has been handed to another unit"),
    Quirk("page-of-fifty", 18, "lists are paged by 50 and fields have defaults", VERSIONS),
    Quirk("login-page", 19, "without credentials: 302 to an HTML login page with 200", VERSIONS),
    Quirk("expired-token", 20, "every token has expired: 401 with WWW-Authenticate: ApiToken", stops=True),
    Quirk("session-cap", 21, "more than ten sessions: the oldest is evicted to the logout page"),
    Quirk("https-redirect", 22, "301 to https on the same host", stops=True),
    Quirk("too-many-requests", 23, "429 with Retry-After, twice in a row, again and again"),
    Quirk("bad-gateway", 23, "502 with an HTML body, twice in a row, again and again"),
    Quirk("unavailable", 23, "503 with an HTML body, twice in a row, again and again"),
    Quirk("gateway-timeout", 23, "504 with an HTML body, twice in a row, again and again"),
    Quirk("server-error", 23, "500 with a WebMessage, once, again and again", stops=True),
    Quirk("reset", 23, "the connection is reset, twice in a row, again and again"),
    Quirk("slow", 23, "an answer that comes later than the client waits, once, again and again"),
    Quirk("slow-drip", 23, "answers arrive in small pieces"),
    Quirk("truncated-json", 24, "a body cut off in the middle with 200, once, again and again"),
    Quirk("wrong-content-type", 24, "JSON called text/html, once, again and again", stops=True),
    Quirk("byte-order-mark", 24, "JSON and CSV begin with a byte order mark"),
    Quirk("gzip", 24, "bodies are compressed when the client accepts it"),
    Quirk("illegal-queries", 25, "409 with a WebMessage for every error code that the client maps", VERSIONS),
    Quirk("import-conflicts", 25, "an import answers 409 with status WARNING and conflicts"),
    Quirk("suffix-needed", 26, "rawData and dataValueSet without suffix: 404 in Tomcat's HTML", VERSIONS),
    Quirk("analytics-limit", 27, "409 E7128 above the limit; event analytics truncates silently instead", VERSIONS),
    Quirk("no-analytics", 28, "409 E7144: the analytics tables were never built"),
    Quirk("stale-analytics", 28, "analytics are ten days older than the data"),
    Quirk("summer-time-zone", 29, "the server stands in a zone with daylight saving"),
    Quirk("utc-zone", 29, "the server stands in UTC"),
    Quirk("other-calendar", 30, "the calendar is not iso8601", stops=True),
    Quirk("clock-ahead", 31, "the server's clock is seven hours ahead"),
    Quirk("clock-behind", 31, "the server's clock is seven hours behind"),
    Quirk("missing-root", 32, "the user lacks the partner country's root: its data are silently missing", stops=True),
    Quirk("common-root", 33, "both countries hang from one root"),
    Quirk("units-over-time", 34, "units open, close and move during the history", VERSIONS),
    Quirk("zero-not-stored", 35, "zero is stored only where it is significant", VERSIONS),
    Quirk("empty-shapes", 36, "no values: {}, an empty list or a header alone, by version; gzip as a file", VERSIONS),
    Quirk("odd-content", 37, "text and 400 digits in numbers, option codes out of the set", VERSIONS),
    Quirk("loose-registrations", 38, "reports completed late, never, or without data", VERSIONS),
    Quirk("duplicate-persons", 39, "the same patient on both servers, in other scripts and orders", VERSIONS),
)
BY_NAME = {quirk.name: quirk for quirk in QUIRKS}
# Any other refusal of section 5 by its code, for instance "answer-E1006".
_ANSWERED = re.compile(r"answer-E\d{4}")
# These are properties of the practice world, always there.
OF_THE_WORLD = frozenset(
    {"late-bump", "units-over-time", "zero-not-stored", "loose-registrations", "duplicate-persons"}
)
# These are what a version is; choosing the version chooses them.
OF_THE_VERSION = frozenset(
    {"tracker-shape", "stale-parameters", "analytics-shape", "page-of-fifty", "illegal-queries", "suffix-needed",
     "analytics-limit", "empty-shapes"}
)  # fmt: skip


def played(version: str, asked: Iterable[str]) -> frozenset[str]:
    """The quirks that a server of this version plays: its own, plus those asked for, minus those asked for as "no-...".

    "answer-E1006" makes every data request end with that error code (E7128, E7131 and E7136: only those above the limit).

    *Raises* ValueError for a name that no quirk has, naming all that there are.
    """
    names = {quirk.name for quirk in QUIRKS if version in quirk.versions}
    for name in asked:
        if _ANSWERED.fullmatch(name):
            names.add(name)
            continue
        bare = name.removeprefix("no-") if name not in BY_NAME else name
        if bare not in BY_NAME:
            raise ValueError(f"no quirk {name!r}; there are {', '.join(BY_NAME)}")
        if bare in OF_THE_WORLD | OF_THE_VERSION:
            owner = "practice world" if bare in OF_THE_WORLD else "version"
            raise ValueError(f"{bare!r} is a property of the {owner} and cannot be switched")
        if bare == name:
            names.add(name)
        else:
            names.discard(bare)
    return frozenset(names)


def at_random(seed: int, version: str, count: int = 3) -> tuple[str, ...]:
    """Some quirks by name, under which a pull must still end with everything; the same for the same seed and version."""
    choices = sorted(
        q.name
        for q in QUIRKS
        if version not in q.versions and not q.stops and q.name not in OF_THE_WORLD | OF_THE_VERSION
    )
    # short-pages is left for 2.40 and 2.41 only, where rows that are announced and not shown must end a pull.
    left_out = ("old-endpoints", "export-budget", "slow", "purged", "values-removed", "short-pages")
    choices = [name for name in choices if name not in left_out]
    return tuple(sorted(random.Random(f"{seed}/{version}").sample(choices, count)))
