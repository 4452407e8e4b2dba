/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acl_accounts.c - accounts from JSON, HMAC-SHA1 over requests. See acl_accounts.h.
 *
 *   {"accounts": [{"accessKey": "...", "secretKey": "...", "admin": true},
 *                 {"accessKey": "...", "secretKey": "...", "publish": ["orders"],
 *                  "subscribe": ["orders", "audit-*"], "groups": ["billing"]}]}
 *
 * A client signs the values of all fields of its request, in the order of their names, and then the
 * body; some sign before they add _UNIQUE_KEY_QUERY.
 * Happy path: find the account, continue its HMAC over the values, compare. Failure modes: a file
 * with a mistake is refused as a whole; no memory: the signature counts as wrong.
 */
#include "acl_accounts.h"

#include "log.h"
#include "table.h"
#include "topics.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHA1_BYTES = 20, SECRET_MIN = 8, KEY_MAX = 256 };

struct account {
    struct table_entry entry; /* the access key */
    EVP_MAC_CTX *mac;         /* begun with the secret */
    bool admin;
    json_t *publish, *subscribe, *groups; /* arrays of patterns, or NULL */
};

struct accounts {
    struct table table;
    EVP_MAC *hmac;
    struct account *nobody; /* takes the time of one that is not there */
};

static void account_free(struct account *account)
{
    if (account == NULL)
        return;
    EVP_MAC_CTX_free(account->mac);
    json_decref(account->publish);
    json_decref(account->subscribe);
    json_decref(account->groups);
    free(account);
}

static struct account *account_new(EVP_MAC *hmac, struct text key, struct text secret)
{
    struct account *account = calloc(1, sizeof *account + key.bytes);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA1"}, 0),
        OSSL_PARAM_construct_end()};
    if (account == NULL)
        return NULL;
    memcpy(account + 1, key.data, key.bytes);
    account->entry.name = (struct text){(const char *)(account + 1), key.bytes};
    account->mac = EVP_MAC_CTX_new(hmac);
    if (account->mac == NULL ||
        EVP_MAC_init(account->mac, (const uint8_t *)secret.data, secret.bytes, params) != 1) {
        account_free(account);
        return NULL;
    }
    return account;
}

static bool patterns_are_good(const json_t *list)
{
    size_t i;
    json_t *item;
    if (list == NULL)
        return true;
    if (!json_is_array(list))
        return false;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (text == NULL || text[0] == '\0' ||
            (strchr(text, '*') != NULL && strchr(text, '*')[1] != '\0'))
            return false;
    }
    return true;
}

/* NULL, or what is wrong with it; then nothing was added. */
static const char *account_add(struct accounts *accounts, json_t *json)
{
    const char *key = NULL, *secret = NULL;
    size_t key_bytes = 0, secret_bytes = 0;
    int admin = 0;
    json_t *publish = NULL, *subscribe = NULL, *groups = NULL;
    if (json_unpack(json, "{s:s%, s:s%, s?b, s?o, s?o, s?o !}", "accessKey", &key, &key_bytes,
                    "secretKey", &secret, &secret_bytes, "admin", &admin, "publish", &publish,
                    "subscribe", &subscribe, "groups", &groups) != 0)
        return "not accessKey, secretKey, admin, publish, subscribe and groups alone";
    const struct text name = {key, key_bytes};
    if (key_bytes == 0 || key_bytes > KEY_MAX || secret_bytes < SECRET_MIN)
        return "an access key is too long or empty, or a secret key shorter than 8 bytes";
    if (table_find(&accounts->table, name) != NULL)
        return "an access key is there twice";
    if (!patterns_are_good(publish) || !patterns_are_good(subscribe) || !patterns_are_good(groups))
        return "rights are lists of names, the last byte of which may be *";
    struct account *account =
        account_new(accounts->hmac, name, (struct text){secret, secret_bytes});
    if (account == NULL)
        return "no memory, or no HMAC";
    account->admin = admin != 0;
    account->publish = json_incref(publish);
    account->subscribe = json_incref(subscribe);
    account->groups = json_incref(groups);
    if (!table_insert(&accounts->table, &account->entry)) {
        account_free(account);
        return "no memory";
    }
    return NULL;
}

/* Secrets do not outlive the file that they were read from. */
static void forget_secrets(json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const json_t *secret = json_object_get(item, "secretKey");
        if (json_is_string(secret))
            OPENSSL_cleanse((void *)(uintptr_t)json_string_value(secret),
                            json_string_length(secret));
    }
}

static struct accounts *accounts_new(void)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);
    char secret[32];
    if (accounts == NULL)
        return NULL;
    accounts->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (accounts->hmac != NULL && RAND_bytes((uint8_t *)secret, sizeof secret) == 1)
        accounts->nobody =
            account_new(accounts->hmac, TEXT("nobody"), (struct text){secret, sizeof secret});
    if (accounts->nobody == NULL) {
        accounts_free(accounts);
        return NULL;
    }
    return accounts;
}

/* What jansson says of a mistake may have some of a secret in it: only the line is told. */
static json_t *read_json(const char *path)
{
    json_error_t error;
    FILE *file = fopen(path, "re");
    json_t *json = file == NULL ? NULL : json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (file == NULL || ferror(file) != 0)
        log_line(LOG_ERROR, "accounts %s: %s", path, strerror(errno));
    else if (json == NULL)
        log_line(LOG_ERROR, "accounts %s: line %d: no JSON", path, error.line);
    if (file != NULL)
        (void)fclose(file);
    return json;
}

struct accounts *accounts_read(const char *path)
{
    const char *why = NULL;
    size_t i = 0;
    json_t *item, *list = NULL;
    json_t *json = read_json(path);
    struct accounts *accounts = json == NULL ? NULL : accounts_new();
    if (json == NULL)
        return NULL;
    if (accounts == NULL)
        why = "no memory, or no HMAC";
    else if (json_unpack(json, "{s:o !}", "accounts", &list) != 0 || !json_is_array(list))
        why = "not an object with a list of accounts";
    json_array_foreach(list, i, item)
    {
        if (why == NULL)
            why = account_add(accounts, item);
        if (why != NULL)
            break;
    }
    forget_secrets(list);
    json_decref(json);
    if (why == NULL)
        return accounts;
    log_line(LOG_ERROR, "accounts %s: number %zu: %s", path, i + 1, why);
    accounts_free(accounts);
    return NULL;
}

void accounts_free(struct accounts *accounts)
{
    struct table_entry *entry;
    if (accounts == NULL)
        return;
    while ((entry = table_next(&accounts->table, NULL)) != NULL) {
        table_remove(&accounts->table, entry);
        account_free((struct account *)(void *)entry);
    }
    table_free(&accounts->table);
    account_free(accounts->nobody);
    EVP_MAC_free(accounts->hmac);
    free(accounts);
}

const struct account *accounts_find(const struct accounts *accounts, struct text access_key)
{
    return (const struct account *)(const void *)table_find(&accounts->table, access_key);
}

const struct account *accounts_only(const struct accounts *accounts)
{
    return accounts->table.count == 1
               ? (const struct account *)(const void *)table_next(&accounts->table, NULL)
               : NULL;
}

struct text account_key(const struct account *account)
{
    return account->entry.name;
}

static int name_order(struct text a, struct text b)
{
    const int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order != 0 ? order : a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

/* Fields in the order of their names, but for the signature and `without`; how many. */
static size_t fields_in_order(const struct command *command, const char *without,
                              const struct command_field **out)
{
    size_t count = 0;
    for (size_t i = 0; i < command->field_count; i++) {
        const struct command_field *field = &command->fields[i];
        if (text_equal(field->name, TEXT("Signature")) || text_equal(field->name, text_of(without)))
            continue;
        size_t at = count++;
        for (; at > 0 && name_order(field->name, out[at - 1]->name) < 0; at--)
            out[at] = out[at - 1];
        out[at] = field;
    }
    return count;
}

/* Without the field that is called so. */
static bool sign(const struct account *account, const struct command *command, const char *without,
                 char out[ACCOUNT_SIGNATURE_BYTES + 1])
{
    const struct command_field *fields[COMMAND_FIELDS_MAX];
    const size_t count = fields_in_order(command, without, fields);
    uint8_t hash[SHA1_BYTES];
    size_t hash_bytes = 0;
    EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(account->mac);
    bool good = mac != NULL;
    for (size_t i = 0; i < count && good; i++)
        good = fields[i]->value.bytes == 0 ||
               EVP_MAC_update(mac, (const uint8_t *)fields[i]->value.data,
                              fields[i]->value.bytes) == 1;
    good = good &&
           (command->body.bytes == 0 ||
            EVP_MAC_update(mac, (const uint8_t *)command->body.data, command->body.bytes) == 1);
    good = good && EVP_MAC_final(mac, hash, &hash_bytes, sizeof hash) == 1;
    EVP_MAC_CTX_free(mac);
    return good && hash_bytes == sizeof hash &&
           EVP_EncodeBlock((uint8_t *)out, hash, sizeof hash) == ACCOUNT_SIGNATURE_BYTES;
}

bool account_sign(const struct account *account, const struct command *command,
                  char out[ACCOUNT_SIGNATURE_BYTES + 1])
{
    return sign(account, command, "", out);
}

static bool is_signed(const struct account *account, const struct command *command,
                      const char *without, struct text signature)
{
    char text[ACCOUNT_SIGNATURE_BYTES + 1] = {0};
    return sign(account, command, without, text) && signature.bytes == ACCOUNT_SIGNATURE_BYTES &&
           CRYPTO_memcmp(text, signature.data, ACCOUNT_SIGNATURE_BYTES) == 0;
}

const struct account *accounts_verify(const struct accounts *accounts,
                                      const struct command *command)
{
    struct text key, signature, unused;
    if (!command_find(command, TEXT("AccessKey"), &key) ||
        !command_find(command, TEXT("Signature"), &signature))
        return NULL;
    const struct account *account = accounts_find(accounts, key);
    const struct account *other = account != NULL ? account : accounts->nobody;
    bool good = is_signed(other, command, "", signature);
    if (!good && command_find(command, TEXT("_UNIQUE_KEY_QUERY"), &unused))
        good = is_signed(other, command, "_UNIQUE_KEY_QUERY", signature);
    return good ? account : NULL;
}

static bool matches(const json_t *list, struct text name)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const struct text pattern = {json_string_value(item), json_string_length(item)};
        if (pattern.data[pattern.bytes - 1] == '*'
                ? text_begins(name, (struct text){pattern.data, pattern.bytes - 1})
                : text_equal(name, pattern))
            return true;
    }
    return false;
}

static struct text after(struct text name, struct text prefix)
{
    return (struct text){name.data + prefix.bytes, name.bytes - prefix.bytes};
}

bool account_is_admin(const struct account *account)
{
    return account->admin;
}

bool account_has_group(const struct account *account, struct text group)
{
    return account->admin || (group.bytes > 0 && matches(account->groups, group));
}

bool account_may_read(const struct account *account, struct text topic)
{
    if (text_begins(topic, TEXT(RETRY_PREFIX)))
        return account_has_group(account, after(topic, TEXT(RETRY_PREFIX)));
    if (text_begins(topic, TEXT(DEAD_PREFIX)))
        return account_has_group(account, after(topic, TEXT(DEAD_PREFIX)));
    return account->admin || (topic.bytes > 0 && matches(account->subscribe, topic));
}

bool account_may_write(const struct account *account, struct text topic)
{
    if (text_begins(topic, TEXT(RETRY_PREFIX)))
        return account_has_group(account, after(topic, TEXT(RETRY_PREFIX)));
    if (text_begins(topic, TEXT(DEAD_PREFIX)))
        return account->admin;
    return account->admin || (topic.bytes > 0 && matches(account->publish, topic));
}
