/* SASL PLAIN (RFC 4616), SCRAM without channel binding (RFC 5802, RFC 7677), and tokens (XEP-0484). */
#define _GNU_SOURCE
#include "loadgen.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void base64(const void *bytes, size_t len, char *out) {
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
}

/* Returns the decoded length, or -1. `out` must have room for `text.len` bytes. */
static int unbase64(Span text, unsigned char *out) {
    int len = EVP_DecodeBlock(out, (const unsigned char *)text.at, (int)text.len);
    for (size_t i = text.len; len > 0 && i > 0 && text.at[i - 1] == '='; i--) len--;
    return len;
}

static void hmac(const EVP_MD *hash, const unsigned char *key, const char *text, unsigned char *out) {
    HMAC(hash, key, EVP_MD_get_size(hash), (const unsigned char *)text, strlen(text), out, NULL);
}

/* The value of `key=` in a comma separated SCRAM message. */
static Span scram_field(const char *message, char key) {
    for (const char *at = message; at && *at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (at[0] == key && at[1] == '=') return (Span){at + 2, strcspn(at + 2, ",")};
    }
    return (Span){"", 0};
}

void plain_initial(const Account *account, char *out) {
    char text[160];
    int len = snprintf(text, sizeof text, "%c%s%c%s", 0, account->user, 0, account->password);
    base64(text, (size_t)len, out);
}

void scram_first(Scram *scram, const EVP_MD *hash, const Account *account, char *out) {
    char text[SCRAM_TEXT_MAX];
    scram->hash = hash;
    for (int i = 0; i < 4; i++) snprintf(scram->nonce + i * 8, 9, "%08x", random_next());
    snprintf(scram->first_bare, sizeof scram->first_bare, "n=%s,r=%s", account->user, scram->nonce);
    int len = snprintf(text, sizeof text, "n,,%.500s", scram->first_bare);
    base64(text, (size_t)len, out);
}

static void derive_keys(Account *account, const EVP_MD *hash, const unsigned char *salt, int salt_len,
                        int iterations) {
    if (account->known_hash == hash && account->known_iterations == iterations &&
        account->known_salt_len == salt_len && memcmp(account->known_salt, salt, (size_t)salt_len) == 0)
        return;
    unsigned char salted[SCRAM_KEY_MAX];
    int size = EVP_MD_get_size(hash);
    PKCS5_PBKDF2_HMAC(account->password, -1, salt, salt_len, iterations, hash, size, salted);
    hmac(hash, salted, "Client Key", account->client_key);
    hmac(hash, salted, "Server Key", account->server_key);
    EVP_Digest(account->client_key, (size_t)size, account->stored_key, NULL, hash, NULL);
    account->known_hash = hash;
    account->known_iterations = iterations;
    account->known_salt_len = salt_len;
    memcpy(account->known_salt, salt, (size_t)salt_len);
}

bool scram_final(Scram *scram, Account *account, Span challenge, char *out) {
    unsigned char server_first[SCRAM_TEXT_MAX + 4], salt[SCRAM_TEXT_MAX];
    if (challenge.len > SCRAM_TEXT_MAX) return false;
    int len = unbase64(challenge, server_first);
    if (len <= 0) return false;
    server_first[len] = 0;
    Span nonce = scram_field((char *)server_first, 'r'), salt_text = scram_field((char *)server_first, 's');
    int iterations = atoi(scram_field((char *)server_first, 'i').at);
    int salt_len = salt_text.len ? unbase64(salt_text, salt) : -1;
    if (nonce.len < 32 || memcmp(nonce.at, scram->nonce, 32) != 0) return false;
    if (iterations < 1 || salt_len < 1 || salt_len > (int)sizeof account->known_salt) return false;
    derive_keys(account, scram->hash, salt, salt_len, iterations);

    char without_proof[SCRAM_TEXT_MAX], auth_message[3 * SCRAM_TEXT_MAX + 8], final[2 * SCRAM_TEXT_MAX];
    unsigned char signature[SCRAM_KEY_MAX], proof[SCRAM_KEY_MAX];
    char proof_text[2 * SCRAM_KEY_MAX];
    snprintf(without_proof, sizeof without_proof, "c=biws,r=%.*s", (int)nonce.len, nonce.at);
    snprintf(auth_message, sizeof auth_message, "%s,%s,%s", scram->first_bare, server_first, without_proof);
    hmac(scram->hash, account->stored_key, auth_message, signature);
    hmac(scram->hash, account->server_key, auth_message, scram->server_signature);
    int size = EVP_MD_get_size(scram->hash);
    for (int i = 0; i < size; i++) proof[i] = account->client_key[i] ^ signature[i];
    base64(proof, (size_t)size, proof_text);
    len = snprintf(final, sizeof final, "%s,p=%s", without_proof, proof_text);
    base64(final, (size_t)len, out);
    return true;
}

bool scram_server_is_right(const Scram *scram, Span success, const char *name) {
    unsigned char text[SCRAM_TEXT_MAX + 4], signature[SCRAM_TEXT_MAX];
    Span word = xml_text(success, name);
    if (word.len == 0 || word.len > SCRAM_TEXT_MAX) return false;
    int len = unbase64(word, text);
    if (len <= 0) return false;
    text[len] = 0;
    Span verifier = scram_field((char *)text, 'v');
    int size = EVP_MD_get_size(scram->hash);
    return verifier.len && unbase64(verifier, signature) == size &&
           memcmp(signature, scram->server_signature, (size_t)size) == 0;
}

void hashed_token_initial(const Account *account, char *out) {
    char text[128];
    int len = snprintf(text, sizeof text, "%s%c", account->user, 0);
    HMAC(EVP_sha256(), account->token, (int)strlen(account->token), (const unsigned char *)"Initiator", 9,
         (unsigned char *)text + len, NULL);
    base64(text, (size_t)len + 32, out);
}

bool hashed_token_server_is_right(const Account *account, Span success) {
    unsigned char said[64], digest[32];
    Span word = xml_text(success, "additional-data");
    if (word.len != 44 || unbase64(word, said) != 32) return false;
    HMAC(EVP_sha256(), account->token, (int)strlen(account->token), (const unsigned char *)"Responder", 9, digest,
         NULL);
    return memcmp(said, digest, sizeof digest) == 0;
}
