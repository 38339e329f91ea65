/* SPDX-License-Identifier: MIT */
/* joulebench run: options into a session. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "bench/checks.h"
#include "bench/cli.h"
#include "bench/opening.h"
#include "bench/scenario.h"
#include "bench/session.h"

#define MAX_TOKENS 16000000u /* far above any context; keeps sums in 32 bits */

static const char help[] =
    "usage: joulebench run --backend LIST --model NAME|FILE [options]\n"
    "\n"
    "Runs the workload and writes one CSV row a repetition and phase:\n"
    "  prefill  the prompt, from an empty cache          tokens = batch x prompt\n"
    "  decode   --gen tokens, starting at --depth        tokens = batch x gen\n"
    "  total    prefill and decode, a window of its own  tokens = batch x gen\n"
    "Each phase repeats until its window is full. One repetition warms up and is not written.\n"
    "\n"
    "what runs\n"
    "  --backend LIST      one or more of `list backends`, by comma; refops, if among them, runs\n"
    "                      first and the others' ids are compared with its ids    [cpu]\n"
    "  --device NAME|FILE  a device of `list devices` for backends and for the model meter\n"
    "  --model NAME|FILE   a shape of `list models`, or a GGUF file\n"
    "  --format F          weights, of `list formats`; a file must match [shapes: f16]\n"
    "  --kv-format F       f32, f16 or q8_0                              [f16]\n"
    "  --method M          optimization method, of `list methods`        [none]\n"
    "  --plugin FILE       load a backend from a shared object; may be repeated\n"
    "  --set K=V           a backend's setting, of `list backends`; may be repeated\n"
    "  --execute MODE      functional: compute everything; timing: modelled backends only, no\n"
    "                      tensor exists; auto: timing where a modelled backend meets more than\n"
    "                      200 M weights                                 [auto]\n"
    "  --threads N         host threads                                  [cores usable here]\n"
    "\n"
    "the workload\n"
    "  --workload NAME     survey: llama2-7b, prompt 128, gen 128, batch 1,8; others: `list\n"
    "                      workloads`; options given override\n"
    "  --image-tokens N    multimodal: embeddings before the text            [576]\n"
    "  --parts N           reasoning: stretches of decode, a row each        [8]\n"
    "  --power-cap W       rows that draw more are INVALID in energy         [edge: 30]\n"
    "  --batch LIST        sequences at once: 1,8                        [1]\n"
    "  --prompt N          prompt tokens a sequence                      [128]\n"
    "  --gen N             generated tokens a sequence                   [128]\n"
    "  --depth N           positions filled when decode starts           [the prompt]\n"
    "  --chunk N           most prompt tokens of a sequence in a step    [512]\n"
    "  --seed N            of weights and prompt ids                     [42]\n"
    "  --prompt-text S     this text instead of seeded ids; returned ids are fed back\n"
    "  --show-text         print the text (stdout; stderr if the CSV goes to stdout)\n"
    "\n"
    "measuring\n"
    "  --reps N            repetitions                                   [5; modelled: 1]\n"
    "  --window S          least length of a window: 2, 500ms, 1m        [2]\n"
    "  --meter LIST        energy sources in order of preference; auto = all that work here, "
    "model\n"
    "                      = estimate from the device file, null = none  [auto]\n"
    "  --ceilings FILE     hold rates against a table of `joulebench roofline`  [measured]\n"
    "  --no-ceiling        hold them against the device file of --device alone\n"
    "  --no-sampler        read meters at window edges only\n"
    "\n";
static const char more_help[] =
    "results\n"
    "  --output FILE.csv   append rows here (made if missing); ids go to FILE.csv.ids\n"
    "                                                                    [stdout]\n"
    "  --trace FILE.csv    write every meter sample: `plot power-time`, `--meter replay:FILE.csv`\n"
    "  --trace-ops FILE.json    simulated devices: ops over time, for chrome://tracing, Perfetto\n"
    "  --trace-commands FILE    simulated devices: every memory command, as CSV\n"
    "  --breakdown FILE.csv     simulated devices: time and joules by op: `plot breakdown`\n"
    "  --quiet             errors only\n"
    "  -h, --help          this text\n"
    "\n"
    "examples\n"
    "  joulebench run --backend cpu --model tiny --format q4_0 --output tiny.csv\n"
    "  joulebench run --backend cpu,refops --model tiny --format f32 --batch 1,8 --output a.csv\n"
    "  joulebench run --backend cpu --workload survey --format q4_0 --window 30 --output s.csv\n"
    "  joulebench run --backend cpu --model m.gguf --prompt-text \"Once upon\" --show-text\n"
    "\n"
    "exit codes: 0 all ran; 1 something failed; 2 usage or bad input; 3 an asked backend is\n"
    "unavailable (others ran, rows are kept); 4 all ran, but a row is INVALID\n";

enum {
    OPT_BACKEND = 256,
    OPT_DEVICE,
    OPT_MODEL,
    OPT_FORMAT,
    OPT_KV_FORMAT,
    OPT_METHOD,
    OPT_PLUGIN,
    OPT_SET,
    OPT_EXECUTE,
    OPT_THREADS,
    OPT_WORKLOAD,
    OPT_IMAGE_TOKENS,
    OPT_PARTS,
    OPT_POWER_CAP,
    OPT_BATCH,
    OPT_PROMPT,
    OPT_GEN,
    OPT_DEPTH,
    OPT_CHUNK,
    OPT_SEED,
    OPT_PROMPT_TEXT,
    OPT_SHOW_TEXT,
    OPT_REPS,
    OPT_WINDOW,
    OPT_METER,
    OPT_CEILINGS,
    OPT_NO_CEILING,
    OPT_NO_SAMPLER,
    OPT_OUTPUT,
    OPT_TRACE,
    OPT_TRACE_OPS,
    OPT_TRACE_COMMANDS,
    OPT_BREAKDOWN,
    OPT_QUIET
};

static const struct option long_options[] = {
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"model", required_argument, NULL, OPT_MODEL},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"kv-format", required_argument, NULL, OPT_KV_FORMAT},
    {"method", required_argument, NULL, OPT_METHOD},
    {"plugin", required_argument, NULL, OPT_PLUGIN},
    {"set", required_argument, NULL, OPT_SET},
    {"execute", required_argument, NULL, OPT_EXECUTE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"workload", required_argument, NULL, OPT_WORKLOAD},
    {"image-tokens", required_argument, NULL, OPT_IMAGE_TOKENS},
    {"parts", required_argument, NULL, OPT_PARTS},
    {"power-cap", required_argument, NULL, OPT_POWER_CAP},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"prompt", required_argument, NULL, OPT_PROMPT},
    {"gen", required_argument, NULL, OPT_GEN},
    {"depth", required_argument, NULL, OPT_DEPTH},
    {"chunk", required_argument, NULL, OPT_CHUNK},
    {"seed", required_argument, NULL, OPT_SEED},
    {"prompt-text", required_argument, NULL, OPT_PROMPT_TEXT},
    {"show-text", no_argument, NULL, OPT_SHOW_TEXT},
    {"reps", required_argument, NULL, OPT_REPS},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"meter", required_argument, NULL, OPT_METER},
    {"ceilings", required_argument, NULL, OPT_CEILINGS},
    {"no-ceiling", no_argument, NULL, OPT_NO_CEILING},
    {"no-sampler", no_argument, NULL, OPT_NO_SAMPLER},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"trace-ops", required_argument, NULL, OPT_TRACE_OPS},
    {"trace-commands", required_argument, NULL, OPT_TRACE_COMMANDS},
    {"breakdown", required_argument, NULL, OPT_BREAKDOWN},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Options as text before they are checked together. */
struct asked {
    struct jb_session_args args;
    char *backends; /* copies that are split in place, owned */
    char *batches;
    struct jb_settings settings;
    const char *method, *workload;
    bool has_prompt, has_depth, has_gen;
};

static bool take_count(const char *option, const char *text, uint64_t min, uint64_t max,
                       uint32_t *ret)
{
    uint64_t value = 0;
    if (!jb_cli_u64("run", option, text, min, max, &value)) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

static bool take_copy(char **copy, const char *text)
{
    free(*copy);
    *copy = strdup(text);
    if (*copy == NULL) {
        jb_cli_error("no memory for the options");
    }
    return *copy != NULL;
}

static bool take_word(const char *option, const char *text, const char *const *words, int *ret)
{
    char list[128] = "";
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return true;
        }
        (void)strncat(list, i > 0 ? ", " : "", sizeof list - strlen(list) - 1);
        (void)strncat(list, words[i], sizeof list - strlen(list) - 1);
    }
    (void)jb_cli_usage("run", "%s: '%s' is none of: %s", option, text, list);
    return false;
}

static bool take_kv_format(struct jb_session_args *args, const char *text)
{
    static const char *const words[] = {"f32", "f16", "q8_0", NULL};
    static const enum jb_dtype dtypes[] = {JB_F32, JB_F16, JB_Q8_0};
    int at = 0;
    if (!take_word("--kv-format", text, words, &at)) {
        return false;
    }
    args->kv_dtype = dtypes[at];
    return true;
}

static bool take_execute(struct jb_session_args *args, const char *text)
{
    static const char *const words[] = {"auto", "functional", "timing", NULL};
    int at = 0;
    if (!take_word("--execute", text, words, &at)) {
        return false;
    }
    args->execute = (enum jb_execute)at;
    return true;
}

static bool take_window(struct jb_session_args *args, const char *text)
{
    if (!jb_cli_seconds("run", "--window", text, &args->window_s)) {
        return false;
    }
    if (args->window_s > 86400) {
        (void)jb_cli_usage("run", "--window: %s is more than a day", text);
        return false;
    }
    return true;
}

static bool take_watts(struct jb_session_args *args, const char *text)
{
    char *end = NULL;
    const double watts = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "W") != 0) || !(watts > 0) || watts > 1e9) {
        (void)jb_cli_usage("run", "--power-cap: '%.40s' is no power above 0, like 15", text);
        return false;
    }
    args->power_cap_w = watts;
    return true;
}

/* Options that take numbers or lists. @return false after saying why. */
static bool take_value(struct asked *asked, int option, const char *text)
{
    struct jb_session_args *args = &asked->args;
    switch (option) {
    case OPT_BACKEND:
        return take_copy(&asked->backends, text);
    case OPT_BATCH:
        return take_copy(&asked->batches, text);
    case OPT_SET:
        return jb_settings_add(&asked->settings, "run", text);
    case OPT_KV_FORMAT:
        return take_kv_format(args, text);
    case OPT_EXECUTE:
        return take_execute(args, text);
    case OPT_THREADS:
        return jb_check_threads("run", text, &args->threads);
    case OPT_PROMPT:
        asked->has_prompt = true;
        return take_count("--prompt", text, 1, MAX_TOKENS, &args->prompt);
    case OPT_IMAGE_TOKENS:
        return take_count("--image-tokens", text, 1, MAX_TOKENS, &args->n_image);
    case OPT_PARTS:
        return take_count("--parts", text, 2, 256, &args->n_parts);
    case OPT_POWER_CAP:
        return take_watts(args, text);
    case OPT_GEN:
        asked->has_gen = true;
        return take_count("--gen", text, 1, MAX_TOKENS, &args->gen);
    case OPT_DEPTH:
        asked->has_depth = true;
        return take_count("--depth", text, 0, MAX_TOKENS, &args->depth);
    case OPT_CHUNK:
        return take_count("--chunk", text, 1, MAX_TOKENS, &args->chunk);
    case OPT_REPS:
        return take_count("--reps", text, 1, 1000000, &args->reps);
    case OPT_SEED:
        return jb_cli_u64("run", "--seed", text, 0, INT64_MAX, &args->seed);
    case OPT_WINDOW:
        return take_window(args, text);
    default:
        return false;
    }
}

/* Options that are kept as they are. @return false if it is none of them. */
static bool take_text(struct asked *asked, int option, const char *text)
{
    struct jb_session_args *args = &asked->args;
    const struct {
        int option;
        const char **member;
    } texts[] = {
        {OPT_DEVICE, &args->device},
        {OPT_MODEL, &args->model},
        {OPT_FORMAT, &args->format},
        {OPT_METHOD, &asked->method},
        {OPT_METER, &args->meters},
        {OPT_WORKLOAD, &asked->workload},
        {OPT_OUTPUT, &args->output},
        {OPT_PROMPT_TEXT, &args->prompt_text},
        {OPT_TRACE, &args->trace},
        {OPT_CEILINGS, &args->ceilings},
        {OPT_TRACE_OPS, &args->insight.ops},
        {OPT_TRACE_COMMANDS, &args->insight.commands},
        {OPT_BREAKDOWN, &args->insight.breakdown},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].option == option) {
            *texts[i].member = text;
            return true;
        }
    }
    args->wants_text = args->wants_text || option == OPT_SHOW_TEXT;
    args->is_quiet = args->is_quiet || option == OPT_QUIET;
    args->has_sampler = args->has_sampler && option != OPT_NO_SAMPLER;
    args->has_ceiling = args->has_ceiling && option != OPT_NO_CEILING;
    return option == OPT_NO_CEILING || option == OPT_SHOW_TEXT || option == OPT_QUIET ||
           option == OPT_NO_SAMPLER;
}

/* @return -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct asked *asked)
{
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            (void)fputs(more_help, stdout);
            return JB_EXIT_OK;
        }
        if (c == ':' || c == '?') {
            return jb_cli_usage("run", "%s '%s'",
                                c == ':' ? "a value is missing after" : "unknown option",
                                argv[optind - 1]);
        }
        if (c == OPT_PLUGIN) {
            const enum jb_status status = jb_registry_load_plugin(optarg);
            if (status != JB_OK) {
                (void)jb_cli_fail(status);
                return JB_EXIT_USAGE;
            }
        } else if (!take_text(asked, c, optarg) && !take_value(asked, c, optarg)) {
            return JB_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return jb_cli_usage("run", "'%s' belongs to no option", argv[optind]);
    }
    return -1;
}

static int split_batches(struct asked *asked)
{
    struct jb_session_args *args = &asked->args;
    const char *parts[JB_MAX_BATCHES];
    if (asked->batches == NULL) {
        args->batches[0] = 1;
        args->n_batches = 1;
        return -1;
    }
    args->n_batches = jb_cli_split(asked->batches, parts, JB_MAX_BATCHES);
    if (args->n_batches == UINT32_MAX) {
        return jb_cli_usage("run", "--batch: an empty element, or more than %d", JB_MAX_BATCHES);
    }
    for (uint32_t i = 0; i < args->n_batches; i++) {
        if (!take_count("--batch", parts[i], 1, 65534, &args->batches[i])) {
            return JB_EXIT_USAGE;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (args->batches[k] == args->batches[i]) {
                return jb_cli_usage("run", "--batch: %u is named twice; --reps N repeats",
                                    args->batches[i]);
            }
        }
    }
    return -1;
}

/* Fills in what --workload stands for and was not given. @return -1 to go on. */
static int take_workload(struct asked *asked)
{
    struct jb_session_args *args = &asked->args;
    const struct jb_scenario *scenario =
        asked->workload != NULL ? jb_scenario_find(asked->workload) : NULL;
    if (asked->workload != NULL && scenario == NULL) {
        return jb_cli_usage("run", "--workload: '%.40s' is none of: %s", asked->workload,
                            jb_scenario_names());
    }
    if (args->n_image > 0 && (scenario == NULL || scenario->n_image == 0)) {
        return jb_cli_usage("run", "--image-tokens belongs to --workload multimodal");
    }
    if (args->n_parts > 0 && (scenario == NULL || scenario->n_parts == 0)) {
        return jb_cli_usage("run", "--parts belongs to --workload reasoning");
    }
    if (scenario == NULL) {
        return -1;
    }
    const bool is_plain =
        scenario->n_image == 0 && scenario->n_parts == 0 && !scenario->shares_prompt;
    if (!is_plain && asked->has_depth) {
        return jb_cli_usage("run", "--workload %s sets where decode starts: leave out --depth",
                            scenario->name);
    }
    if (scenario->n_image > 0 && args->prompt_text != NULL) {
        return jb_cli_usage("run", "--workload %s takes seeded ids: leave out --prompt-text",
                            scenario->name);
    }
    if (args->model == NULL) {
        args->model = scenario->model;
        args->format = args->format != NULL ? args->format : scenario->format;
    }
    args->workload = scenario->name;
    args->prompt = asked->has_prompt ? args->prompt : scenario->prompt;
    args->gen = asked->has_gen ? args->gen : scenario->gen;
    args->n_image = args->n_image > 0 ? args->n_image : scenario->n_image;
    args->n_parts = args->n_parts > 0 ? args->n_parts : scenario->n_parts;
    args->shares_prompt = scenario->shares_prompt;
    args->power_cap_w = args->power_cap_w > 0 ? args->power_cap_w : scenario->power_cap_w;
    if (args->n_parts > args->gen) {
        return jb_cli_usage("run", "--parts %u of %u tokens: give fewer parts or more --gen",
                            args->n_parts, args->gen);
    }
    return asked->batches != NULL || take_copy(&asked->batches, scenario->batches) ? -1
                                                                                   : JB_EXIT_FAILED;
}

/* Fills what was not given, checks what belongs together. @return -1 to go on. */
static int complete(struct asked *asked)
{
    struct jb_session_args *args = &asked->args;
    const int taken = take_workload(asked);
    if (taken >= 0) {
        return taken;
    }
    if (args->model == NULL) {
        return jb_cli_usage("run", "--model NAME|FILE is needed, for instance --model tiny");
    }
    if (strcmp(asked->method, "none") != 0) {
        return jb_cli_usage("run",
                            "--method: '%s' is not supported yet: `joulebench list methods` shows "
                            "what is",
                            asked->method);
    }
    if (args->prompt_text != NULL && (asked->has_prompt || asked->has_depth)) {
        return jb_cli_usage("run", "--prompt-text sets the prompt's length: leave out %s",
                            asked->has_prompt ? "--prompt" : "--depth");
    }
    if (args->wants_text && args->prompt_text == NULL) {
        return jb_cli_usage("run", "--show-text needs --prompt-text: seeded ids are no text");
    }
    if (args->output[0] == '\0') {
        return jb_cli_usage("run", "--output: an empty file name");
    }
    if (args->meters[0] == '\0') {
        return jb_cli_usage("run", "--meter: an empty list; `--meter null` measures time alone");
    }
    if (args->ceilings != NULL && !args->has_ceiling) {
        return jb_cli_usage("run", "--ceilings and --no-ceiling exclude one another");
    }
    if (args->trace != NULL && strcmp(args->trace, args->output) == 0) {
        return jb_cli_usage("run", "--trace and --output name the same file, '%s'", args->trace);
    }
    const int code = split_batches(asked);
    if (code >= 0) {
        return code;
    }
    args->n_backends = jb_cli_split(asked->backends, args->backends, JB_MAX_BACKENDS);
    if (args->n_backends == UINT32_MAX) {
        return jb_cli_usage("run", "--backend: an empty element, or more than %d", JB_MAX_BACKENDS);
    }
    return -1;
}

static void say_workload(const struct asked *asked)
{
    const struct jb_session_args *args = &asked->args;
    if (asked->workload == NULL || args->is_quiet) {
        return;
    }
    (void)fprintf(stderr, "joulebench: workload %s: model %s, ", asked->workload, args->model);
    if (args->n_image > 0) {
        (void)fprintf(stderr, "%u image tokens (embeddings; no vision encoder is run), ",
                      args->n_image);
    }
    (void)fprintf(stderr, "prompt %u%s, gen %u", args->prompt,
                  args->shares_prompt ? " (read once for all sequences)" : "", args->gen);
    if (args->n_parts > 1) {
        (void)fprintf(stderr, " in %u parts", args->n_parts);
    }
    if (args->power_cap_w > 0) {
        (void)fprintf(stderr, ", at most %.10g W", args->power_cap_w);
    }
    (void)fputs(", batch", stderr);
    for (uint32_t i = 0; i < args->n_batches; i++) {
        (void)fprintf(stderr, "%c%u", i == 0 ? ' ' : ',', args->batches[i]);
    }
    (void)fprintf(stderr, "; the headline is %s\n", jb_scenario_find(asked->workload)->headline);
}

int jb_cmd_run(int argc, char **argv)
{
    struct asked asked = {.args = {.kv_dtype = JB_F16,
                                   .execute = JB_EXECUTE_AUTO,
                                   .prompt = 128,
                                   .gen = 128,
                                   .depth = JB_DEPTH_OF_PROMPT,
                                   .chunk = 512,
                                   .window_s = 2,
                                   .seed = 42,
                                   .meters = "auto",
                                   .has_ceiling = true,
                                   .has_sampler = true,
                                   .output = "-"},
                          .backends = strdup("cpu"),
                          .method = "none"};
    int code = asked.backends != NULL ? parse_options(argc, argv, &asked) : JB_EXIT_FAILED;
    if (code < 0) {
        code = complete(&asked);
    }
    if (code < 0) {
        say_workload(&asked);
        asked.args.settings = asked.settings.items;
        asked.args.n_settings = asked.settings.n;
        code = jb_session_run(&asked.args);
    }
    free(asked.backends);
    free(asked.batches);
    jb_settings_free(&asked.settings);
    return code;
}
