# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP for every operation: one client, whose answers are observations and never exceptions.

``Client.send`` gives an Answer for whatever the server does: refuse, drip, cut, redirect, send a gigabyte. Several
threads may call it. Secrets (tokens, passwords in URLs, secret headers) are never part of an Answer's texts.
"""

from __future__ import annotations

import base64
import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlencode, urljoin, urlsplit, urlunsplit

from . import http_transport, libraries, redact
from .argspec import ArgumentSpec
from .errors import InputError
from .http_problems import PASSING, Problem, classify
from .http_tls import Tls, tls_settings
from .operation import Context

try:
    from urllib3 import BaseHTTPResponse
    from urllib3.util import Retry, Timeout
except ImportError as error:
    libraries.record("urllib3", error)

SPEC = ArgumentSpec(
    options={
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "client_cert_path": {"type": "path"},
        "client_key_path": {"type": "path", "no_log": False},
        "connect_timeout_seconds": {"type": "float", "default": 5.0},
        "request_timeout_seconds": {"type": "float", "default": 10.0},
        "retries": {"type": "int", "default": 2},
        "max_body_bytes": {"type": "int", "default": 4_194_304},
        "follow_redirects": {"type": "bool", "default": False},
        "use_proxy": {"type": "bool", "default": True},
        "timeout": {"type": "float", "default": 60.0},
    },
    required_by={"client_key_path": ("client_cert_path",)},
)

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
REPEATABLE_METHODS = READING_METHODS | {"PUT", "DELETE"}
RETRIED_STATUS = frozenset({429, 502, 503, 504})
REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
READ_BYTES = 65_536
URL_CHARACTERS = 500
USER_AGENT = "sre.runbooks"


@dataclass(frozen=True)
class Settings:
    """The options of SPEC, checked."""

    tls: Tls
    connect_timeout_seconds: float = 5.0
    request_timeout_seconds: float = 10.0
    retries: int = 2
    max_body_bytes: int = 4_194_304
    follow_redirects: bool = False
    use_proxy: bool = True


def settings(params: Mapping[str, Any]) -> Settings:
    """From a module's parameters; raises InputError naming the option that is out of range."""
    require_range(params, "timeout", 0.1, 86_400)
    return Settings(
        tls=tls_settings(params),
        connect_timeout_seconds=require_range(params, "connect_timeout_seconds", 0.01, 600),
        request_timeout_seconds=require_range(params, "request_timeout_seconds", 0.01, 3600),
        retries=int(require_range(params, "retries", 0, 10)),
        max_body_bytes=int(require_range(params, "max_body_bytes", 1, 268_435_456)),
        follow_redirects=bool(params["follow_redirects"]),
        use_proxy=bool(params["use_proxy"]),
    )


def require_range(params: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """The number of an option; InputError when it is not within the bounds (NaN never is)."""
    value = params[name]
    if not low <= value <= high:
        raise InputError(f"{name} is {value:g}; it must be from {low:g} to {high:g}.", option=name)
    number: float = value
    return number


@dataclass(frozen=True)
class Request:
    """One request. ``headers`` and ``secret_headers`` differ in that the second never leave the origin of ``url``.

    ``body`` is sent as it is; ``content_type`` goes with it. ``repeatable`` says that sending it twice does no harm
    (None: by its method). ``timeout_seconds`` replaces the client's limit for one try, ``max_body_bytes`` that for the
    answer.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = ""
    repeatable: bool | None = None
    timeout_seconds: float | None = None
    max_body_bytes: int | None = None


@dataclass
class Answer:
    """What came back. ``status`` is None when nothing did; ``problem`` says what went wrong on the way.

    ``latency_ms`` is the time from sending to the last byte of the last try; ``more`` is set when the body was longer
    than the limit and only its beginning is in ``body``. ``url`` is fit to be shown.
    """

    method: str
    url: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    more: bool = False
    latency_ms: int = 0
    attempts: int = 1
    redirects: list[str] = field(default_factory=list)
    problem: Problem | None = None

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON; raises ValueError with one line that says what it is instead."""
        if self.problem:
            raise ValueError(self.problem.text)
        if self.more:
            raise ValueError(f"the body is longer than {len(self.body)} bytes (max_body_bytes)")
        if not self.body.strip():
            raise ValueError("the body is empty")
        try:
            return jsonlib.loads(self.body)
        except RecursionError:
            raise ValueError("the body is JSON nested too deeply to be read") from None
        except ValueError:
            raise ValueError(f"the body is not JSON but {self.excerpt(80)}") from None

    def excerpt(self, limit: int) -> str:
        """The beginning of the body in one line, with its type."""
        start = " ".join(redact.observed(self.body, limit).split())
        return f"{self.content_type or 'text'}: {start}" if start else "nothing"

    def summary(self) -> str:
        """What came back, in a few words: ``HTTP 503 in 12 ms``, or the problem."""
        times = f" (after {self.attempts} tries)" if self.attempts > 1 else ""
        if self.problem and self.status is None:
            return self.problem.text + times
        if self.problem:
            return f"HTTP {self.status}, but {self.problem.text}{times}"
        return f"HTTP {self.status} in {self.latency_ms} ms{times}"


class Client:
    """One session. Close it, or use it as a context manager.

    ``connections`` bounds the idle connections that are kept; ``cookies`` False: answers do not influence each other.
    """

    def __init__(self, chosen: Settings, context: Context, connections: int = 8, cookies: bool = True) -> None:
        self._settings, self._context = chosen, context
        self._session = http_transport.Session(connections, chosen.tls.context, cookies, chosen.tls.server_name)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def send(self, request: Request) -> Answer:
        """Send, follow redirects where that was asked for, and try again what can be mended by waiting."""
        attempt = 1
        while True:
            answer = self._follow(request)
            answer.attempts = attempt
            pause = self._pause(request, answer, attempt)
            if pause is None:
                return answer
            self._context.clock.sleep(pause)
            attempt += 1

    def _pause(self, request: Request, answer: Answer, attempt: int) -> float | None:
        """Seconds to wait before the next try; None when there shall be none."""
        repeatable = request.method in REPEATABLE_METHODS if request.repeatable is None else request.repeatable
        if not repeatable or attempt > self._settings.retries:
            return None
        if answer.problem:
            if answer.problem.kind not in PASSING:
                return None
        elif answer.status not in RETRIED_STATUS:
            return None
        asked = _retry_after(answer)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) if asked is None else asked)
        return pause if pause < self._context.deadline.remaining() else None

    def _follow(self, request: Request) -> Answer:
        path: list[str] = []
        while True:
            answer = self._once(request)
            answer.redirects = path
            if not self._settings.follow_redirects or answer.status not in REDIRECT_STATUS or answer.problem:
                return answer
            following, problem = self._next(request, answer, len(path))
            if following is None:
                answer.problem = problem
                return answer
            request = following
            path = [*path, shown_url(request.url)]

    def _next(self, request: Request, answer: Answer, followed: int) -> tuple[Request | None, Problem | None]:
        """The request that a redirect asks for; or why it is not followed."""
        location = answer.headers.get("Location", "")
        if not location:
            return None, None
        url = urljoin(request.url, location)
        shown = shown_url(url)
        if followed >= MOST_REDIRECTS:
            return None, Problem("redirects", f"more than {MOST_REDIRECTS} redirects, the last one to {shown}")
        try:
            check_url(url, "the redirect")
        except InputError:
            return None, Problem("redirects", f"it redirects to {shown}, which is no URL that can be asked")
        elsewhere = not _same_server(request.url, url)
        request = replace(request, url=url)
        if answer.status == 303 or (answer.status in (301, 302) and request.method == "POST"):
            method = "HEAD" if request.method == "HEAD" else "GET"
            request = replace(request, method=method, body=None, content_type="")
        if elsewhere and request.body is not None:
            return None, Problem("redirects", f"it redirects a request with a body to another host, {shown}")
        return replace(request, secret_headers={}) if elsewhere else request, None

    def _once(self, request: Request) -> Answer:
        clock, deadline = self._context.clock, self._context.deadline
        answer = Answer(request.method, shown_url(request.url))
        seconds = min(request.timeout_seconds or self._settings.request_timeout_seconds, deadline.remaining())
        if seconds <= 0:
            text = f"not sent: the total time of {deadline.seconds:g} s was used up"
            answer.problem = Problem("deadline", text, "Raise 'timeout', or ask for less.")
            return answer
        started = clock.monotonic()
        try:
            self._exchange(request, answer, seconds)
        except http_transport.TRANSPORT_ERRORS as error:
            answer.problem = classify(error, host_and_port(request.url), seconds)
        answer.latency_ms = round((clock.monotonic() - started) * 1000)
        return answer

    def _exchange(self, request: Request, answer: Answer, seconds: float) -> None:
        url, credentials = _without_userinfo(request.url)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.5", "Accept-Encoding": "identity"}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        if credentials:
            headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        response = self._session.send(
            request.method,
            url,
            _merged(headers, request.headers, request.secret_headers),
            request.body,
            proxy=self._settings.use_proxy,
            timeout=Timeout(connect=min(seconds, self._settings.connect_timeout_seconds), total=seconds),
        )
        try:
            answer.status = response.status
            answer.headers = response.headers
            self._read(response, answer, request.max_body_bytes or self._settings.max_body_bytes)
            if not answer.more:
                response.release_conn()
        finally:
            response.close()

    @staticmethod
    def _read(response: BaseHTTPResponse, answer: Answer, limit: int) -> None:
        pieces: list[bytes] = []
        size = 0
        for piece in response.stream(READ_BYTES, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                answer.more = True
                break
        answer.body = b"".join(pieces)[:limit]


def _merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """Headers in one mapping, where names differ in more than their case; the last one wins."""
    merged: dict[str, tuple[str, str]] = {}
    for part in parts:
        merged |= {name.lower(): (name, value) for name, value in part.items()}
    return dict(merged.values())


def _same_server(old: str, new: str) -> bool:
    """Whether what was secret for one URL may be sent to the other: the same origin, or the same host now with TLS."""
    if origin(old) == origin(new):
        return True
    host = urlsplit(old).hostname
    return (origin(old), origin(new)) == (("http", host, 80), ("https", host, 443))


def _retry_after(answer: Answer) -> float | None:
    """Seconds of the header Retry-After (a number or a date), None when it is absent or cannot be read."""
    header = answer.headers.get("Retry-After")
    if not header:
        return None
    try:
        return max(0.0, Retry().parse_retry_after(header))
    except http_transport.HEADER_ERRORS:
        return None


def check_url(url: str, option: str) -> str:
    """``url`` without surrounding blanks; InputError in one line when no request can be made for it."""
    text = url.strip()
    shown = shown_url(text)
    if not text:
        raise InputError(f"{option} is empty; give a URL such as http://localhost:8082.", option=option)
    if any(ord(character) <= 32 or ord(character) == 127 for character in text):
        raise InputError(f"{option} is {shown!r}: a URL has no blanks or control characters.", option=option)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{option} is {shown!r}, which is no URL: {error}.", option=option) from None
    if "://" not in text:
        meant = f"http://{shown.lstrip('/')}"
        raise InputError(f"{option} is {shown!r}, which has no scheme; did you mean {meant}?", option=option)
    if parts.scheme not in ("http", "https"):
        raise InputError(f"{option} is {shown!r}; its scheme must be http or https, not {parts.scheme}.", option=option)
    if not parts.hostname or port == 0:
        missing = "host" if not parts.hostname else "usable port"
        raise InputError(f"{option} is {shown!r}, which has no {missing}.", option=option)
    return text


def join(base_url: str, path: str, query: Mapping[str, Any] | None = None) -> str:
    """``path`` below ``base_url`` (whose own path is kept), with query parameters added, except those that are None."""
    parts = urlsplit(base_url)
    url = f"{parts.path.rstrip('/')}/{path.lstrip('/')}" if path else parts.path
    path_only, _mark, own = url.partition("?")
    pairs = [(name, value) for name, value in (query or {}).items() if value is not None]
    joined = "&".join(part for part in (parts.query, own, urlencode(pairs, doseq=True)) if part)
    return urlunsplit((parts.scheme, parts.netloc, path_only, joined, ""))


def shown_url(url: str) -> str:
    """The URL without userinfo and without values of secret-like parameters."""
    return redact.observed(url, URL_CHARACTERS)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def host_and_port(url: str) -> str:
    host, port = origin(url)[1:]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_userinfo(url: str) -> tuple[str, str]:
    """The URL without userinfo and fragment, and the userinfo as ``user:password``, empty when there is none."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    user, password = (unquote(part or "") for part in (parts.username, parts.password))
    return bare, f"{user}:{password}" if user or password else ""
