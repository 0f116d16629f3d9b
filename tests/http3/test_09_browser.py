# SPDX-License-Identifier: Apache-2.0
"""Chromium finds HTTP/3 by itself: the first document over h2, all that follows over h3."""
import json
import os
import re

import pytest

from h3test import content
from h3test.browser import Browser, available
from h3test.wait import SLOWNESS, until

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


EARLY = """<Location /denied>
        Require all denied
    </Location>
    <Location /onlyget>
        AllowMethods GET
    </Location>
    <Location /cgi-bin/little/>
        LimitRequestBody 1000
    </Location>
    ScriptAlias /cgi-bin/little/ cgi-bin/
    Redirect 301 /there301 /small.txt
    Redirect 302 /there302 /small.txt
    Redirect 303 /there303 /small.txt
    Redirect 307 /there307 /cgi-bin/sha256.cgi
    Redirect 308 /there308 /cgi-bin/sha256.cgi
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
"""

# Answers that do not wait for the request's body, and the status that the page sees. (Of a script
# that has ended without reading all, mod_cgid may lose the answer, over every protocol.)
EARLY_ANSWERS = [
    ("/nothere", 404), ("/private/index.html", 401), ("/denied", 403), ("/onlyget", 405),
    ("/cgi-bin/little/sha256.cgi", 413), ("/broken/", 500), ("/there301", 200), ("/there302", 200),
    ("/there303", 200), ("/there307", 200), ("/there308", 200), ("/small.txt", 200),
    ("/large.bin", 200), ("/ssi/plain.shtml", 200), ("/cgi-bin/early.cgi", 200),
    ("/cgi-bin/crash.cgi", 500), ("/backend/early", 403)]


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
    %s""" % (backend.port, EARLY))
    content.write(httpd.path("htdocs/broken/.htaccess"), "NoSuchDirective\n")
    content.write(httpd.path("cgi-bin/early.cgi"), "#!/bin/sh\necho Content-Type: text/plain\n"
                  "echo; echo early; exec cat > /dev/null\n", 0o755)
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


def test_early_answers(httpd, browser):
    """What is answered before its body has come: at once, by HTTP/3, and never repeated. The
    browser looks at no answer before it has sent all, and hangs when it is told to stop."""
    browser.navigate(url(httpd, "/page/"))
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    before = len(httpd.access())
    asked = [(path, size) for path, _ in EARLY_ANSWERS for size in (300000, 1000000)]
    # Half of the 30 s after which it gives a connection up.
    result = browser.evaluate("""(async () => {
        const answers = [];
        for (const [path, size] of %s) {
            const answer = await fetch(path, {
                method: "POST", body: new Uint8Array(size), credentials: "omit",
                signal: AbortSignal.timeout(%d)}).catch(e => ({status: String(e)}));
            answers.push(answer.status);
            if (answer.text) await answer.text();
        }
        return answers;
    })()""" % (json.dumps(asked), 15000 * SLOWNESS), 600)
    assert result == [status for _, status in EARLY_ANSWERS for _ in range(2)]
    assert browser.fetch("/small.txt?last")[0] == 200
    lines = until(lambda: "last" in httpd.access()[before:] and httpd.access()[before:], 10,
                  "the last one is logged").splitlines()
    assert all(" HTTP/3.0 " in line for line in lines), lines
    posts = [line.split()[4] for line in lines if '"POST ' in line]
    assert [p for p in posts if p != "/cgi-bin/sha256.cgi"] == [path for path, _ in asked]
    assert len(posts) == len(asked) + 4, "307 and 308 send the body twice"


def test_many_early_answers_at_once(httpd, browser):
    """More than a connection's window at a time."""
    browser.navigate(url(httpd, "/page/"))
    until(lambda: browser.reload() == "h3", 20, "the document comes by h3")
    before = len(httpd.access())
    result = browser.evaluate("""Promise.all(Array.from({length: 12}, async (_, i) => {
        const answer = await fetch("/nothere?" + i, {
            method: "POST", body: new Uint8Array(1000000), signal: AbortSignal.timeout(%d)});
        await answer.text();
        return answer.status;
    }))""" % (15000 * SLOWNESS), 60)
    assert result == [404] * 12
    until(lambda: httpd.access()[before:].count('"POST ') == 12, 10, "all are logged")
    assert len(re.findall(r'"POST /nothere\S+ HTTP/3\.0" 404 ', httpd.access()[before:])) == 12
