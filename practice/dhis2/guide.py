"""The page docs/practice-quirks.md: what each practice server plays, written from the list of quirks itself.

The quirks are in `quirks`; a test compares the page with this, so that it cannot grow old.
"""

from practice.dhis2.quirks import OF_THE_VERSION, OF_THE_WORLD, QUIRKS, VERSIONS

_HEAD = """# Practice servers: versions and quirks

`mhwg practice serve --version 2.41 --quirk truncated-json --quirk reset` starts two DHIS2-speaking servers on this machine, Viet Nam and
Cambodia, over an invented region. `Authorization: ApiToken practice-token`, or `practice` / `practice` with Basic.

A quirk is switched on by its name and off by `no-` before it (`--quirk no-short-pages`). `answer-E1006` makes every data request end with
that error code. Failures of the wire hit some of every six data requests, so that a client which repeats gets through.
A quirk marked *stops* is one that no pull may survive: the client must refuse and say why. A quirk marked *world* belongs to the
invented region and is always there; one marked *version* is what that version is. Neither can be switched.

This page is written by `python -m practice.dhis2.guide`; the first column is the number in the project's list of quirks.

| no. | quirk | what the server does | by default |
|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = []
    for quirk in QUIRKS:
        if quirk.name in OF_THE_WORLD:
            default = "world"
        elif quirk.name in OF_THE_VERSION:
            default = "version" if quirk.versions == VERSIONS else f"version ({', '.join(quirk.versions)})"
        elif quirk.versions == VERSIONS:
            default = "every version"
        elif not quirk.versions:
            default = "on request, *stops*" if quirk.stops else "on request"
        else:
            default = ", ".join(quirk.versions)
        rows.append(f"| {quirk.number} | `{quirk.name}` | {quirk.summary} | {default} |")
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")
