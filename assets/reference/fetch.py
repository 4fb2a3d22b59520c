"""Feeds asked of public services, and files of the reference inbox, landed as they came.

Belongs here: the order of asking, paging, what one feed's failure means for the others, landing. Does not belong here: HTTP
(`client`), shapes (`gho`, `sdg`, `world_bank`, `sdmx_csv`), reading landed bytes (`editions`).
"""

import csv
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assets.inbox import Inbox, Intake, standing_files
from assets.reference.client import ServiceClient, ServiceFault
from assets.reference.feeds import Answers, Ask, Feed, feeds, members, services
from assets.reference.gho import Gho
from assets.reference.read import SOURCE, ReferenceFault
from assets.reference.sdg import Sdg
from assets.reference.sdmx_csv import Ilostat
from assets.reference.world_bank import WorldBank
from warehouse.landing import Pull, Receipt

log = logging.getLogger(__name__)

ANSWERS: Mapping[str, Answers] = {"gho": Gho(), "sdg": Sdg(), "world_bank": WorldBank(), "ilostat": Ilostat()}
RELEASE_NAME = "release.json"
"""The landed answer that names the edition, where a service has one apart from its data."""
_MISREAD = (KeyError, ValueError, TypeError, AttributeError, csv.Error)
"""What comes of reading an answer whose shape has changed: a text or nothing where rows should be, a key that is gone."""
LONGEST_PAGING = 200
"""Pages of one feed; a service that never says that it is done is broken."""

PullFactory = Callable[[str], Pull]


@dataclass(frozen=True)
class ReferenceServices:
    """Which services are asked and where they answer, as the settings say, and the folder of files that arrive."""

    inbox: Path
    enabled: tuple[str, ...] = ()
    base_urls: Mapping[str, str] = field(default_factory=dict)
    addresses: Inbox | None = None
    """The folder once more, with the addresses whose files are brought into it."""


def pull_services(
    wanted: ReferenceServices,
    pull_factory: PullFactory,
    *,
    client: Callable[[str, str], ServiceClient] = ServiceClient,
) -> Intake:
    """Every feed of the enabled services is landed with its pages as they came; a feed that fails leaves the others alone.

    A service that does not answer at all is asked once, not once per feed.
    """
    pulled = Intake()
    for code in wanted.enabled:
        url = wanted.base_urls.get(code, services()[code].base_url)
        for feed in [feed for feed in feeds().values() if feed.service == code]:
            try:
                asked = client(code, url)
                try:
                    receipt = _pull_feed(feed, asked, pull_factory)
                finally:
                    asked.close()
                if receipt is not None:
                    pulled.receipts.append(receipt)
            except ServiceFault as fault:
                pulled.faults.append(str(fault))
                if fault.is_retryable:
                    break
            except (ReferenceFault, *_MISREAD) as fault:
                said = str(fault) if isinstance(fault, ReferenceFault) else f"an answer of unknown shape ({fault!r})"
                pulled.faults.append(f"reference service {code}, feed {feed.code}: {said}")
    return pulled


def _pull_feed(feed: Feed, client: ServiceClient, pull_factory: PullFactory) -> Receipt | None:
    answers = ANSWERS[feed.service]
    pull = pull_factory(f"service-{feed.code}")
    pull.restart()
    count = 0
    about = answers.release(feed)
    if about is not None:
        pull.write(RELEASE_NAME, client.get(about) or b"null")
    for remote in feed.remotes:
        ask: Ask | None = answers.first(feed, remote, members())
        number = 0
        while ask is not None:
            number += 1
            if number > LONGEST_PAGING:
                raise ReferenceFault(f"more than {LONGEST_PAGING} pages; the paging does not end", file=feed.code)
            body = client.get(ask)
            if body is None:
                break
            name = f"{remote}-{number:03}.{'csv' if feed.service == 'ilostat' else 'json'}"
            following = answers.following(ask, body)
            count += sum(1 for _ in answers.figures(body, name))
            pull.write(name, body)
            ask = following
    if not set(pull.names()) - {RELEASE_NAME}:
        return None
    log.info("%s: feed %s, %d figures", feed.service, feed.code, count)
    locator = f"{services()[feed.service].base_url}/{next(iter(feed.remotes))}"
    return pull.finish("service", locator, {"feed": feed.code}, count)


def pull_inbox(folder: Path, pull_factory: PullFactory, landed: Collection[str]) -> Intake:
    """Every new CSV of the inbox is landed, in name order; one that is still being written waits, as do names with a leading dot."""
    pulled = Intake()
    for name, data, sha256 in pulled.new_files(SOURCE, standing_files(inbox_files(folder)), set(landed)):
        pull = pull_factory(f"inbox-{Path(name).stem}")
        pull.restart()
        pull.write(name, data)
        records = max(data.count(b"\n") - 1, 0)
        pulled.receipts.append(pull.finish("file", f"inbox:{name}", {"name": name, "sha256": sha256}, records))
    return pulled


def inbox_files(folder: Path) -> list[Path]:
    """The files of an inbox that are there to be read, in name order; an empty list when there is no folder yet."""
    found = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    return [path for path in found if path.is_file() and not path.name.startswith((".", "~$"))]
