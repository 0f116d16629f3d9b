# SPDX-License-Identifier: Apache-2.0
"""The manual against the server: every directive is there, with the range and default that the code
has, and every example is a configuration that httpd takes; the whole ones are run."""
import glob
import os
import re
import subprocess

import pytest

from h3test.response import ConnectionEnded

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def read(*parts):
    with open(os.path.join(ROOT, *parts)) as file:
        return file.read()


MANUAL = read("docs", "mod_http3.md")


def sections(text):
    """{directive: its entry}, of the entries that begin with ### and names of directives."""
    found = {}
    for names, entry in re.findall(r"^### (\w+(?:, \w+)*)\n(.*?)(?=^##)", text, re.M | re.S):
        found.update((name, entry) for name in names.split(", "))
    return found


def blocks(entry):
    """The indented examples: runs of lines with four spaces before them."""
    return [re.sub(r"^ +", "", block, flags=re.M)
            for block in re.findall(r"(?:^ {4,}\S.*\n)+", entry, re.M)]


H3 = {name: entry for name, entry in sections(MANUAL).items() if name.startswith("H3")}
ALTSVC = sections(read("docs", "mod_altsvc.md"))
RANGE = re.compile(r"^(\d\w*) to (\d\w*), default:? ", re.M)


def test_every_directive_of_mod_http3_is_there():
    source = read("mod_http3", "conf", "h3_config.h") + read("mod_http3", "conf", "h3_listen.h")
    registered = set(re.findall(r'\(\s*"(H3\w+)"', source))
    assert len(registered) > 10 and set(H3) == registered


@pytest.mark.parametrize("name", sorted(H3))
def test_an_entry_is_whole(name):
    assert re.search(r"\b[Dd]efault\b", H3[name])
    assert re.search(r"Context: server(, virtual host)?\.", H3[name].replace("\n", " "))
    assert len(blocks(H3[name])) >= 2, "syntax and example"


@pytest.mark.parametrize("name", sorted(name for name in H3 if RANGE.search(H3[name])))
def test_ranges_are_those_of_the_code(fresh_httpd, name):
    low, high = RANGE.search(H3[name]).groups()
    httpd = fresh_httpd(site=False)
    code, output = httpd.add("%s 99999999999" % name).vhost("h3.test").configtest()
    assert code != 0
    assert re.search(r"%s must be a \w+ from %ss? to %s\b" % (name, low, high), output)
    for value in (low, high):
        httpd = fresh_httpd(site=False)
        # The workers' own ends: as many as there can be at least need as many at most.
        more = "H3MaxWorkers 4095\n" if name == "H3MinWorkers" else ""
        more += "H3MinWorkers 1\n" if name == "H3MaxWorkers" else ""
        httpd.add("%s%s %s" % (more, name, value)).vhost("h3.test")
        code, output = httpd.configtest()
        assert code == 0, output


def test_defaults_are_those_of_the_code(fresh_httpd):
    httpd = fresh_httpd(site=False)
    code, output = httpd.vhost("h3.test").configtest("-D", "DUMP_HTTP3")
    assert code == 0
    defaults = dict(re.findall(r"^  (H3\w+) (\w+)$", output, re.M))
    told = {name: found.group(1) for name, entry in H3.items()
            for found in [re.search(r"\bdefault (\d\w*|cubic)", entry)] if found}
    assert len(defaults) > 8 and told == defaults


EXAMPLES = [text for entry in H3.values() for text in blocks(entry)[1:]]


@pytest.mark.parametrize("text", EXAMPLES, ids=[text.splitlines()[-1] for text in EXAMPLES])
def test_the_examples_of_mod_http3(fresh_httpd, text):
    httpd = fresh_httpd(site=False)
    text = text.replace("/var/log/apache2/qlog", httpd.path("logs"))
    code, output = httpd.add(text).vhost("h3.test").configtest()
    assert code == 0, output


@pytest.mark.parametrize("name", sorted(ALTSVC))
def test_the_entries_of_mod_altsvc(fresh_httpd, name):
    entry = ALTSVC[name]
    rows = dict(re.findall(r"^\| (\w+) \| (.*?) \|$", entry, re.M))
    assert sorted(rows) == ["Context", "Default", "Syntax"]
    assert rows["Syntax"].startswith("`" + name)
    (example,) = blocks(entry)
    assert example.startswith(name)
    httpd = fresh_httpd(altsvc=True, site=False)
    code, output = httpd.vhost("h3.test", example).configtest()
    assert code == 0, output


def for_this_machine(httpd, text, names):
    """A whole configuration of the manual with this server's port, files and certificates."""
    pair = httpd.ca.leaf("manual-%d" % len(names), names=names)
    text = re.sub(r"^ *(LoadModule|Listen) .*\n", "", text, flags=re.M)
    text = re.sub(r"(SSLCertificateFile +)\S+", r"\g<1>" + pair.cert_file, text)
    text = re.sub(r"(SSLCertificateKeyFile +)\S+", r"\g<1>" + pair.key_file, text)
    return text.replace("*:443", "*:%d" % httpd.port).replace("/var/www/html", httpd.docs)


def test_the_whole_example_of_mod_http3(fresh_httpd):
    httpd = fresh_httpd()
    (text,) = re.findall(r"```apache\n(.*?)```", MANUAL, re.S)
    names = ("www.example.org", "intern.example.org")
    httpd.add(for_this_machine(httpd, text, names)).start()
    for version in ("1.1", "2", "3"):
        assert httpd.fetch(version, "/small.txt", sni="www.example.org").status == 200
    assert httpd.fetch("2", "/small.txt", sni="intern.example.org").status == 200
    with pytest.raises(ConnectionEnded) as refused:
        httpd.fetch("3", "/small.txt", sni="intern.example.org")
    assert refused.value.code == 0x170


def test_the_example_of_the_readme(fresh_httpd):
    httpd = fresh_httpd(altsvc=True)
    whole = re.search(r"^    Listen 443\n.*?^    </VirtualHost>", read("README.md"), re.M | re.S)
    httpd.add(for_this_machine(httpd, whole.group(0), ("www.example.org",))).start()
    for version in ("1.1", "2", "3"):
        response = httpd.fetch(version, "/small.txt", sni="www.example.org")
        assert (response.status, response.text) == (200, "a small file\n")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"] + sorted(
    os.path.join("docs", os.path.basename(path))
    for path in glob.glob(os.path.join(ROOT, "docs", "*.md"))))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, path)), target
        headings = [re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower()
                    for heading in re.findall(r"^#+ (.*)$", read(path), re.M)] if anchor else [""]
        assert anchor in headings, target


def test_log_messages_in_the_operations_page_are_those_of_the_code():
    """Each symptom in the table that is a log line, up to its first dots."""
    source = "".join(read(path) for path in glob.glob(os.path.join(ROOT, "mod_http3", "*", "*.c")))
    # Neighbouring literals are one, formats are what they may print.
    source = re.sub(r'"\s*(?:APLOGNO\(\d+\))?\s*"', "", source)
    table = read("docs", "operations.md").partition("## When something is wrong")[2]
    lines = [text for text in re.findall(r"^\| `([^`]+)`", table, re.M)
             if not text.startswith(("Alt-Svc", "--"))]
    assert len(lines) >= 6
    for text in lines:
        words = re.escape(text).replace(r"\.\.\.", r"[^\"]*")
        words = re.sub(r"\b(NAME|bind|socket|receive)\b", "%s", words)
        assert re.search(words, source), text


GUIDE = read("CONTRIBUTING.md")


def test_the_commands_for_contributors_can_be_typed():
    """Each block of them is one that a shell reads, and each script has the option."""
    blocks = re.findall(r"(?:^    \S.*\n(?:    .*\n)*)", GUIDE, re.M)
    blocks = [block for block in blocks if not block.startswith("    quic_hold:")]
    lines = re.findall(r"`((?:sh|gdb|grep|make) [^`]+)`", GUIDE.replace("\n", " ")) + blocks
    assert len(blocks) >= 7 and len(lines) >= 12
    for text in lines:
        done = subprocess.run(["sh", "-n"], input=text.encode(), stderr=subprocess.PIPE,
                              check=False)
        assert done.returncode == 0, "%s\n%s" % (text, done.stderr.decode())
    for script, option in re.findall(r"sh (build/\w+\.sh)(?: (--\w+|start|stop|env)\b)?", GUIDE):
        assert not option or re.search(r"^#   sh %s .*%s" % (script, option), read(script), re.M)


def test_what_contributors_are_told_of_is_there():
    """Files, tests by their names, functions to break at, variables of the harness."""
    for path in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", GUIDE):
        if not path.startswith("build/cache/") and "X" not in path:
            assert os.path.exists(os.path.join(ROOT, path)), path
    for unit in re.findall(r"TESTS=(unit/\w+_test)", GUIDE):
        assert unit + " " in read("tests", "Makefile.am"), unit
    tests = re.findall(r"\b((?:http3|altsvc)/test_\w+\.py)::(test_\w+)", GUIDE)
    assert len(tests) >= 4
    for file, name in tests:
        assert re.search(r"^def %s\(" % name, read("tests", file), re.M), name
    sources = "".join(read(path) for pattern in ("mod_http3/*/*.c", "tests/unit/*.c")
                      for path in glob.glob(os.path.join(ROOT, pattern)))
    names = set(re.findall(r"'break (\w+)'|`((?:h3|quic)_\w+)` (?:sees )?each", GUIDE))
    assert len(names) >= 4
    for name in map("".join, names):
        assert re.search(r"^(?:static )?\w+ \**%s\(" % name, sources, re.M), name
    harness = "".join(read(path) for pattern in ("tests/h3test/*.py", "tests/conftest.py")
                      for path in glob.glob(os.path.join(ROOT, pattern)))
    for variable in set(re.findall(r"\bH3TEST_[A-Z]+", GUIDE)):
        assert '"%s"' % variable in harness, variable


def test_the_tar_file_has_the_papers():
    listed = re.search(r"^EXTRA_DIST = ((?:.*\\\n)*.*)", read("Makefile.am"), re.M).group(1).split()
    for paper in ("CHANGES", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md"):
        assert paper in listed and os.path.exists(os.path.join(ROOT, paper)), paper
