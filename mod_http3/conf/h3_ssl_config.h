/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SSL* directives, registered a second time with mod_ssl's override bits: httpd gives each of
 * them to every module that registered it. Here are only those that HTTP/3 honours, or must know of
 * in order to stay off. Without mod_ssl each of them is an error, as it would be without this
 * module; values that mod_ssl rejects are left to its own message.
 *
 * Handlers run while the configuration (or an .htaccess file, by a worker) is read. What is a
 * server's is read-only after post_config, what is a directory's once it is merged: any thread may
 * read it then.
 */
#ifndef H3_SSL_CONFIG_H
#define H3_SSL_CONFIG_H

#include <stddef.h>
#include "httpd.h"
#include "http_config.h"
#include "conf/h3_ssl_setting.h"

/* Per server and virtual host. NULL: not given. */
typedef struct h3_ssl_config {
    const h3_ssl_setting *engine;
    const h3_ssl_setting *protocol;
    const h3_ssl_setting *ciphers;   /* of TLS up to 1.2; matters for SSLVHostSNIPolicy only */
    const h3_ssl_setting *ciphers13; /* SSLCipherSuite TLSv1.3 */
    const h3_ssl_setting *chain_file, *ticket_key_file, *tickets;
    const h3_ssl_setting *verify_client, *verify_depth;
    const h3_ssl_setting *ca_path, *ca_file, *ca_dn_path, *ca_dn_file;
    const h3_ssl_setting *crl_path, *crl_file, *crl_check;
    const h3_ssl_setting *ocsp_enable, *ocsp_override, *ocsp_responder;
    const h3_ssl_setting *srp_verifier;
    const h3_ssl_setting *strict_sni;
    apr_array_header_t *cert_files; /* const h3_ssl_setting * */
    apr_array_header_t *key_files;  /* const h3_ssl_setting * */
    apr_array_header_t *conf_cmds;  /* const h3_ssl_setting *, "NAME VALUE" */
    const char *groups;             /* what SSLOpenSSLConfCmd Groups leaves, BoringSSL's names */
    const char *policy;             /* equal policies may share a connection (SSLVHostSNIPolicy) */
} h3_ssl_config;

/* SSLOptions, as bits. */
enum {
    H3_SSL_CONFIG_OPT_STDENVVARS = 1,
    H3_SSL_CONFIG_OPT_EXPORTCERTDATA = 2,
    H3_SSL_CONFIG_OPT_FAKEBASICAUTH = 4,
    H3_SSL_CONFIG_OPT_LEGACYDN = 8,
    H3_SSL_CONFIG_OPT_OTHER = 16, /* StrictRequire (mod_ssl enforces it), OptRenegotiate */
    H3_SSL_CONFIG_OPT_RELATIVE = 32
};

/* Per directory, Location, .htaccess ... */
typedef struct h3_ssl_config_dir {
    int require_ssl;
    int options, options_add, options_del;
    const h3_ssl_setting *verify_client;
    const h3_ssl_setting *ciphers;
    const h3_ssl_setting *require; /* an SSLRequire */
    const h3_ssl_setting *user_name;
} h3_ssl_config_dir;

h3_ssl_config *h3_ssl_config_create(apr_pool_t *p);
h3_ssl_config *h3_ssl_config_merge(apr_pool_t *p, const h3_ssl_config *base,
                                   const h3_ssl_config *add);
void *h3_ssl_config_create_dir(apr_pool_t *p, char *dir);
void *h3_ssl_config_merge_dir(apr_pool_t *p, void *base, void *add);

/* pre_config: forgets what an earlier configuration has said (the DSO stays loaded). */
void h3_ssl_config_reset(apr_pool_t *pconf);

int h3_ssl_config_enabled(const server_rec *s); /* SSLEngine on, or a Listen for https */

/* Settings in <Directory>, <Location> ... (not in .htaccess) that HTTP/3 denies. */
const apr_array_header_t *h3_ssl_config_denied_dirs(void);

/* SSLVHostSNIPolicy, of the whole server. */
typedef enum {
    H3_SSL_CONFIG_SNI_SECURE,
    H3_SSL_CONFIG_SNI_STRICT,
    H3_SSL_CONFIG_SNI_INSECURE,
    H3_SSL_CONFIG_SNI_AUTHONLY
} h3_ssl_config_sni;
h3_ssl_config_sni h3_ssl_config_sni_policy(void);

/* SSLFIPS, of the whole server; NULL: not given. */
const h3_ssl_setting *h3_ssl_config_fips(void);

int h3_ssl_config_strict_sni(const server_rec *s); /* SSLStrictSNIVHostCheck on */

/* The rows for the module's command table; cmd_data is the offset of the setting. */
const char *h3_ssl_config_set(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_file(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_add_file(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_flag(cmd_parms *cmd, void *dir, int flag);
const char *h3_ssl_config_set_ciphers(cmd_parms *cmd, void *dir, const char *a, const char *b);
const char *h3_ssl_config_add_conf_cmd(cmd_parms *cmd, void *dir, const char *a, const char *b);
const char *h3_ssl_config_set_verify(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_require(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_require_ssl(cmd_parms *cmd, void *dir);
const char *h3_ssl_config_set_options(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_user(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_sni_policy(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_ssl_config_set_fips(cmd_parms *cmd, void *dir, int flag);

#define H3_SSL_SRV(name, args, handler, member)                                       \
    AP_INIT_##args(name, handler, (void *)offsetof(h3_ssl_config, member), RSRC_CONF, \
                   "mod_ssl's directive, also for HTTP/3")
#define H3_SSL_ALL(name, args, handler, member)                                                    \
    AP_INIT_##args(name, handler, (void *)offsetof(h3_ssl_config, member), RSRC_CONF | OR_AUTHCFG, \
                   "mod_ssl's directive, also for HTTP/3")
#define H3_SSL_DIR(name, args, handler, type) \
    AP_INIT_##args(name, handler, NULL, type, "mod_ssl's directive, also for HTTP/3")

/* clang-format off */
#define H3_SSL_CONFIG_COMMANDS                                                                     \
    H3_SSL_SRV("SSLEngine", TAKE1, h3_ssl_config_set, engine),                                     \
    H3_SSL_SRV("SSLProtocol", RAW_ARGS, h3_ssl_config_set, protocol),                              \
    H3_SSL_ALL("SSLCipherSuite", TAKE12, h3_ssl_config_set_ciphers, ciphers),                      \
    H3_SSL_SRV("SSLOpenSSLConfCmd", TAKE2, h3_ssl_config_add_conf_cmd, conf_cmds),                 \
    H3_SSL_SRV("SSLCertificateFile", TAKE1, h3_ssl_config_add_file, cert_files),                   \
    H3_SSL_SRV("SSLCertificateKeyFile", TAKE1, h3_ssl_config_add_file, key_files),                 \
    H3_SSL_SRV("SSLCertificateChainFile", TAKE1, h3_ssl_config_set_file, chain_file),              \
    H3_SSL_SRV("SSLSessionTicketKeyFile", TAKE1, h3_ssl_config_set_file, ticket_key_file),         \
    H3_SSL_SRV("SSLSessionTickets", FLAG, h3_ssl_config_set_flag, tickets),                        \
    H3_SSL_ALL("SSLCACertificatePath", TAKE1, h3_ssl_config_set_file, ca_path),                    \
    H3_SSL_ALL("SSLCACertificateFile", TAKE1, h3_ssl_config_set_file, ca_file),                    \
    H3_SSL_SRV("SSLCADNRequestPath", TAKE1, h3_ssl_config_set_file, ca_dn_path),                   \
    H3_SSL_SRV("SSLCADNRequestFile", TAKE1, h3_ssl_config_set_file, ca_dn_file),                   \
    H3_SSL_SRV("SSLCARevocationPath", TAKE1, h3_ssl_config_set_file, crl_path),                    \
    H3_SSL_SRV("SSLCARevocationFile", TAKE1, h3_ssl_config_set_file, crl_file),                    \
    H3_SSL_SRV("SSLCARevocationCheck", RAW_ARGS, h3_ssl_config_set, crl_check),                    \
    H3_SSL_ALL("SSLVerifyClient", TAKE1, h3_ssl_config_set_verify, verify_client),                 \
    H3_SSL_ALL("SSLVerifyDepth", TAKE1, h3_ssl_config_set, verify_depth),                          \
    H3_SSL_SRV("SSLOCSPEnable", RAW_ARGS, h3_ssl_config_set, ocsp_enable),                         \
    H3_SSL_SRV("SSLOCSPOverrideResponder", FLAG, h3_ssl_config_set_flag, ocsp_override),           \
    H3_SSL_SRV("SSLOCSPDefaultResponder", TAKE1, h3_ssl_config_set, ocsp_responder),               \
    H3_SSL_SRV("SSLSRPVerifierFile", TAKE1, h3_ssl_config_set_file, srp_verifier),                 \
    H3_SSL_SRV("SSLStrictSNIVHostCheck", FLAG, h3_ssl_config_set_flag, strict_sni),                \
    H3_SSL_DIR("SSLVHostSNIPolicy", TAKE1, h3_ssl_config_set_sni_policy, RSRC_CONF),               \
    H3_SSL_DIR("SSLFIPS", FLAG, h3_ssl_config_set_fips, RSRC_CONF),                                \
    H3_SSL_DIR("SSLUserName", TAKE1, h3_ssl_config_set_user, RSRC_CONF | OR_AUTHCFG),              \
    H3_SSL_DIR("SSLOptions", RAW_ARGS, h3_ssl_config_set_options, OR_OPTIONS),                     \
    H3_SSL_DIR("SSLRequireSSL", NO_ARGS, h3_ssl_config_set_require_ssl, OR_AUTHCFG),               \
    H3_SSL_DIR("SSLRequire", RAW_ARGS, h3_ssl_config_set_require, OR_AUTHCFG)
/* clang-format on */

#endif /* H3_SSL_CONFIG_H */
