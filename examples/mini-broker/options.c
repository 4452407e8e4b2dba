/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - the command line. See options.h, settings.h, commitlog-mini-broker(1).
 *
 * Happy path: the configuration file if one is named, getopt_long over it, then what depends on
 * several. Failure modes: OPTIONS_WRONG, and a line of the log says what.
 */
#include "options.h"

#include "command.h"
#include "settings.h"

#include <commitlog.h>

#include <arpa/inet.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAMESRV_PORT = 9876,
    BROKER_PORT = 10911,
    HTTP_PORT = 10980,
    OPTION_FIRST = 256,
    EXPECTED_BYTES = 80
};
enum {
    OPT_CONFIG = OPTION_FIRST,
    OPT_HTTP,
    OPT_CONNECTIONS,
    OPT_UNFLUSHED,
    OPT_NAMESRV,
    OPT_LISTEN,
    OPT_ADVERTISE,
    OPT_DATA,
    OPT_FLUSH,
    OPT_CLUSTER,
    OPT_NAME,
    OPT_QUEUES,
    OPT_NO_AUTO,
    OPT_CHECK_MS,
    OPT_CHECKS,
    OPT_RETAIN_BYTES,
    OPT_RETAIN_HOURS,
    OPT_LOG,
    OPT_HELP,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"http", required_argument, NULL, OPT_HTTP},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"unflushed-bytes", required_argument, NULL, OPT_UNFLUSHED},
    {"namesrv-listen", required_argument, NULL, OPT_NAMESRV},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"advertise", required_argument, NULL, OPT_ADVERTISE},
    {"data", required_argument, NULL, OPT_DATA},
    {"flush", required_argument, NULL, OPT_FLUSH},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"name", required_argument, NULL, OPT_NAME},
    {"queues", required_argument, NULL, OPT_QUEUES},
    {"no-auto-topics", no_argument, NULL, OPT_NO_AUTO},
    {"check-interval", required_argument, NULL, OPT_CHECK_MS},
    {"checks", required_argument, NULL, OPT_CHECKS},
    {"retain-bytes", required_argument, NULL, OPT_RETAIN_BYTES},
    {"retain-hours", required_argument, NULL, OPT_RETAIN_HOURS},
    {"log", required_argument, NULL, OPT_LOG},
    OPTIONS_NET_ROWS,
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {0}};

static const char help[] =
    "usage: mini-broker --data DIR [options]\n"
    "A message broker for clients of RocketMQ, name server included.\n"
    "  --data DIR                where the messages are; made if it is not there\n"
    "  --config FILE             options by their names, as JSON; those given here count first\n"
    "  --http ADDR:PORT          status page, /metrics and /health (none)\n"
    "  --connections N           of clients, at most (65536)\n"
    "  --unflushed-bytes N       most that a power cut can take; 0: any (0)\n"
    "  --namesrv-listen ADDR:PORT  the name server (0.0.0.0:9876)\n"
    "  --listen ADDR:PORT        the broker (0.0.0.0:10911)\n"
    "  --advertise ADDR[:PORT]   by which clients reach the broker (that of --listen, or\n"
    "                            127.0.0.1)\n"
    "  --flush sync|async        answer producers when the disk has it, or at once (sync)\n"
    "  --cluster NAME            (DefaultCluster)\n"
    "  --name NAME               of the broker (broker-a)\n"
    "  --queues N                most queues of a topic that a producer creates (8)\n"
    "  --no-auto-topics          producers create no topics\n"
    "  --check-interval MS       between questions after a transaction (30000)\n"
    "  --checks N                so often, then it is rolled back (15)\n"
    "  --retain-bytes SIZE       keep about so much, 100G say (all)\n"
    "  --retain-hours N          keep messages so long (for ever)\n"
    "  --log LEVEL               error, warn, info or debug (info)\n";

static const char help_end[] = "  --help, --version\n";

static enum options_status wrong(const char *what, const char *value)
{
    log_line(LOG_ERROR, "%s: %s", what, value);
    return OPTIONS_WRONG;
}

/* "1.2.3.4:80", "[::1]:80", ":80", "1.2.3.4". */
static bool parse_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    char address[INET6_ADDRSTRLEN + 1] = "";
    const char *colon = strrchr(text, ':');
    const char *bracket = strchr(text, ']');
    const bool v6 = text[0] == '[';
    if (v6 && (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':')))
        return false;
    if (v6 && bracket[1] == '\0')
        colon = NULL;
    const char *begin = v6 ? text + 1 : text;
    const char *end = v6 ? bracket : colon != NULL ? colon : text + strlen(text);
    if ((size_t)(end - begin) >= sizeof address)
        return false;
    memcpy(address, begin, (size_t)(end - begin));
    if (colon != NULL) {
        char *rest;
        const long number = strtol(colon + 1, &rest, 10);
        if (colon[1] == '\0' || *rest != '\0' || number < 1 || number > 65535)
            return false;
        port = (uint16_t)number;
    }
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4_address = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6_address = (struct sockaddr_in6 *)(void *)out;
    if (v6) {
        v6_address->sin6_family = AF_INET6;
        v6_address->sin6_port = htons(port);
        return inet_pton(AF_INET6, address, &v6_address->sin6_addr) == 1;
    }
    v4_address->sin_family = AF_INET;
    v4_address->sin_port = htons(port);
    return address[0] == '\0' || inet_pton(AF_INET, address, &v4_address->sin_addr) == 1;
}

void host_of(const struct sockaddr_storage *address, struct host *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint16_t port;
    *out = (struct host){.count = 8};
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        port = ntohs(v6->sin6_port);
        if (memcmp(&v6->sin6_addr, mapped, sizeof mapped) == 0) {
            memcpy(out->bytes, (const uint8_t *)&v6->sin6_addr + 12, 4);
        } else {
            out->count = 20;
            memcpy(out->bytes, &v6->sin6_addr, 16);
        }
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        port = ntohs(v4->sin_port);
        memcpy(out->bytes, &v4->sin_addr, 4);
    }
    bytes_put32(out->bytes + out->count - 4, port);
}

size_t host_text(const struct host *host, char *out, size_t room)
{
    char address[INET6_ADDRSTRLEN];
    const bool v6 = host->count == 20;
    if (inet_ntop(v6 ? AF_INET6 : AF_INET, host->bytes, address, sizeof address) == NULL)
        address[0] = '\0';
    const int bytes = snprintf(out, room, v6 ? "[%s]:%u" : "%s:%u", address,
                               bytes_get32(host->bytes + host->count - 4));
    return bytes < 0 || (size_t)bytes >= room ? 0 : (size_t)bytes;
}

static bool is_any(const struct host *host)
{
    static const uint8_t zeros[16];
    return memcmp(host->bytes, zeros, host->count - 4) == 0;
}

static enum options_status finish(struct options *out, const char *advertise)
{
    struct sockaddr_storage address = out->listen;
    host_of(&out->listen, &out->advertise);
    const uint16_t port = (uint16_t)bytes_get32(out->advertise.bytes + out->advertise.count - 4);
    if (advertise == NULL && is_any(&out->advertise))
        advertise = "127.0.0.1";
    if (advertise != NULL && !parse_address(advertise, port, &address))
        return wrong("--advertise takes a numeric address", advertise);
    host_of(&address, &out->advertise);
    if (host_text(&out->advertise, out->advertise_text, sizeof out->advertise_text) == 0 ||
        is_any(&out->advertise))
        return wrong("--advertise", "no address that a client can reach");
    if (out->data == NULL)
        return wrong("--data DIR", "is missing; --help says more");
    const char *missing = options_net_finish(&out->net);
    return missing == NULL ? OPTIONS_RUN : wrong(missing, "--help says more");
}

/* Whole numbers from 1 on. */
struct number {
    int option;
    uint32_t most;
    size_t at; /* in struct options */
};

static const struct number *number_of(int option)
{
    static const struct number numbers[] = {
        {OPT_CONNECTIONS, 1000000, offsetof(struct options, connections)},
        {OPT_QUEUES, 1024, offsetof(struct options, queues)},
        {OPT_CHECK_MS, 86400000, offsetof(struct options, transaction_check_ms)},
        {OPT_CHECKS, 10000, offsetof(struct options, transaction_checks)},
        {OPT_RETAIN_HOURS, 1000000, offsetof(struct options, retain_hours)}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].option == option)
            return &numbers[i];
    }
    return NULL;
}

static bool parse_number(const char *text, const struct number *number, struct options *out)
{
    int64_t value;
    if (!text_to_i64(text_of(text), &value) || value < 1 || value > number->most)
        return false;
    *(uint32_t *)(void *)((char *)out + number->at) = (uint32_t)value;
    return true;
}

static bool parse_bytes(const char *value, uint64_t *out)
{
    int64_t number;
    if (!text_to_i64(text_of(value), &number) || number < 0)
        return false;
    *out = (uint64_t)number;
    return true;
}

/* As the library's option of this name. */
static bool parse_retain_bytes(const char *value, uint64_t *out)
{
    struct commitlog_options *options = NULL;
    const bool good =
        commitlog_options_create(&options) == COMMITLOG_OK &&
        commitlog_options_set_text(options, "retain_bytes", value, NULL) == COMMITLOG_OK &&
        commitlog_options_get(options, COMMITLOG_OPT_RETAIN_BYTES, out) == COMMITLOG_OK;
    commitlog_options_free(options);
    return good;
}

/* What it takes, behind a value that it does not. */
static void expected(int option, char out[EXPECTED_BYTES])
{
    static const struct {
        int option;
        const char *text;
    } others[] = {{OPT_HTTP, "a numeric address, with a port or without"},
                  {OPT_NAMESRV, "a numeric address, with a port or without"},
                  {OPT_LISTEN, "a numeric address, with a port or without"},
                  {OPT_UNFLUSHED, "a whole number"},
                  {OPT_RETAIN_BYTES, "a size, such as 100G"},
                  {OPT_FLUSH, "sync or async"},
                  {OPT_LOG, "error, warn, info or debug"},
                  {OPT_NET_TLS, "disabled, permissive or enforcing"}};
    const struct number *number = number_of(option);
    out[0] = '\0';
    if (number != NULL)
        (void)snprintf(out, EXPECTED_BYTES, "; it takes a whole number from 1 to %u", number->most);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i].option == option)
            (void)snprintf(out, EXPECTED_BYTES, "; it takes %s", others[i].text);
    }
}

static enum options_status take(int option, const char *value, struct options *out,
                                const char **advertise)
{
    bool ok = true;
    switch (option) {
    case OPT_CONFIG:
        break; /* was read before all others */
    case OPT_HTTP:
        ok = out->has_http = parse_address(value, HTTP_PORT, &out->http);
        break;
    case OPT_UNFLUSHED:
        ok = parse_bytes(value, &out->unflushed_bytes);
        break;
    case OPT_NAMESRV:
        ok = parse_address(value, NAMESRV_PORT, &out->namesrv);
        break;
    case OPT_LISTEN:
        ok = parse_address(value, BROKER_PORT, &out->listen);
        break;
    case OPT_ADVERTISE:
        *advertise = value;
        break;
    case OPT_DATA:
        out->data = value;
        break;
    case OPT_FLUSH:
        out->sync = strcmp(value, "sync") == 0;
        ok = out->sync || strcmp(value, "async") == 0;
        break;
    case OPT_CLUSTER:
        out->cluster = value;
        break;
    case OPT_NAME:
        out->name = value;
        break;
    case OPT_NO_AUTO:
        out->auto_topics = false;
        break;
    case OPT_RETAIN_BYTES:
        ok = parse_retain_bytes(value, &out->retain_bytes);
        break;
    case OPT_LOG:
        ok = log_level_of(value, &out->log_level) != 0;
        break;
    case OPT_HELP:
        printf("%s%s%s", help, options_net_help, help_end);
        return OPTIONS_DONE;
    case OPT_VERSION:
        printf("mini-broker %s\n", commitlog_version_text());
        return OPTIONS_DONE;
    default:
        ok = number_of(option) != NULL ? parse_number(value, number_of(option), out)
                                       : options_net_take(option, value, &out->net);
    }
    return ok ? OPTIONS_RUN : OPTIONS_WRONG;
}

/* Takes a copy of the value, which lives with the options. */
static enum options_status keep(size_t number, const char *value, struct options *out,
                                const char **advertise)
{
    char **given = &out->given[number];
    char *copy = strdup(value == NULL ? "true" : value);
    if (copy == NULL)
        return OPTIONS_WRONG;
    const enum options_status status = take(long_options[number].val, copy, out, advertise);
    free(*given);
    *given = copy;
    return status;
}

static const char *find_config(int argc, char **argv)
{
    const char *path = NULL;
    int option;
    opterr = 0;
    optind = 0; /* from the beginning, also when it is not the first time */
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPT_CONFIG)
            path = optarg;
    }
    opterr = 1;
    optind = 0;
    return path;
}

struct from_file {
    struct options *out;
    const char **advertise;
    char wrong[EXPECTED_BYTES + 32];
};

static const char *take_setting(void *context, const struct setting *setting)
{
    struct from_file *file = context;
    char takes[EXPECTED_BYTES];
    const struct option *option = long_options;
    while (option->name != NULL && strcmp(option->name, setting->name) != 0)
        option++;
    if (option->name == NULL || option->val == OPT_CONFIG || option->val == OPT_HELP ||
        option->val == OPT_VERSION)
        return "is not an option";
    if (setting->is_bool != (option->has_arg == no_argument))
        return setting->is_bool ? "cannot be true or false" : "has to be true or false";
    if (setting->is_bool && strcmp(setting->value, "false") == 0)
        return NULL;
    if (keep((size_t)(option - long_options), setting->value, file->out, file->advertise) ==
        OPTIONS_RUN)
        return NULL;
    expected(option->val, takes);
    (void)snprintf(file->wrong, sizeof file->wrong, "has a value that cannot be%s", takes);
    return file->wrong;
}

const char *options_name(unsigned number)
{
    return number < sizeof long_options / sizeof *long_options ? long_options[number].name : NULL;
}

void options_free(struct options *options)
{
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        free(options->given[i]);
        options->given[i] = NULL;
    }
}

enum options_status options_parse(int argc, char **argv, struct options *out)
{
    const char *advertise = NULL;
    _Static_assert(sizeof long_options / sizeof *long_options <= OPTIONS_MAX, "given is too small");
    *out = (struct options){.argc = argc,
                            .argv = argv,
                            .log_level = LOG_INFO,
                            .connections = 65536,
                            .cluster = "DefaultCluster",
                            .name = "broker-a",
                            .sync = true,
                            .auto_topics = true,
                            .queues = 8,
                            .transaction_check_ms = 30000,
                            .transaction_checks = 15};
    options_net_begin(&out->net);
    parse_address("0.0.0.0", NAMESRV_PORT, &out->namesrv);
    parse_address("0.0.0.0", BROKER_PORT, &out->listen);
    struct from_file from_file = {.out = out, .advertise = &advertise};
    char takes[EXPECTED_BYTES];
    const char *config = find_config(argc, argv);
    if (config != NULL && !settings_read(config, take_setting, &from_file))
        return OPTIONS_WRONG;
    int option;
    int number = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &number)) != -1) {
        if (option == '?')
            return OPTIONS_WRONG;
        const enum options_status status = keep((size_t)number, optarg, out, &advertise);
        if (status == OPTIONS_WRONG) {
            expected(option, takes);
            log_line(LOG_ERROR, "--%s cannot be: %s%s", long_options[number].name, optarg, takes);
        }
        if (status != OPTIONS_RUN)
            return status;
    }
    if (optind < argc)
        return wrong("not an option", argv[optind]);
    return finish(out, advertise);
}
