"""The review server answers its own page and no one else. Plain HTTP against a process."""

from __future__ import annotations

import json
import signal
import socket

import pytest

from batchcolor.review.security import Access


@pytest.fixture
def page(shared_page):
    return shared_page


def test_without_the_token_nothing_is_served(page):
    name = f"batchcolor-{page.port}"
    for path in ("/", "/static/main.js", "/api/state", "/api/events", "/absent"):
        for cookie in (None, "x=y", f"{name}=", f"{name}=wrong", f"{name}={page.token}x"):
            status, headers, content = page.request("GET", path, Cookie=cookie)
            assert status == 401, (path, cookie)
            assert b"results" not in content
            assert "default-src 'none'" in headers["content-security-policy"]
    status, *_ = page.request("POST", "/api/write", {}, Cookie=None)
    assert status == 401


def test_the_token_becomes_a_cookie_and_leaves_the_address(page):
    status, headers, _ = page.request("GET", f"/?token={page.token}", Cookie=None)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    status, headers, content = page.request("GET", "/", Cookie=cookie.split(";")[0])
    assert status == 200
    assert page.token.encode() not in content
    assert page.request("GET", "/?token=wrong", Cookie=None)[0] == 401
    assert page.request("GET", f"/api/state?token={page.token}", Cookie=None)[0] == 401


@pytest.mark.parametrize("other", ['a={"x": 1}', "a b=1", "[q]=1", "flag"])
def test_odd_cookies_of_other_local_servers_do_not_lock_the_page_out(page, other):
    for cookie in (f"{other}; {page.cookie}", f"{page.cookie}; {other}"):
        assert page.request("GET", "/api/state", Cookie=cookie)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", None])
def test_another_host_is_refused_which_prevents_dns_rebinding(page, host):
    assert page.request("GET", "/api/state", Host=host)[0] == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", None])
def test_another_origin_is_refused(page, origin):
    status, *_ = page.request("POST", "/api/write", {}, Origin=origin)
    assert status == 403


def test_a_request_of_another_site_is_refused_also_to_read(page):
    for site in ("cross-site", "same-site"):
        assert page.request("GET", "/api/state", Sec_Fetch_Site=site)[0] == 403
    assert page.request("GET", "/api/state", Sec_Fetch_Site="same-origin")[0] == 200
    assert page.request("GET", "/api/state", Origin="http://evil.example")[0] == 403


def test_the_policy_permits_only_the_page_itself(page):
    _, headers, content = page.request("GET", "/")
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert b"//" not in content.replace(b"http://www.w3.org", b"")
    assert b" style=" not in content
    assert b" onclick" not in content


@pytest.mark.parametrize(
    "path",
    [
        "/static/../security.py",
        "/static/..%2fsecurity.py",
        "/static/%2e%2e/session.py",
        "/static//etc/passwd",
        "/static/",
        "/api/items/../../etc/passwd/thumb",
        "/api/items/..%2f..%2fetc%2fpasswd/after?side=100",
        "/api/items/%00/before?side=100",
    ],
)
def test_files_are_served_by_id_and_never_by_path(page, path):
    status, _, content = page.request("GET", path)
    assert status in (404, 405), content


def test_a_reference_is_an_item_and_never_a_path(review, results):
    page = review(results)
    first, second = page.find("001.jpg"), page.find("003.jpg")
    for reference in ("/etc/passwd", "../album/001.jpg", "001.jpg", 5, ["x"]):
        body = {
            "client": "x",
            "changes": [{"id": first["id"], "decision": {"reference": reference}}],
        }
        status, _, content = page.request("POST", "/api/decisions", body)
        assert status == 400, content
    saved = page.decide("001.jpg", {"reference_id": second["id"]})
    assert saved["decision"] == {"reference": "003.jpg", "reference_id": second["id"]}
    assert page.decide("001.jpg", saved["decision"])["decision"] == saved["decision"]
    lines = (results / ".batchcolor" / "decisions.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["reference"] == "003.jpg"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[1]", 400),
        (b"{}", 400),
        ({"client": "x", "changes": [1]}, 400),
        ({"client": "x", "changes": [{"id": "absent", "decision": {}}]}, 404),
        ({"client": "x", "changes": "all"}, 400),
        (b"[" * 100_000, 400),
    ],
)
def test_a_wrong_body_is_refused_with_a_reason_and_nothing_is_stored(page, template, body, status):
    answered, _, content = page.request("POST", "/api/decisions", body)
    assert answered == status, content
    assert json.loads(content)["error"]
    assert not (template / ".batchcolor" / "decisions.jsonl").exists()


@pytest.mark.parametrize("decision", [{"strength": 9}, {"state": "maybe"}, {"unknown": 1}, []])
def test_a_wrong_decision_is_refused(page, decision):
    body = {"client": "x", "changes": [{"id": page.find("001.jpg")["id"], "decision": decision}]}
    assert page.request("POST", "/api/decisions", body)[0] == 400


def test_large_and_other_bodies_are_refused(page):
    huge = str(10**9)
    assert page.request("POST", "/api/decisions", None, Content_Length=huge)[0] == 413
    chunked = {"Transfer_Encoding": "chunked", "Content_Length": None}
    assert page.request("POST", "/api/decisions", None, **chunked)[0] == 411
    status, *_ = page.request("POST", "/api/decisions", {}, Content_Type="text/plain")
    assert status == 415


def test_it_listens_on_loopback_only(page):
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in addresses:
        if address.startswith("127.") or ":" in address:
            continue
        with pytest.raises(OSError), socket.create_connection((address, page.port), timeout=5):
            pass


def test_ctrl_c_ends_it_cleanly_also_with_an_open_page(review, results):
    page = review(results)
    with socket.create_connection(("127.0.0.1", page.port), timeout=300) as stream:
        request = f"GET /api/events HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.cookie}\r\n\r\n"
        stream.sendall(request.encode())
        assert b"200 OK" in stream.recv(4096)
        page.process.send_signal(signal.SIGINT)
        output, _ = page.process.communicate(timeout=300)
    assert page.process.returncode == 0, output
    assert "Traceback" not in output


def test_a_token_for_the_browser_is_valid_once():
    access = Access()
    once = access.make_single_use()
    assert access.redeem(once)
    assert not access.redeem(once)
    assert access.redeem(access.token)
    assert access.redeem(access.token)
    assert not access.redeem("")
