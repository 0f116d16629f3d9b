# SPDX-License-Identifier: Apache-2.0
"""What keeps lists of protocol versions, as docs/operations.md says it."""
import glob
import os
import re

import pytest

from h3test import content
from h3test.installed import MODULE_DIR

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "operations.md")
RULES = "/usr/share/modsecurity-crs/rules"

with open(PAGE) as page:
    SECTION = page.read().partition("## Lists of protocol versions\n")[2].partition("\n## ")[0]


def modsecurity(make, text):
    httpd = make(modules=("security2",), altsvc=True)
    httpd.add("""SecDataDir {root}/run
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
{text}
Include /etc/modsecurity/crs/crs-setup.conf
Include {rules}/*.conf
""".format(root=httpd.root, text=text, rules=RULES))
    return httpd.vhost("h3.test").start()


BROWSER = [("user-agent", "Mozilla/5.0"), ("accept", "*/*")]


@pytest.mark.skipif(not os.path.exists(MODULE_DIR + "/mod_security2.so")
                    or not os.path.isdir(RULES), reason="no ModSecurity with its core rules here")
def test_modsecurity(fresh_httpd):
    """The core rules refuse what they do not know; with the manual's line they do their work."""
    (line,) = re.findall(r"^    (SecAction .*)$", SECTION, re.M)
    with open(glob.glob(RULES + "/REQUEST-901-*.conf")[0]) as file:
        known = "HTTP/3" in file.read()
    httpd = modsecurity(fresh_httpd, "")
    for version in ("1.1", "2", "3"):
        answer = httpd.fetch(version, "/small.txt", fields=BROWSER)
        assert answer.status == (403 if version == "3" and not known else 200), version
    assert known or "920430" in httpd.log()
    httpd.stop()

    httpd = modsecurity(fresh_httpd, line)
    for version in ("1.1", "2", "3"):
        assert httpd.fetch(version, "/small.txt", fields=BROWSER).body == content.SMALL
        form = BROWSER + [("content-type", "application/x-www-form-urlencoded")]
        for fields in (form, form + [("content-length", "3")]):
            if version == "1.1" and fields is form:
                continue
            answer = httpd.fetch(version, "/cgi-bin/sha256.cgi", "POST", fields, b"a=b")
            assert answer.status == 200, (version, fields, httpd.log()[-2000:])
        assert httpd.fetch(version, "/?a=../../etc/passwd", fields=BROWSER).status == 403
        answer = httpd.fetch(version, "/cgi-bin/sha256.cgi", "POST", form,
                             b"a=%3Cscript%3Ealert(1)%3C/script%3E")
        assert answer.status == 403, version


def test_conditions(fresh_httpd):
    """The manual's condition holds for HTTP/2 and HTTP/3; one for HTTP/2.0 for that alone."""
    (condition,) = re.findall(r"`<If (\"[^`]*m#[^`]*)>`", SECTION)
    httpd = fresh_httpd()
    httpd.vhost("h3.test", """<If %s>
    Header set X-Both yes
</If>
<If "%%{SERVER_PROTOCOL} == 'HTTP/2.0'">
    Header set X-Two yes
</If>
SetEnvIf Request_Protocol "^HTTP/3" three
Header set X-Three yes env=three
BrowserMatch . downgrade-1.0 force-response-1.0 nokeepalive""" % condition).start()
    seen = {}
    for version in ("1.1", "2", "3"):
        answer = httpd.fetch(version, "/small.txt", fields=BROWSER)
        assert answer.body == content.SMALL
        seen[version] = [name for name in ("x-both", "x-two", "x-three") if answer.get(name)]
    assert seen == {"1.1": [], "2": ["x-both", "x-two"], "3": ["x-both", "x-three"]}
    with httpd.h3() as conn:        # the connection stays, whatever the browser is thought to need
        for _ in range(2):
            assert conn.request("GET", "/small.txt", BROWSER).status == 200
