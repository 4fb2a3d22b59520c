"""What passes between the sockets and the application of a practice server: requests, answers, and DHIS2's WebMessage.

Routes and data do not belong here.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

JSON_TYPE = "application/json;charset=UTF-8"
CSV_TYPE = "application/csv"
HTML_TYPE = "text/html;charset=UTF-8"


@dataclass(frozen=True)
class Request:
    """One request as the application sees it; header names in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return [value for key, value in self.query if key == name]

    def one(self, name: str, default: str | None = None) -> str | None:
        """The last value of a parameter, as Spring binds it, or the default."""
        values = self.all(name)
        return values[-1] if values else default

    def listed(self, name: str, separators: str = ",;") -> list[str]:
        """The parts of a parameter that holds a list, over all its repetitions."""
        parts: list[str] = []
        for value in self.all(name):
            for separator in separators:
                value = value.replace(separator, "\n")
            parts += [part for part in value.split("\n") if part]
        return parts

    def flag(self, name: str, default: bool = False) -> bool:
        """The boolean value of a parameter."""
        value = self.one(name)
        return default if value is None else value.lower() == "true"


@dataclass
class Answer:
    """One answer; the body is bytes, or an iterable of bytes that is streamed in chunks."""

    status: int
    body: bytes | Iterable[bytes] = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request is answered with a WebMessage of status ERROR."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self) -> Answer:
        """The WebMessage."""
        return web_message(self.status, "ERROR", self.message, self.code, headers=self.headers)


def as_json(value: Any) -> bytes:
    """Compact JSON in UTF-8, as the servers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, as_json(value))


def html_answer(status: int, title: str, text: str, **headers: str) -> Answer:
    """An answer as a proxy, Tomcat or the login page gives it."""
    body = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Answer(status, body.encode(), HTML_TYPE, {name.replace("_", "-"): value for name, value in headers.items()})


def web_message(
    status: int, outcome: str, message: str, code: str | None = None, *, headers: dict[str, str] | None = None,
    response: dict[str, Any] | None = None,
) -> Answer:  # fmt: skip
    """DHIS2's envelope for everything that is not data."""
    body: dict[str, Any] = {
        "httpStatus": HTTPStatus(status).phrase, "httpStatusCode": status, "status": outcome, "message": message,
    }  # fmt: skip
    if code:
        body["errorCode"] = code
    if response is not None:
        body["response"] = response
    return Answer(status, as_json(body), JSON_TYPE, headers or {})
