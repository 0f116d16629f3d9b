/* SPDX-License-Identifier: Apache-2.0 */
/* Alt-Svc values: what is read, what is refused and with which words, what is written. */

#include "altsvc_value.h"

#include <apr_general.h>
#include <apr_strings.h>

#include "tap.h"

static void is(apr_pool_t *p, const char *got, const char *want, const char *name)
{
    is_str(got, want, "%s", name);
    apr_pool_clear(p);
}

/* Reads `text` and writes it again with the defaults ma=86400 and no persist. */
static const char *round_trip(apr_pool_t *p, const char *text)
{
    apr_array_header_t *alts = apr_array_make(p, 1, sizeof(altsvc_value_alt));
    const char *mistake = altsvc_value_parse(p, text, alts), *out = "";
    int i;

    if (mistake) {
        return apr_pstrcat(p, "! ", mistake, NULL);
    }
    for (i = 0; i < alts->nelts; i++) {
        out = apr_pstrcat(
            p, out, i ? ", " : "",
            altsvc_value_format(p, &APR_ARRAY_IDX(alts, i, altsvc_value_alt), 86400, 0), NULL);
    }
    return out;
}

static const struct {
    const char *text, *written;
} good[] = {
    { "h3=\":443\"", "h3=\":443\"; ma=86400" },
    { "h3=\":443\";ma=60", "h3=\":443\"; ma=60" },
    { " h3=\":443\" ; ma=60 ; persist=1 ", "h3=\":443\"; ma=60; persist=1" },
    { "h3=\":443\";\tMA=60;Persist=1", "h3=\":443\"; ma=60; persist=1" },
    { "h3=\":443\";ma=\"60\"", "h3=\":443\"; ma=60" },
    { "h3=\":443\";ma=2147483647", "h3=\":443\"; ma=2147483647" },
    { "h3=\"alt.example:8443\"", "h3=\"alt.example:8443\"; ma=86400" },
    { "h3=\"a\\lt.example:8443\"", "h3=\"alt.example:8443\"; ma=86400" },
    { "h3=\"192.0.2.1:443\"", "h3=\"192.0.2.1:443\"; ma=86400" },
    { "h3=\"[2001:db8::1]:443\"", "h3=\"[2001:db8::1]:443\"; ma=86400" },
    { "h3=\":443\",h2=\"alt:443\"", "h3=\":443\"; ma=86400, h2=\"alt:443\"; ma=86400" },
    { "h3=\":1\";ma=5 , h3-29=\":2\"", "h3=\":1\"; ma=5, h3-29=\":2\"; ma=86400" },
    /* the examples of RFC 7838 section 3 */
    { "http%2F1.1=\"alt:80\"", "http%2F1.1=\"alt:80\"; ma=86400" },
    { "w%3Dx%3Ay#z=\":1\"", "w%3Dx%3Ay#z=\":1\"; ma=86400" },
    { "x%25y=\":65535\"", "x%25y=\":65535\"; ma=86400" },
    { "%00\0", "! in the protocol '%00' the octet %00 must not be escaped" },
    { "x%80=\":1\"", "x%80=\":1\"; ma=86400" },
};

static const struct {
    const char *text, *mistake;
} bad[] = {
    { "", "expected a protocol such as h3 at the end" },
    { "=\":443\"", "expected a protocol such as h3 at '=\":443\"'" },
    { ",h3=\":443\"", "expected a protocol such as h3 at ',h3=\":443\"'" },
    { "h3=\":443\",", "expected a protocol such as h3 at the end" },
    { "h3", "after the protocol 'h3' comes an equals sign" },
    { "h3 =\":443\"", "after the protocol 'h3' comes an equals sign" },
    { "clear", "clear stands alone, without alternatives" },
    { "h3=\":443\", clear", "clear stands alone, without alternatives" },
    { "http/1.1=\":443\"", "in the protocol after 'http' the octet '/' must be written as %2F" },
    { "h\r=\":443\"", "in the protocol after 'h' the octet '?' must be written as %0D" },
    { "h\xc3\xa9=\":443\"", "in the protocol after 'h' the octet '?' must be written as %C3" },
    { "x%2f=\":443\"", "the protocol 'x%2f' needs two digits 0-9 or A-F after each percent sign" },
    { "x%2=\":443\"", "the protocol 'x%2' needs two digits 0-9 or A-F after each percent sign" },
    { "x%=\":443\"", "the protocol 'x%' needs two digits 0-9 or A-F after each percent sign" },
    { "%683=\":443\"", "in the protocol '%683' the octet %68 must not be escaped" },
    { "h3=:443", "after h3= comes [host]:port in double quotes, not ':443'" },
    { "h3=", "after h3= comes [host]:port in double quotes, not the end" },
    { "h3=\":443", "a quoted string has no closing quote" },
    { "h3=\":443\\", "a quoted string has no closing quote" },
    { "h3=\":443\r\nX: y\"", "a quoted string holds a control character" },
    { "h3=\"\"", "'' has no port: it must read \":port\" or \"host:port\"" },
    { "h3=\"443\"", "'443' has no port: it must read \":port\" or \"host:port\"" },
    { "h3=\"[::1]\"", "'[::1]' has no port: it must read \":port\" or \"host:port\"" },
    { "h3=\":\"", "the port '' is not a number from 1 to 65535" },
    { "h3=\":0\"", "the port '0' is not a number from 1 to 65535" },
    { "h3=\":65536\"", "the port '65536' is not a number from 1 to 65535" },
    { "h3=\":99999999999999999999\"",
      "the port '99999999999999999999' is not a number from 1 to 65535" },
    { "h3=\":-1\"", "the port '-1' is not a number from 1 to 65535" },
    { "h3=\":+1\"", "the port '+1' is not a number from 1 to 65535" },
    { "h3=\":0x50\"", "the port '0x50' is not a number from 1 to 65535" },
    { "h3=\": 443\"", "the port ' 443' is not a number from 1 to 65535" },
    { "h3=\"2001:db8::1:443\"", "the IPv6 address '2001:db8::1' needs brackets" },
    { "h3=\"[::g]:443\"", "'[::g]' is no IPv6 address in brackets" },
    { "h3=\"[]:443\"", "'[]' is no IPv6 address in brackets" },
    { "h3=\"[:443\"", "'[' is no IPv6 address in brackets" },
    { "h3=\"256.1.1.1:443\"", "'256.1.1.1' is no IPv4 address" },
    { "h3=\"a b:443\"", "'a b' is no host name" },
    { "h3=\"a..b:443\"", "'a..b' is no host name" },
    { "h3=\".a:443\"", "'.a' is no host name" },
    { "h3=\"a.:443\"", "'a.' is no host name" },
    { "h3=\"*.a:443\"", "'*.a' is no host name" },
    { "h3=\"user@a:443\"", "'user@a' is no host name" },
    { "h3=\"https://a:443\"", "'https://a' is no host name" },
    { "h3=\":443\";", "after a semicolon comes ma=SECONDS or persist=1, not the end" },
    { "h3=\":443\";ma", "after a semicolon comes ma=SECONDS or persist=1, not 'ma'" },
    { "h3=\":443\"; ma =1", "after a semicolon comes ma=SECONDS or persist=1, not 'ma =1'" },
    { "h3=\":443\";ma=", "ma '' is not a number from 1 to 2147483647" },
    { "h3=\":443\";ma=0", "ma '0' is not a number from 1 to 2147483647" },
    { "h3=\":443\";ma=-5", "ma '-5' is not a number from 1 to 2147483647" },
    { "h3=\":443\";ma=1d", "ma '1d' is not a number from 1 to 2147483647" },
    { "h3=\":443\";ma=2147483648", "ma '2147483648' is not a number from 1 to 2147483647" },
    { "h3=\":443\";ma=1;ma=1", "the parameter ma is there twice" },
    { "h3=\":443\";persist=0", "persist can only be 1; leave it out for no" },
    { "h3=\":443\";persist=1;persist=1", "the parameter persist is there twice" },
    { "h3=\":443\";max=1", "the parameter 'max' is not known; there are ma and persist" },
    { "h3=\":443\" ma=1", "'ma=1' stands where a semicolon, a comma or the end should be" },
    { "h3=\":443\"x", "'x' stands where a semicolon, a comma or the end should be" },
};

static void test_tables(apr_pool_t *p)
{
    apr_size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        is(p, round_trip(p, good[i].text), good[i].written, good[i].text);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *got = round_trip(p, bad[i].text);

        is_str(got, apr_pstrcat(p, "! ", bad[i].mistake, NULL), "refused, row %d", (int)i);
        apr_pool_clear(p);
    }
}

static void test_format(apr_pool_t *p)
{
    altsvc_value_alt alt = { "h3", "", 443, -1, -1 };

    is(p, altsvc_value_format(p, &alt, 5, 1), "h3=\":443\"; ma=5; persist=1", "defaults fill in");
    alt.ma = 7;
    alt.persist = 1;
    is(p, altsvc_value_format(p, &alt, 5, 0), "h3=\":443\"; ma=7; persist=1", "own values win");
    alt.protocol = "a b\"%\x01";
    is(p, altsvc_value_format(p, &alt, 5, 0), "a%20b%22%25%01=\":443\"; ma=7; persist=1",
       "octets that are no token are escaped");
}

/* Each octet, escaped as the RFC wants it, is read back; the other spelling is refused. */
static void test_every_octet(apr_pool_t *p)
{
    int octet, good = 1, strict = 1;

    for (octet = 1; octet < 256; octet++) {
        char alpn[2] = { (char)octet, 0 };
        const char *id = altsvc_value_protocol_id(p, alpn);
        apr_array_header_t *alts = apr_array_make(p, 1, sizeof(altsvc_value_alt));

        if (altsvc_value_parse(p, apr_pstrcat(p, id, "=\":1\"", NULL), alts)
            || strcmp(APR_ARRAY_IDX(alts, 0, altsvc_value_alt).protocol, alpn)) {
            printf("# octet %02X as %s\n", octet, id);
            good = 0;
        }
        id = id[0] == '%' ? alpn : apr_psprintf(p, "%%%02X", octet);
        if (!altsvc_value_parse(p, apr_pstrcat(p, id, "=\":1\"", NULL), alts)) {
            printf("# octet %02X also as %s\n", octet, id);
            strict = 0;
        }
        apr_pool_clear(p);
    }
    ok(good, "every octet of a protocol is escaped and read back");
    ok(strict, "no octet has a second spelling");
}

static void test_sizes(apr_pool_t *p)
{
    char text[600];

    memset(text, 'a', sizeof(text));
    memcpy(text + 255, "=\":1\"", 6);
    ok(strncmp(round_trip(p, text), "! ", 2) != 0, "a protocol of 255 octets");
    memset(text, 'a', sizeof(text));
    memcpy(text + 256, "=\":1\"", 6);
    is(p, round_trip(p, text), "! a protocol is longer than the 255 octets that ALPN can carry",
       "a protocol of 256 octets");
    memset(text, 'a', sizeof(text));
    text[63] = '\0';
    ok(altsvc_value_check_host(p, text) == NULL, "a label of 63 octets");
    text[63] = 'a';
    text[64] = '\0';
    ok(altsvc_value_check_host(p, text) != NULL, "a label of 64 octets");
    memset(text, 'a', sizeof(text));
    text[50] = text[100] = text[150] = text[200] = '.';
    text[253] = '\0';
    ok(altsvc_value_check_host(p, text) == NULL, "a name of 253 octets");
    text[253] = 'a';
    text[254] = '\0';
    ok(altsvc_value_check_host(p, text) != NULL, "a name of 254 octets");
    ok(altsvc_value_check_host(p, "") != NULL, "a name of no octets");
}

int main(void)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    test_tables(p);
    test_format(p);
    test_every_octet(p);
    test_sizes(p);
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
