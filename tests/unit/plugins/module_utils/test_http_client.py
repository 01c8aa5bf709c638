# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a server that misbehaves: every failure is a short, classified observation."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.sre.runbooks.plugins.module_utils import http_client, http_proxies, http_transport
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.http_tls import Tls, tls_settings
from tests.unit.plugins.fake_http import Asked, Send, Server, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import FakeClock, fake_context

OK = json_answer({"status": "ok"})
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/ok": OK}) as made:
        yield made


def send(
    url: str, method: str = "GET", clock: FakeClock | None = None, timeout: float = 60.0, **options: Any
) -> http_client.Answer:
    """One request with short limits; options of Request are told from those of Settings by their names."""
    own = {name: options.pop(name) for name in ("headers", "secret_headers", "body", "repeatable") if name in options}
    limits = {
        "request_timeout_seconds": 5.0,
        "connect_timeout_seconds": 5.0,
        "retries": 0,
        "tls": Tls(),
        "use_proxy": False,
    }
    settings = http_client.Settings(**{**limits, **options})
    with http_client.Client(settings, fake_context(clock, timeout=timeout)) as client:
        return client.send(http_client.Request(method, url, **own))


def test_a_right_answer(server: Server) -> None:
    got = send(f"{server.url}/ok", headers={"X-A": "1"})
    assert (got.status, got.json(), got.problem, got.attempts) == (200, {"status": "ok"}, None, 1)
    assert server.asked[0].headers["x-a"] == "1"
    assert got.summary().startswith("HTTP 200 in ")


@pytest.mark.parametrize(
    ("raw", "kind", "text"),
    [
        (HEAD + b"Content-Length: 20\r\n\r\n{}", "truncated", "ended after 2 bytes, 18 more were announced"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", "broken", "chunks are malformed"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", "truncated", "ended after 2 bytes"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde", "broken", "cannot be decoded"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "broken", "did not answer in HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "broken", "did not answer in HTTP"),
        (b"", "closed", "closed the connection before"),
        (HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n", "broken", "did not answer in HTTP"),
    ],
)
def test_broken_answers(server: Server, raw: bytes, kind: str, text: str) -> None:
    server.routes["/bad"] = Send(raw)
    got = send(f"{server.url}/bad")
    assert got.problem is not None
    assert got.problem.kind == kind
    assert text in got.problem.text
    assert "\n" not in got.problem.text
    with pytest.raises(ValueError, match=got.problem.text[:20]):
        got.json()


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_server_that_drips_does_not_outlive_the_request(server: Server, where: str) -> None:
    raw = HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 1000
    server.routes["/drip"] = Send(raw, 0.05 if where == "headers" else 0.002)
    got = send(f"{server.url}/drip", request_timeout_seconds=0.6)
    assert got.problem is not None
    assert got.problem.kind == "timeout"
    assert (got.status == 200) == (where == "body")


def test_the_deadline_bounds_a_request_and_stops_the_next(server: Server) -> None:
    server.routes["/drip"] = Send(HEAD, 0.2)
    clock = FakeClock()
    got = send(f"{server.url}/drip", clock=clock, timeout=0.4)
    assert got.problem is not None
    assert got.problem.kind == "timeout"
    context = fake_context(clock, timeout=1.0)
    clock.sleep(1.0)
    with http_client.Client(http_client.Settings(Tls()), context) as client:
        late = client.send(http_client.Request("GET", f"{server.url}/ok"))
    assert late.problem is not None
    assert late.problem.kind == "deadline"
    assert late.problem.text == "not sent: the total time of 1 s was used up"


def test_a_body_is_capped(server: Server) -> None:
    server.routes["/huge"] = answer(200, b"[" + b"1," * 500_000 + b"1]")
    got = send(f"{server.url}/huge", max_body_bytes=1000)
    assert (len(got.body), got.more, got.problem) == (1000, True, None)
    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        got.json()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the body is empty"),
        (b"<html>token=abc</html>", r"not JSON but text: <html>token=\[redacted\]"),
        (b"[" * 100_000, "not JSON|nested too deeply"),
        (b"\xff\xfe{", "not JSON"),
    ],
)
def test_what_is_not_json(server: Server, body: bytes, text: str) -> None:
    server.routes["/text"] = answer(200, body)
    got = send(f"{server.url}/text")
    with pytest.raises(ValueError, match=text):
        got.json()


def test_a_closed_port() -> None:
    got = send(f"http://127.0.0.1:{free_port()}/", retries=2)
    assert got.problem is not None
    assert got.problem.kind == "refused"
    assert got.attempts == 3
    assert got.summary().endswith("refused the connection (after 3 tries)")


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    got = send("http://nosuch.invalid/", retries=2)
    assert got.problem is not None
    assert (got.problem.kind, got.attempts) == ("name", 1)
    assert got.problem.text == "the name nosuch.invalid does not resolve: Name or service not known"


def test_a_resolver_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hang(*args: Any, **kwargs: Any) -> list[Any]:
        never.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    got = send("http://slow.invalid/", connect_timeout_seconds=0.2)
    never.set()
    assert got.problem is not None
    assert got.problem.kind == "name"
    assert "no answer within 0.2 s" in got.problem.text
    assert time.monotonic() - started < 5


def test_a_later_address_of_a_name_is_tried(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_transport, "resolve", lambda *args: ["127.0.0.99", "127.0.0.1"])
    assert send(f"{server.url}/ok").status == 200


def test_a_full_listen_queue_is_a_connection_time_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        got = send(f"http://127.0.0.1:{port}/", connect_timeout_seconds=0.3)
        for sock in waiting:
            sock.close()
    assert got.problem is not None
    assert got.problem.kind == "connect_timeout"


def test_retry_after_is_honoured_and_clamped(server: Server) -> None:
    server.routes["/busy"] = [
        answer(429, Retry_After="3"),
        answer(503, Retry_After="4000"),
        answer(503, Retry_After="soon"),
        OK,
    ]
    clock = FakeClock()
    got = send(f"{server.url}/busy", clock=clock, retries=5, timeout=100)
    assert (got.status, got.attempts) == (200, 4)
    assert clock.slept == [3.0, http_client.LONGEST_PAUSE_SECONDS, pytest.approx(0.8)]


def test_retry_after_as_a_date(server: Server) -> None:
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=8)
    server.routes["/busy"] = [answer(503, Retry_After=format_datetime(when, usegmt=True)), OK]
    clock = FakeClock()
    assert send(f"{server.url}/busy", clock=clock, retries=1).status == 200
    assert 5 < clock.slept[0] <= 8


def test_no_retry_that_would_not_fit_into_the_deadline(server: Server) -> None:
    server.routes["/busy"] = answer(503, Retry_After="20")
    clock = FakeClock()
    got = send(f"{server.url}/busy", clock=clock, retries=5, timeout=10)
    assert (got.status, got.attempts, clock.slept) == (503, 1, [])


@pytest.mark.parametrize(
    ("method", "status", "repeatable", "attempts"),
    [
        ("GET", 502, None, 3),
        ("GET", 500, None, 1),
        ("GET", 404, None, 1),
        ("PUT", 504, None, 3),
        ("POST", 503, None, 1),
        ("PATCH", 503, None, 1),
        ("POST", 503, True, 3),
        ("GET", 503, False, 1),
    ],
)
def test_what_is_tried_again(server: Server, method: str, status: int, repeatable: bool | None, attempts: int) -> None:
    server.routes["/x"] = answer(status)
    assert send(f"{server.url}/x", method, retries=2, repeatable=repeatable).attempts == attempts


def test_a_lost_connection_is_tried_again_for_get_only(server: Server) -> None:
    server.routes["/x"] = [Send(b""), OK]
    assert send(f"{server.url}/x", retries=1).status == 200
    server.routes["/x"] = [Send(b""), OK]
    got = send(f"{server.url}/x", "POST", retries=1, body=b"{}")
    assert got.problem is not None
    assert got.problem.kind == "closed"


def test_a_redirect_is_the_answer(server: Server) -> None:
    server.routes["/old"] = answer(302, Location="/ok")
    got = send(f"{server.url}/old")
    assert (got.status, got.redirects, server.paths) == (302, [], ["/old"])


def test_redirects_are_followed_where_asked(server: Server) -> None:
    server.routes |= {"/old": answer(301, Location="/older"), "/older": answer(308, Location=f"{server.url}/ok")}
    got = send(f"{server.url}/old", follow_redirects=True, secret_headers={"Authorization": "Bearer abc"})
    assert (got.status, got.redirects) == (200, [f"{server.url}/older", f"{server.url}/ok"])
    assert [request.headers.get("authorization") for request in server.asked] == ["Bearer abc"] * 3


def test_secrets_do_not_follow_to_another_port(server: Server) -> None:
    with serving({"/ok": OK}) as other:
        server.routes["/away"] = answer(302, Location=f"{other.url}/ok")
        secrets = {"Authorization": "Bearer abc", "X-Api-Key": "key"}
        got = send(f"{server.url}/away", follow_redirects=True, secret_headers=secrets, headers={"X-A": "1"})
    assert got.status == 200
    assert {"authorization", "x-api-key"}.isdisjoint(other.asked[0].headers)
    assert other.asked[0].headers["x-a"] == "1"


def test_a_body_does_not_follow_to_another_port(server: Server) -> None:
    with serving({"/ok": OK}) as other:
        server.routes["/away"] = answer(307, Location=f"{other.url}/ok")
        got = send(f"{server.url}/away", "POST", follow_redirects=True, body=b"{}")
    assert other.asked == []
    assert got.problem is not None
    assert "redirects a request with a body to another host" in got.problem.text


def test_a_post_becomes_a_get_as_in_browsers(server: Server) -> None:
    server.routes["/form"] = answer(303, Location="/ok")
    assert send(f"{server.url}/form", "POST", follow_redirects=True, body=b"{}").status == 200
    assert [(r.method, r.body) for r in server.asked] == [("POST", b"{}"), ("GET", b"")]


@pytest.mark.parametrize("location", ["/loop", "ftp://127.0.0.1/x", "http://", "http://127.0.0.1:99999/"])
def test_redirects_that_lead_nowhere(server: Server, location: str) -> None:
    server.routes["/loop"] = answer(302, Location=location)
    got = send(f"{server.url}/loop", follow_redirects=True)
    assert got.problem is not None
    assert got.problem.kind == "redirects"


def test_userinfo_is_sent_as_credentials_and_never_shown(server: Server) -> None:
    url = server.url.replace("://", "://me:hunter2@")
    got = send(f"{url}/ok?api_key=hunter2")
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert "hunter2" not in got.url + got.summary()
    gone = send(f"http://me:hunter2@127.0.0.1:{free_port()}/")
    assert "hunter2" not in gone.url + gone.summary()


def test_a_header_with_a_line_break(server: Server) -> None:
    got = send(f"{server.url}/ok", headers={"X-A": "1\r\nX-B: 2"})
    assert got.problem is not None
    assert got.problem.kind == "request"
    assert server.asked == []


def test_a_proxy_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    got = send("http://service.example/ok", use_proxy=True)
    assert got.problem is not None
    assert got.problem.kind == "proxy"
    assert "no_proxy" in got.problem.hint
    assert send(f"{server.url}/ok", use_proxy=False).status == 200


def test_cookies_belong_to_a_session_that_wants_them(server: Server) -> None:
    server.routes["/in"] = answer(200, b"{}", Set_Cookie="id=1; Path=/")
    for cookies, expected in ((True, "id=1"), (False, None)):
        with http_client.Client(http_client.Settings(Tls()), fake_context(), cookies=cookies) as client:
            client.send(http_client.Request("GET", f"{server.url}/in"))
            client.send(http_client.Request("GET", f"{server.url}/ok"))
        assert server.asked[-1].headers.get("cookie") == expected


def test_connections_are_reused(server: Server) -> None:
    ports: set[str] = set()
    server.routes["/x"] = lambda request: json_answer({"n": len(ports)})
    with http_client.Client(http_client.Settings(Tls(), request_timeout_seconds=5), fake_context()) as client:
        before = threading.active_count()
        for _ in range(20):
            assert client.send(http_client.Request("GET", f"{server.url}/x")).status == 200
        assert threading.active_count() <= before + 1  # one connection, so one thread of the server


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "url is empty"),
        ("localhost:8082", "has no scheme; did you mean http://localhost:8082?"),
        ("//host/x", "did you mean http://host/x?"),
        ("ftp://host/", "its scheme must be http or https, not ftp"),
        ("http:///x", "has no host"),
        ("http://host:port/", "which is no URL"),
        ("http://host:99999/", "which is no URL"),
        ("http://ho st/", "has no blanks"),
        ("http://[::1", "which is no URL"),
        ("http://me:hunter2@ho st/", "has no blanks"),
    ],
)
def test_bad_urls(url: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        http_client.check_url(url, "url")
    assert text in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("base", "path", "query", "url"),
    [
        ("http://h:1", "/a", {}, "http://h:1/a"),
        ("http://h:1/", "a", {"x": "ä b", "y": None}, "http://h:1/a?x=%C3%A4+b"),
        ("http://h/base/", "/a?z=1", {"x": [1, 2]}, "http://h/base/a?z=1&x=1&x=2"),
        ("http://h/a?k=v", "", {"x": "+"}, "http://h/a?k=v&x=%2B"),
    ],
)
def test_join(base: str, path: str, query: dict[str, Any], url: str) -> None:
    assert http_client.join(base, path, query) == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", -1),
        ("retries", 11),
        ("request_timeout_seconds", 0),
        ("request_timeout_seconds", float("nan")),
        ("connect_timeout_seconds", -1),
        ("max_body_bytes", 0),
        ("timeout", 0),
    ],
)
def test_options_out_of_range(name: str, value: float) -> None:
    params = {option: spec.get("default") for option, spec in http_client.SPEC.options.items()} | {name: value}
    with pytest.raises(InputError, match=f"^{name} is "):
        http_client.settings(params)


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem (self-signed, for 127.0.0.1), key.pem and other.pem (the key of another certificate)."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    for path, private in (("key.pem", key), ("other.pem", ec.generate_private_key(ec.SECP256R1()))):
        (folder / path).write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return folder


@pytest.fixture
def tls_server(authority: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    with serving({"/ok": OK}, context) as made:
        yield made


def tls(**options: Any) -> Tls:
    nothing = {"validate_certs": True, "ca_path": None, "client_cert_path": None, "client_key_path": None}
    return tls_settings({**nothing, **{name: str(v) if isinstance(v, Path) else v for name, v in options.items()}})


def test_tls(tls_server: Server, authority: Path) -> None:
    refused = send(f"{tls_server.url}/ok", tls=tls(), retries=3)
    assert refused.problem is not None
    assert (refused.problem.kind, refused.attempts) == ("tls", 1)
    assert "self-signed certificate" in refused.problem.text
    assert "ca_path" in refused.problem.hint
    assert send(f"{tls_server.url}/ok", tls=tls(ca_path=authority / "cert.pem")).status == 200
    assert send(f"{tls_server.url}/ok", tls=tls(validate_certs=False)).status == 200


def test_tls_name(tls_server: Server, authority: Path) -> None:
    got = send(tls_server.url.replace("127.0.0.1", "localhost") + "/ok", tls=tls(ca_path=authority / "cert.pem"))
    assert got.problem is not None
    assert "Hostname mismatch" in got.problem.text


def test_tls_against_a_plain_port(server: Server) -> None:
    got = send(server.url.replace("http:", "https:") + "/ok", tls=tls(validate_certs=False))
    assert got.problem is not None
    assert "begin with http://" in got.problem.hint


def test_a_client_certificate(authority: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    context.load_verify_locations(authority / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with serving({"/ok": OK}, context) as made:
        without = send(f"{made.url}/ok", tls=tls(ca_path=authority / "cert.pem"))
        pair = {"client_cert_path": authority / "cert.pem", "client_key_path": authority / "key.pem"}
        assert send(f"{made.url}/ok", tls=tls(ca_path=authority / "cert.pem", **pair)).status == 200
    assert without.problem is not None
    assert without.problem.kind in ("tls", "closed")


def test_files_of_tls_are_named(authority: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    pair = {"client_cert_path": authority / "cert.pem", "client_key_path": authority / "other.pem"}
    for options, text in (
        ({"ca_path": tmp_path / "none.pem"}, "none.pem cannot be used: No such file or directory"),
        ({"ca_path": bad}, "bad.pem cannot be used: no valid PEM"),
        ({"client_cert_path": tmp_path / "none.pem"}, "client_cert_path .*none.pem is no file"),
        ({"client_cert_path": bad}, "bad.pem cannot be used"),
        (pair, "cannot be used: no valid PEM .*belong together"),
    ):
        with pytest.raises(InputError, match=text):
            tls(**options)


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxy"),
    [
        ("", "http://service.example/", "http://me:pw@p:3128"),
        ("", "https://service.example/", "p:3129"),
        ("example", "http://service.example:81/", ""),
        (".example,other", "http://service.example/", ""),
        ("service.example:81", "http://service.example:81/", ""),
        ("10.0.0.0/8", "http://10.1.2.3/", ""),
        ("10.0.0.0/8, fd00::/8", "http://[fd00::1]:80/", ""),
        ("10.0.0.0/8,bad/net", "http://11.1.2.3/", "http://me:pw@p:3128"),
        ("*", "http://service.example/", ""),
    ],
)
def test_which_proxy(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, proxy: str) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://me:pw@p:3128")
    monkeypatch.setenv("https_proxy", "p:3129")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert http_proxies.proxy_for(url) == proxy


def test_credentials_of_a_proxy() -> None:
    assert http_proxies.address("http://me:p%40w@p:3128/") == ("http://p:3128", "me:p@w")
    assert http_proxies.address("p:3129") == ("http://p:3129", None)


def test_through_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("://", "://me:hunter2@"))
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.delenv("NO_PROXY", raising=False)
    got = send("http://service.example/ok", use_proxy=True)
    assert got.status == 200
    assert server.asked[0].headers["host"] == "service.example"
    assert server.asked[0].headers["proxy-authorization"].startswith("Basic ")


def test_a_request_arrives_as_it_was_meant(server: Server) -> None:
    got: list[Asked] = []
    server.routes["/echo"] = lambda request: got.append(request) or json_answer({})  # type: ignore[func-returns-value]
    send(f"{server.url}/echo?a=%2F&b=x+y#fragment", "POST", body='{"ä":1}'.encode())
    assert (got[0].query, got[0].json()) == ({"a": "/", "b": "x y"}, {"ä": 1})
