/* SPDX-License-Identifier: Apache-2.0 */
#include "altsvc_value.h"

#include <string.h>
#include <arpa/inet.h>
#include <apr_lib.h>
#include <apr_strings.h>

/* Walks over the text; what it reads is copied to `pool`. */
typedef struct {
    apr_pool_t *pool;
    const char *at;
} reader;

static int is_tchar(unsigned char c);
static void skip_space(reader *in);
static const char *quote(apr_pool_t *p, const char *text, apr_size_t len);
static const char *read_token(reader *in);
static const char *read_quoted(reader *in, const char **text);
static const char *read_protocol(reader *in, const char **alpn);
static const char *read_authority(reader *in, altsvc_value_alt *alt);
static const char *read_parameter(reader *in, altsvc_value_alt *alt);
static const char *read_alternative(reader *in, altsvc_value_alt *alt);
static const char *check_name(apr_pool_t *p, const char *name);

/* RFC 9110 section 5.6.2 */
static int is_tchar(unsigned char c)
{
    return c < 128 && c > 0 && (apr_isalnum(c) || strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

static void skip_space(reader *in)
{
    while (*in->at == ' ' || *in->at == '\t') {
        in->at++;
    }
}

/* A piece of what the administrator typed, fit for an error message. */
static const char *quote(apr_pool_t *p, const char *text, apr_size_t len)
{
    char *copy = apr_pstrndup(p, text, len < 80 ? len : 80);
    char *c;

    for (c = copy; *c; c++) {
        if (!apr_isprint(*c)) {
            *c = '?';
        }
    }
    return apr_pstrcat(p, "'", copy, "'", NULL);
}

static const char *read_token(reader *in)
{
    const char *start = in->at;

    while (is_tchar((unsigned char)*in->at)) {
        in->at++;
    }
    return apr_pstrndup(in->pool, start, in->at - start);
}

/* quoted-string of RFC 9110 section 5.6.4, without its quotes and backslashes */
static const char *read_quoted(reader *in, const char **text)
{
    char *out = apr_palloc(in->pool, strlen(in->at) + 1);

    *text = out;
    in->at++;
    while (*in->at != '"') {
        if (*in->at == '\\' && in->at[1]) {
            in->at++;
        }
        if (!*in->at) {
            return "a quoted string has no closing quote";
        }
        if ((unsigned char)*in->at < ' ' || *in->at == 0x7f) {
            return "a quoted string holds a control character";
        }
        *out++ = *in->at++;
    }
    *out = '\0';
    in->at++;
    return NULL;
}

/* RFC 7838 section 3: one spelling for each protocol, so that clients can compare octets. */
static const char *read_protocol(reader *in, const char **alpn)
{
    const char *id = read_token(in);
    char *out = apr_palloc(in->pool, strlen(id) + 1);
    const char *c;
    int octet;

    if (!*id) {
        return apr_psprintf(in->pool, "expected a protocol such as h3 at %s",
                            *in->at ? quote(in->pool, in->at, strlen(in->at)) : "the end");
    }
    if (*in->at && *in->at != '=' && *in->at != ' ') {
        octet = (unsigned char)*in->at;
        return apr_psprintf(in->pool,
                            "in the protocol after %s the octet %s must be written as %%%02X",
                            quote(in->pool, id, strlen(id)), quote(in->pool, in->at, 1), octet);
    }
    *alpn = out;
    for (c = id; *c; c++) {
        if (*c != '%') {
            *out++ = *c;
            continue;
        }
        if (hex_digit(c[1]) < 0 || hex_digit(c[2]) < 0) {
            return apr_psprintf(in->pool,
                                "the protocol %s needs two digits 0-9 or A-F after each "
                                "percent sign",
                                quote(in->pool, id, strlen(id)));
        }
        octet = hex_digit(c[1]) * 16 + hex_digit(c[2]);
        if (octet == 0 || (octet != '%' && is_tchar((unsigned char)octet))) {
            return apr_psprintf(in->pool, "in the protocol %s the octet %%%02X must not be escaped",
                                quote(in->pool, id, strlen(id)), octet);
        }
        *out++ = (char)octet;
        c += 2;
    }
    *out = '\0';
    if (strlen(*alpn) > 255) {
        return "a protocol is longer than the 255 octets that ALPN can carry";
    }
    return NULL;
}

static const char *read_authority(reader *in, altsvc_value_alt *alt)
{
    const char *text, *colon, *mistake;

    if (*in->at != '"') {
        return apr_psprintf(in->pool, "after %s= comes [host]:port in double quotes, not %s",
                            altsvc_value_protocol_id(in->pool, alt->protocol),
                            *in->at ? quote(in->pool, in->at, strlen(in->at)) : "the end");
    }
    mistake = read_quoted(in, &text);
    if (mistake) {
        return mistake;
    }
    colon = strrchr(text, ':');
    if (!colon || strchr(colon, ']')) {
        return apr_psprintf(in->pool, "%s has no port: it must read \":port\" or \"host:port\"",
                            quote(in->pool, text, strlen(text)));
    }
    alt->host = apr_pstrndup(in->pool, text, colon - text);
    if (*alt->host) {
        mistake = altsvc_value_check_host(in->pool, alt->host);
        if (mistake) {
            return mistake;
        }
    }
    return altsvc_value_number(in->pool, "the port", colon + 1, 1, 65535, &alt->port);
}

static const char *read_parameter(reader *in, altsvc_value_alt *alt)
{
    const char *name, *value, *mistake;
    int one;

    skip_space(in);
    name = read_token(in);
    if (!*name || *in->at != '=') {
        return apr_psprintf(
            in->pool, "after a semicolon comes ma=SECONDS or persist=1, not %s",
            *name || *in->at ? quote(in->pool, in->at - strlen(name), strlen(name) + strlen(in->at))
                             : "the end");
    }
    in->at++;
    if (*in->at == '"') {
        mistake = read_quoted(in, &value);
        if (mistake) {
            return mistake;
        }
    }
    else {
        value = read_token(in);
    }
    if (!apr_strnatcasecmp(name, "ma")) {
        if (alt->ma >= 0) {
            return "the parameter ma is there twice";
        }
        return altsvc_value_number(in->pool, "ma", value, 1, ALTSVC_VALUE_MAX_AGE, &alt->ma);
    }
    if (!apr_strnatcasecmp(name, "persist")) {
        if (alt->persist >= 0) {
            return "the parameter persist is there twice";
        }
        mistake = altsvc_value_number(in->pool, "persist", value, 1, 1, &one);
        alt->persist = 1;
        return mistake ? "persist can only be 1; leave it out for no" : NULL;
    }
    return apr_psprintf(in->pool, "the parameter %s is not known; there are ma and persist",
                        quote(in->pool, name, strlen(name)));
}

static const char *read_alternative(reader *in, altsvc_value_alt *alt)
{
    const char *mistake = read_protocol(in, &alt->protocol);

    if (mistake) {
        return mistake;
    }
    if (*in->at != '=') {
        if (!strcmp(alt->protocol, "clear")) {
            return "clear stands alone, without alternatives";
        }
        return apr_psprintf(in->pool, "after the protocol %s comes an equals sign",
                            quote(in->pool, alt->protocol, strlen(alt->protocol)));
    }
    in->at++;
    mistake = read_authority(in, alt);
    for (skip_space(in); !mistake && *in->at == ';'; skip_space(in)) {
        in->at++;
        mistake = read_parameter(in, alt);
    }
    return mistake;
}

const char *altsvc_value_parse(apr_pool_t *p, const char *text, apr_array_header_t *alts)
{
    reader in = { p, text };

    for (;;) {
        altsvc_value_alt alt = { NULL, "", 0, -1, -1 };
        const char *mistake;

        skip_space(&in);
        mistake = read_alternative(&in, &alt);
        if (mistake) {
            return mistake;
        }
        APR_ARRAY_PUSH(alts, altsvc_value_alt) = alt;
        if (!*in.at) {
            return NULL;
        }
        if (*in.at != ',') {
            return apr_psprintf(p, "%s stands where a semicolon, a comma or the end should be",
                                quote(p, in.at, strlen(in.at)));
        }
        in.at++;
    }
}

const char *altsvc_value_format(apr_pool_t *p, const altsvc_value_alt *alt, int ma, int persist)
{
    return apr_psprintf(p, "%s=\"%s:%d\"; ma=%d%s", altsvc_value_protocol_id(p, alt->protocol),
                        alt->host, alt->port, alt->ma >= 0 ? alt->ma : ma,
                        (alt->persist >= 0 ? alt->persist : persist) ? "; persist=1" : "");
}

const char *altsvc_value_protocol_id(apr_pool_t *p, const char *alpn)
{
    static const char digits[] = "0123456789ABCDEF";
    char *id = apr_palloc(p, 3 * strlen(alpn) + 1);
    char *out = id;

    for (; *alpn; alpn++) {
        unsigned char octet = (unsigned char)*alpn;

        if (octet != '%' && is_tchar(octet)) {
            *out++ = (char)octet;
        }
        else {
            *out++ = '%';
            *out++ = digits[octet >> 4];
            *out++ = digits[octet & 15];
        }
    }
    *out = '\0';
    return id;
}

/* Letters, digits, hyphen and underscore between dots; RFC 1035 section 2.3.4 for the sizes. */
static const char *check_name(apr_pool_t *p, const char *name)
{
    apr_size_t label = 0;
    const char *c;

    for (c = name; *c; c++) {
        if (*c == '.' && label > 0) {
            label = 0;
        }
        else if ((apr_isalnum(*c) || *c == '-' || *c == '_') && label < 63) {
            label++;
        }
        else {
            return apr_psprintf(p, "%s is no host name", quote(p, name, strlen(name)));
        }
    }
    if (label == 0 || c - name > 253) {
        return apr_psprintf(p, "%s is no host name", quote(p, name, strlen(name)));
    }
    return NULL;
}

const char *altsvc_value_check_host(apr_pool_t *p, const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;
    apr_size_t len = strlen(host);

    if (*host == '[') {
        if (len < 2 || host[len - 1] != ']'
            || inet_pton(AF_INET6, apr_pstrndup(p, host + 1, len - 2), &v6) != 1) {
            return apr_psprintf(p, "%s is no IPv6 address in brackets", quote(p, host, len));
        }
        return NULL;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return apr_psprintf(p, "the IPv6 address %s needs brackets", quote(p, host, len));
    }
    if (strspn(host, "0123456789.") == len && inet_pton(AF_INET, host, &v4) != 1) {
        return apr_psprintf(p, "%s is no IPv4 address", quote(p, host, len));
    }
    return check_name(p, host);
}

const char *altsvc_value_number(apr_pool_t *p, const char *what, const char *text, int min, int max,
                                int *number)
{
    apr_size_t len = strlen(text);

    if (len > 0 && len <= 10 && strspn(text, "0123456789") == len) {
        apr_int64_t value = apr_atoi64(text);

        if (value >= min && value <= max) {
            *number = (int)value;
            return NULL;
        }
    }
    return apr_psprintf(p, "%s %s is not a number from %d to %d", what, quote(p, text, len), min,
                        max);
}
