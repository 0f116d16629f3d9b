/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_log.h"

#include <stdarg.h>
#include <apr_strings.h>
#include "http_config.h"

APLOG_USE_MODULE(http3);

#define TEXT_MAX 1024

int quic_log_is_on(const quic_log *log, int level)
{
    return APLOG_IS_LEVEL(log->server, level);
}

void quic_log_line(const quic_log *log, const char *file, int line, int level, apr_status_t status,
                   const char *no, const char *fmt, ...)
{
    char addr[QUIC_ADDR_STRLEN], text[TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    apr_vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ap_log_error(file, line, APLOG_MODULE_INDEX, level, status, log->server, "%sconn %.8s %s: %s",
                 no, log->id, quic_addr_str(addr, log->remote), text);
}
