/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_sysctl.h"

#include <string.h>
#include <apr_file_io.h>
#include <apr_strings.h>

const char *h3_sysctl_get(const char *name, apr_pool_t *p)
{
    const char *value = NULL;
    char line[128];
    apr_file_t *f;

    if (apr_file_open(&f, apr_pstrcat(p, "/proc/sys/", name, NULL),
                      APR_FOPEN_READ | APR_FOPEN_BUFFERED, APR_FPROT_OS_DEFAULT, p)
        == APR_SUCCESS) {
        if (apr_file_gets(line, sizeof(line), f) == APR_SUCCESS) {
            value = apr_pstrmemdup(p, line, strcspn(line, "\n"));
        }
        apr_file_close(f);
    }
    return value;
}
