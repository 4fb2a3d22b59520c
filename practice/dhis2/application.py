"""From a request to an answer: credentials, routes, system information. No sockets, no failures of the wire.

What each resource answers is in its own module; faults that break a connection or a body are in `server`.
"""

import base64
from collections import OrderedDict
from urllib.parse import unquote

from practice.dhis2 import analytics, data_value_sets, tracker
from practice.dhis2.fields import parse_fields, project
from practice.dhis2.instance import FULL_VERSION, PASSWORD, TOKEN, USER, Instance
from practice.dhis2.messages import Answer, Refused, Request, html_answer, json_answer, web_message
from practice.dhis2.times import local
from practice.world.draws import uid

SESSION_CAP = 10
# Versioned paths are a habit of the past that servers up to 2.43 still understand.
_LAST_VERSIONED_PATH = 43


class Application:
    """One practice server as a function from request to answer."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.sessions: OrderedDict[str, str] = OrderedDict()

    def answer(self, request: Request) -> Answer:
        """The answer to any request; refusals are WebMessages."""
        try:
            path = unquote(request.path)
            if path.rstrip("/") in ("/dhis-web-login", "/dhis-web-commons/security/login.action"):
                return html_answer(200, "DHIS 2", "Sign in to continue")
            if path.startswith("/dhis-web-commons-security/logout.action"):
                return html_answer(200, "DHIS 2", "You have been signed out")
            session, refusal = self._authenticate(request)
            if refusal is not None:
                return refusal
            answer = self._route(request, path)
            if session:
                answer.headers.setdefault("Set-Cookie", f"JSESSIONID={session}; Path=/; HttpOnly")
            return answer
        except Refused as refused:
            return refused.answer()

    # -- credentials -----------------------------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> tuple[str | None, Answer | None]:
        """The session to set, if any, or the answer that refuses."""
        instance, headers = self.instance, request.headers
        given = headers.get("authorization", "")
        cookie = next(
            (part.split("=", 1)[1] for part in headers.get("cookie", "").split("; ") if part.startswith("JSESSIONID=")),
            None,
        )
        if cookie is not None:
            # The session filter runs before Basic: an evicted cookie beats a valid header.
            if cookie in self.sessions:
                return None, None
            if instance.plays("session-cap"):
                return None, Answer(302, b"", "text/html", {"Location": "/dhis-web-commons-security/logout.action"})
        scheme, _, secret = given.partition(" ")
        if scheme.lower() == "apitoken":
            if secret == TOKEN and not instance.plays("expired-token"):
                return None, None
            return None, web_message(
                401, "ERROR", "Personal access token has expired" if secret == TOKEN else "The personal access token does not exist",
                headers={"WWW-Authenticate": "ApiToken"},
            )  # fmt: skip
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(secret).decode()
            except ValueError:
                pair = ""
            if pair == f"{USER}:{PASSWORD}":
                return self._new_session(), None
            return None, web_message(401, "ERROR", "Unauthorized")
        if headers.get("x-requested-with") == "XMLHttpRequest" or not instance.plays("login-page"):
            return None, web_message(401, "ERROR", "Unauthorized")
        # Some sites answer with, some without the final slash.
        return None, Answer(302, b"", "text/html", {"Location": "/dhis-web-login/"})

    def _new_session(self) -> str:
        with self.instance.lock:
            self.instance.tally.sessions += 1
            session = uid("session", self.instance.server, self.instance.tally.sessions) * 2
            self.sessions[session] = USER
            if self.instance.plays("session-cap"):
                while len(self.sessions) > SESSION_CAP:
                    self.sessions.popitem(last=False)
            return session

    # -- routes ----------------------------------------------------------------------------------------------------

    def _route(self, request: Request, path: str) -> Answer:
        parts = [part for part in path.split("/") if part]
        if not parts or parts[0] != "api":
            return html_answer(404, "HTTP Status 404 – Not Found", "The requested resource is not available")
        parts = parts[1:]
        if parts and parts[0].isdigit():
            if not 28 <= int(parts[0]) <= _LAST_VERSIONED_PATH:
                raise Refused(404, f"The requested resource {path} does not exist", "E1005")
            parts = parts[1:]
        if not parts:
            return json_answer({"resources": []})
        instance = self.instance
        if request.method not in ("GET", "HEAD") and parts[0] != "dataValueSets":
            raise Refused(405, f"Request method '{request.method}' not supported")
        head = parts[0]
        if head.split(".")[0] in ("dataValueSets", "tracker", "analytics", "completeDataSetRegistrations"):
            self._refuse_as_asked()
        if parts == ["system", "info"] or parts == ["system", "info.json"]:
            return self._system_info()
        if head in ("me", "me.json"):
            return self._me(request)
        if head == "tracker" and len(parts) > 1:
            return tracker.answer(instance, request, parts[1:])
        if head in ("trackedEntityInstances", "enrollments", "events"):
            return tracker.old_endpoint(instance, request, head)
        if head.startswith("dataValueSets"):
            return data_value_sets.answer(instance, request, head)
        if head.removesuffix(".json") == "completeDataSetRegistrations":
            return data_value_sets.registrations(instance, request)
        if head.split(".")[0] == "analytics":
            return analytics.answer(instance, request, parts)
        if head.removesuffix(".json") == "outlierDetection":
            return analytics.outliers(instance, request)
        bare = [head.removesuffix(".json"), *parts[1:]]
        found = instance.metadata().answer(request, bare, instance.minor)
        if found is None:
            raise Refused(404, f"The requested resource {path} does not exist", "E1005")
        return found

    def _refuse_as_asked(self) -> None:
        """A quirk "answer-E1006" refuses every data request; codes of size are left to those who count."""
        for quirk in self.instance.quirks:
            code = quirk.removeprefix("answer-")
            if code != quirk and code not in analytics.SIZE_CODES:
                raise Refused(409, f"Refused with {code}, as the practice was asked to", code)

    def _system_info(self) -> Answer:
        instance = self.instance
        built = instance.analytics_at() + instance.skew()
        age = instance.instant() - instance.analytics_at()
        calendar = "ethiopian" if instance.plays("other-calendar") else "iso8601"
        info = {
            "contextPath": "https://dhis2.practice.invalid", "userAgent": "", "calendar": calendar,
            "dateFormat": "yyyy-mm-dd", "serverDate": local(instance.server_date(), instance.zone),
            "serverTimeZoneId": instance.zone.key, "serverTimeZoneDisplayName": instance.zone.key.replace("_", " "),
            "lastAnalyticsTableSuccess": local(built, instance.zone),
            "intervalSinceLastAnalyticsTableSuccess": f"{int(age.total_seconds() // 3600)} h, {int(age.total_seconds() // 60 % 60)} m, 0 s",
            "lastAnalyticsTableRuntime": "2 m, 11 s", "version": self._version(), "revision": uid("revision", instance.version)[:7].lower(),
            "buildTime": "2026-06-23T09:00:00.000", "systemId": uid("system", instance.world.seed, instance.server) + "-practice",
            "systemName": f"Practice ground {instance.server}", "instanceBaseUrl": "https://dhis2.practice.invalid",
        }  # fmt: skip
        if instance.plays("no-analytics"):
            for name in (
                "lastAnalyticsTableSuccess",
                "intervalSinceLastAnalyticsTableSuccess",
                "lastAnalyticsTableRuntime",
            ):
                del info[name]
        return json_answer(info)

    def _version(self) -> str:
        return FULL_VERSION[self.instance.version]

    def _me(self, request: Request) -> Answer:
        roots = [{"id": u} for u in self.instance.visible_roots()]
        me = {
            "id": "Prac0000001", "username": USER, "firstName": "Practice", "surname": "Service", "authorities": ["M_dhis-web-dashboard"],
            "organisationUnits": roots, "dataViewOrganisationUnits": roots, "teiSearchOrganisationUnits": roots,
            "userGroups": [], "programs": [], "dataSets": [],
        }  # fmt: skip
        expression = ",".join(request.all("fields")) or "*"
        return json_answer(project(me, parse_fields(expression)))
