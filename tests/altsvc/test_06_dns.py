# SPDX-License-Identifier: Apache-2.0
"""The HTTPS records of -D DUMP_HTTP3, read by a DNS library as a name server would."""
import re

import dns.name
import dns.rdatatype
import dns.zonefile
import pytest


def records_of(httpd):
    """[(owner, priority, target, {key number: value})] of every record that is printed."""
    code, output = httpd.configtest("-D", "DUMP_HTTP3")
    assert code == 0, output
    lines = re.findall(r"^    DNS: (.*)$", output, re.M)
    found = []
    for line in lines:
        (rrset,) = dns.zonefile.read_rrsets(line, rdclass=None, default_ttl=None)
        assert rrset.rdtype == dns.rdatatype.HTTPS and rrset.ttl == 3600
        for rr in rrset:
            found.append((rrset.name.to_text(), rr.priority, rr.target,
                          {int(key): value for key, value in rr.params.items()}))
            # RFC 9460 section 2.5: "." is the owner, which is a host's name or has no address.
            effective = rrset.name if rr.target == dns.name.root else rr.target
            assert not effective.to_text().startswith("_"), line
    return found


def protocols(record):
    return [one.decode() for one in record[3][1].ids] if 1 in record[3] else None


def made(make, *vhosts):
    httpd = make(altsvc=True, site=False)
    for name, body, aliases in vhosts:
        httpd.vhost(name, body, aliases=aliases)
    return httpd


def owners(records):
    return [owner for owner, *_ in records]


def test_another_port_than_443(make_httpd):
    """The target is the host: nobody has an address for the name with the port."""
    httpd = made(make_httpd, ("a.test", "AltSvc auto", ("a2.test.", "A3.Test")))
    records = records_of(httpd)
    names = ("a.test.", "a2.test.", "A3.Test.")
    assert [(r[0], r[1], r[2].to_text()) for r in records] == [
        ("_%d._https.%s" % (httpd.port, name), 1, name) for name in names]
    assert all(protocols(r) == ["h3", "h2"] and 3 not in r[3] for r in records)


def test_port_443(make_httpd):
    """No port before the name, and the host is the owner."""
    httpd = made(make_httpd, ("a.test:443", "AltSvc h3=\":443\"", ("b.test",)))
    assert [(r[0], r[1], r[2].to_text(), protocols(r)) for r in records_of(httpd)] == [
        ("a.test.", 1, ".", ["h3", "h2"]), ("b.test.", 1, ".", ["h3", "h2"])]


def test_alternatives_elsewhere(make_httpd):
    """By host, by port, by both; the host with its last dot or without."""
    httpd = made(make_httpd, ("a.test:8443", "AltSvc h3=\"cdn.test:443\" h3=\":9000\" "
                              "h3=\"cdn2.test:8443\" h3=\":8443\"", ()),
                 ("b.test:443", "AltSvc h3=\":9000\"", ()))
    found = [(r[0], r[1], r[2].to_text(), protocols(r), r[3][3].port if 3 in r[3] else None,
              2 in r[3]) for r in records_of(httpd)]
    a, b = "_8443._https.a.test.", "b.test."
    assert found == [(a, 1, "cdn.test.", ["h3"], 443, True), (a, 2, "a.test.", ["h3"], 9000, True),
                     (a, 3, "cdn2.test.", ["h3"], 8443, True),
                     (a, 4, "a.test.", ["h3", "h2"], None, False),
                     (b, 1, ".", ["h3"], 9000, True), (b, 2, ".", ["h2"], None, False)]


@pytest.mark.parametrize("name", [
    "192.0.2.1", "[2001:db8::1]", "*.a.test", "w?.a.test", "a..test", ".a.test", "b\u00fccher.test",
    "a(b.test", "a@b.test", "x" * 64 + ".test", ".".join(["x" * 62] * 4) + ".test", "1.2.3"])
def test_names_that_have_no_record(make_httpd, name):
    """As a ServerAlias beside a name that has one."""
    httpd = made(make_httpd, ("a.test:443", "AltSvc auto", ('"%s"' % name,)))
    assert owners(records_of(httpd)) == ["a.test."] * 2


@pytest.mark.parametrize("name", ["a_b.test", "xn--bcher-kva.test", "host", "1a.test",
                                  "x" * 63 + ".test", "1.test", "a-.test"])
def test_names_that_have_one(make_httpd, name):
    httpd = made(make_httpd, ("a.test:443", "AltSvc h3=\":443\"", (name,)))
    assert owners(records_of(httpd)) == ["a.test.", name + "."]


def test_the_length_counts_with_the_port(make_httpd):
    """253 octets fit without it, and not with it."""
    name = ".".join(["x" * 62] * 4)[:253]
    for port, fits in (443, True), (8443, False):
        httpd = made(make_httpd, ("a.test:%d" % port, "AltSvc h3=\":%d\"" % port, (name,)))
        assert len(records_of(httpd)) == 1 + fits


def test_once_per_name(make_httpd):
    httpd = made(make_httpd, ("a.test:443", "AltSvc h3=\":443\"", ("A.test", "a.test.", "b.test")))
    assert owners(records_of(httpd)) == ["a.test.", "b.test."]


def test_a_servername_with_a_scheme(make_httpd):
    """As behind a proxy: what clients see counts."""
    httpd = made(make_httpd, ("https://a.test:8443", "AltSvc h3=\":8443\"", ()))
    assert [(r[0], r[2].to_text()) for r in records_of(httpd)] == [
        ("_8443._https.a.test.", "a.test.")]


def test_protocols_with_octets_of_their_own(make_httpd):
    """What a list in a zone file would need escaped has no record; the others have."""
    httpd = made(make_httpd, ("a.test:443", "AltSvc w%3Dx%3Ay=\":443\" h3=\":443\" "
                              "x%2Cy=\":443\" a%22b=\":443\" a%5Cb=\":443\" x%20y=\":443\" "
                              "a%3Bb=\":443\" x%28y=\":443\"", ()))
    (record,) = records_of(httpd)
    assert protocols(record) == ["w=x:y", "h3", "a;b", "x(y", "h2"]
