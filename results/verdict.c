/* SPDX-License-Identifier: MIT */
/* The verdict on a group: what no single row can know, because it lies in all repetitions. */
#include <math.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/results.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN_REPETITIONS 5    /* rule R28 */
#define MAX_UNCERTAINTY 0.05 /* rule R29 */

/* Words that say nothing against time and tokens: they are about energy, or name what was run. */
static const char *const harmless[] = {
    "format-fallback", "no-meter",      "no-accuracy",     "window-too-short",
    "stuck",           "counter-reset", "read-failed",     "negative-power",
    "sample-gap",      "not-bracketed", "samples-lost",    "no-sampler",
    "not-modelled",    "below-idle",    "meters-disagree", "above-power-limit"};

static bool is_word(const char *at, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(at, word, length) == 0;
}

/* Takes a word off the list; @return whether it was there. */
static bool take_reason(struct jb_record *key, const char *word)
{
    char rest[sizeof key->reasons] = "";
    bool is_there = false;
    for (const char *at = key->reasons; *at != '\0';) {
        const size_t length = strcspn(at, ";");
        const size_t used = strlen(rest);
        if (is_word(at, length, word)) {
            is_there = true;
        } else {
            (void)snprintf(rest + used, sizeof rest - used, "%s%.*s", used > 0 ? ";" : "",
                           (int)length, at);
        }
        at += length + (at[length] == ';' ? 1 : 0);
    }
    (void)snprintf(key->reasons, sizeof key->reasons, "%s", rest);
    return is_there;
}

static bool has_objection(const char *reasons)
{
    for (const char *at = reasons; *at != '\0';) {
        const size_t length = strcspn(at, ";");
        bool is_harmless = false;
        for (size_t i = 0; i < COUNT(harmless); i++) {
            is_harmless = is_harmless || is_word(at, length, harmless[i]);
        }
        if (!is_harmless) {
            return true;
        }
        at += length + (at[length] == ';' ? 1 : 0);
    }
    return false;
}

void jb_group_judge(struct jb_group *group)
{
    const struct jb_interval *speed = &group->tokens_per_s;
    const double u_rel = 0.5 * (speed->high - speed->low) / speed->median;
    const bool has_energy = group->energy_j.n > 0;
    /* no meter states its accuracy yet, so that of tokens/J has an unknown part */
    group->u_rel = has_energy ? jb_missing() : u_rel;
    if (jb_is_missing(u_rel) || !take_reason(&group->key, "no-uncertainty")) {
        return; /* or the rows say of themselves how far to trust them */
    }
    if (speed->n < MIN_REPETITIONS) {
        jb_record_reason(&group->key, "few-repetitions");
    }
    if (!(u_rel <= MAX_UNCERTAINTY)) {
        jb_record_reason(&group->key, "uncertain");
    }
    if (has_energy) {
        jb_record_reason(&group->key, "no-accuracy");
    }
    if (strcmp(group->verdict, "INDICATIVE") == 0 && !has_objection(group->key.reasons)) {
        (void)snprintf(group->verdict, sizeof group->verdict, "VALID");
    }
}
