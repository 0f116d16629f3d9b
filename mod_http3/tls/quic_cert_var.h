/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SSL_SERVER_* variables tell about a certificate, in the formats of mod_ssl.
 *
 * Any thread may ask: a certificate is read-only once it is loaded.
 */
#ifndef QUIC_CERT_VAR_H
#define QUIC_CERT_VAR_H

#include <apr_pools.h>
#include "tls/quic_cert.h"

/*
 * The value of SSL_SERVER_`name`, in `pool`; NULL if there is no such variable, or the certificate
 * has no such value: "S_DN", "I_DN_CN", "M_SERIAL", "V_REMAIN" (whole days), "SAN_DNS_0", "CERT".
 */
const char *quic_cert_var(const quic_cert *cert, const char *name, apr_pool_t *pool);

#endif /* QUIC_CERT_VAR_H */
