# SPDX-License-Identifier: Apache-2.0
"""Chromium finds HTTP/3 by itself: the first document over h2, all that follows over h3."""
import os
import re

import pytest

from h3test import content
from h3test.browser import Browser, available
from h3test.wait import until

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(not available(), reason="no Chromium on this machine")]
RESOURCES = 100

PAGE = """<!doctype html><meta charset="utf-8"><title>by which protocol</title>
<style>body { font: 14px sans-serif } b { color: #070 }</style>
<h1>by which protocol</h1><p id="document"></p><p id="resources"></p><div>%s</div>
<script>
addEventListener("load", () => {
  const by = e => e.nextHopProtocol;
  const all = performance.getEntriesByType("resource");
  const count = {};
  for (const e of all) count[by(e)] = (count[by(e)] || 0) + 1;
  document.getElementById("document").textContent =
    "document: " + by(performance.getEntriesByType("navigation")[0]);
  document.getElementById("resources").textContent = "resources: " + JSON.stringify(count);
});
</script>
"""

# A PNG of one pixel, so that each resource is an image that a browser shows.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8"
    "ffff3f0005fe02fea735811d0000000049454e44ae426082")


@pytest.fixture(scope="module")
def httpd(make_httpd, backend):
    httpd = make_httpd(altsvc=True)
    images = "".join('<img src="/page/%d.png" width="8" height="8" alt="">' % i
                     for i in range(RESOURCES))
    content.write(httpd.path("htdocs/page/index.html"), PAGE % images)
    for i in range(RESOURCES):
        content.write(httpd.path("htdocs/page/%d.png" % i), PIXEL)
    # What is cached tells the protocol of its first load for ever.
    httpd.vhost("h3.test", """AltSvc auto
    <Location /page/>
        Header set Cache-Control no-store
    </Location>
    ProxyPass /backend/ http://127.0.0.1:%d/
    """ % backend.port)
    return httpd.start()


@pytest.fixture
def browser(httpd):
    with Browser([httpd.ca.leaf()]) as browser:
        yield browser


def url(httpd, path):
    return "https://h3.test:%d%s" % (httpd.port, path)


def test_discovery(httpd, browser, artefacts):
    """h2 first; after the Alt-Svc of the answer everything by h3."""
    assert browser.navigate(url(httpd, "/page/")) == "h2"
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    protocols = browser.resource_protocols()
    images = {u: p for u, p in protocols.items() if re.search(r"/page/\d+\.png", u)}
    assert len(images) == RESOURCES and set(images.values()) == {"h3"}, protocols
    assert browser.evaluate("[...document.images].every(i => i.naturalWidth === 1)")
    browser.screenshot(os.path.join(artefacts, "chromium-h3.png"))
    # A request is logged when its response is acknowledged.
    until(lambda: sum(" HTTP/3.0 on h3.test" in line and "/page/" in line
                      for line in httpd.access().splitlines()) >= RESOURCES, 10, "all are logged")


def test_real_work(httpd, browser):
    """A form's upload, a CGI and a backend, by h3."""
    browser.navigate(url(httpd, "/page/"))
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    result = browser.evaluate("""(async () => {
        const body = "u".repeat(500000);
        const up = await fetch("/cgi-bin/sha256.cgi", {method: "POST", body});
        const env = await (await fetch("/cgi-bin/env.cgi")).text();
        const proxied = await (await fetch("/backend/x")).text();
        const large = await (await fetch("/large.bin")).arrayBuffer();
        return [up.status, await up.text(), env, proxied, large.byteLength];
    })()""")
    import hashlib
    assert result[0] == 200
    assert result[1].split()[0] == hashlib.sha256(b"u" * 500000).hexdigest()
    assert "SERVER_PROTOCOL=HTTP/3.0\n" in result[2] and "HTTP3=on\n" in result[2]
    assert result[3] == "the backend says hello\n" and result[4] == len(content.LARGE)
    protocols = browser.resource_protocols()
    assert {p for u, p in protocols.items() if "/cgi-bin/" in u or "/backend/" in u} == {"h3"}


def test_without_quic_it_stays_h2(httpd):
    """The control: the same page, and a browser that does not speak it."""
    with Browser([httpd.ca.leaf()], quic=False) as browser:
        assert browser.navigate(url(httpd, "/page/")) == "h2"
        assert browser.reload() == "h2"
        assert set(browser.resource_protocols().values()) == {"h2"}


def test_forced(httpd):
    """QUIC from the first datagram on."""
    with Browser([httpd.ca.leaf()], force_port=httpd.port) as browser:
        assert browser.navigate(url(httpd, "/page/")) == "h3"


def test_over_a_graceful_restart(httpd, browser):
    """A page that is open goes on working."""
    browser.navigate(url(httpd, "/page/"))
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    httpd.graceful()
    for i in range(20):
        assert browser.fetch("/small.txt?%d" % i) == (200, content.SMALL.decode())
