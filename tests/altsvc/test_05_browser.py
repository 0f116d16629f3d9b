# SPDX-License-Identifier: Apache-2.0
"""What it is all for: Chromium finds HTTP/3 by the frame alone and by the header alone, stays on
HTTP/2 where nothing is said, and goes back to it after `clear`."""
import itertools
import re

import pytest

from h3test import content
from h3test.browser import Browser, available
from h3test.wait import until

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(not available(), reason="there is no Chromium")]

NAMES = ("header.h3.test", "frame.h3.test", "sibling.h3.test", "off.h3.test", "turn.h3.test")


@pytest.fixture(scope="module")
def httpd(make_httpd):
    httpd = make_httpd(altsvc=True)
    content.write(httpd.path("conf", "turn"), "AltSvc auto\n")
    httpd.add("Header set Cache-Control no-store\nAltSvcMaxAge 600")
    httpd.vhost("header.h3.test", "AltSvc auto")
    # The header is nowhere, not even on HTTP/3: what the browser knows, it knows by the frame.
    httpd.vhost("frame.h3.test", "AltSvc auto\nAltSvcMode frame\nAltSvcOrigins sibling.h3.test\n"
                                 "<Location />\n    AltSvc off\n</Location>")
    httpd.vhost("sibling.h3.test", "AltSvc auto\nAltSvcMode frame\n"
                                   "<Location />\n    AltSvc off\n</Location>")
    httpd.vhost("off.h3.test", "AltSvc off")
    httpd.vhost("turn.h3.test", "Include %s" % httpd.path("conf", "turn"))
    httpd.start()
    until(lambda: httpd.fetch("1.1", sni="header.h3.test").get("alt-svc"), 20, "it is advertised")
    return httpd


@pytest.fixture
def browser(httpd):
    with Browser([httpd.ca.leaf()], hosts=NAMES) as browser:
        yield browser


def url(httpd, name, path="/"):
    return "https://%s:%d%s" % (name, httpd.port, path)


def fetched_by(httpd, browser, name, path):
    """The protocol by which a fetch() of the page comes."""
    address = url(httpd, name, path)
    status, _ = browser.fetch(address)
    assert status == 200
    return browser.resource_protocols()[address]


def test_by_the_header(httpd, browser):
    assert browser.navigate(url(httpd, "header.h3.test")) == "h2"
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")


def test_by_the_frame_alone(httpd, browser):
    for version in ("1.1", "2", "3"):
        assert httpd.fetch(version, sni="frame.h3.test").get_all("alt-svc") == []
    assert browser.navigate(url(httpd, "frame.h3.test")) == "h2"
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    # A page that has never been visited: the frame of its neighbour spoke for it.
    assert browser.navigate(url(httpd, "sibling.h3.test")) == "h3"


def test_the_frame_is_known_before_the_first_response(httpd, browser):
    assert browser.navigate(url(httpd, "frame.h3.test")) == "h2"
    turns = itertools.count()
    # The HTTP/2 connection is used until the one of HTTP/3 is there.
    until(lambda: fetched_by(httpd, browser, "frame.h3.test",
                             "/small.txt?%d" % next(turns)) == "h3", 20, "a fetch by h3")


def test_where_nothing_is_said_it_stays_on_http2(httpd, browser):
    """HTTP/3 is served there all the same."""
    assert httpd.fetch("3", sni="off.h3.test").status == 200
    assert browser.navigate(url(httpd, "off.h3.test")) == "h2"
    for _ in range(6):
        assert browser.reload() == "h2"


def test_clear_brings_it_back(httpd, browser):
    """The browser is on HTTP/3, and HTTP/3 stays on: `clear` reaches it there."""
    assert browser.navigate(url(httpd, "turn.h3.test")) == "h2"
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    # The control: a restart that changes nothing leaves it on HTTP/3.
    httpd.graceful()
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    assert [browser.reload() for _ in range(4)] == ["h3"] * 4
    content.write(httpd.path("conf", "turn"), "AltSvc clear\n")
    before = len(httpd.access())
    httpd.graceful()
    until(lambda: httpd.fetch("3", sni="turn.h3.test").get_all("alt-svc") == ["clear"], 20, "clear")
    protocols = []
    until(lambda: protocols.append(browser.reload()) or protocols[-1] == "h2", 20,
          "the document comes by h2 again")
    assert [browser.reload() for _ in range(4)] == ["h2"] * 4
    # All that while it could have had HTTP/3.
    assert httpd.fetch("3", sni="turn.h3.test").status == 200
    assert re.search(r'"GET / HTTP/2.0" 200', httpd.access()[before:])
