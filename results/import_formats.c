/* SPDX-License-Identifier: MIT */
/* What the columns of each tool mean, in our words and units. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/base/units.h"
#include "results/import_internal.h"
#include "results/text.h"

#define PUT JB_IMPORT_PUT

/* ---- llama-bench (llama.cpp tools/llama-bench: -o csv, json, jsonl) ---- */

/* "llama 7B Q4_K - Medium" or "llama 7B mostly Q4_0": the model is what stands up to the size, the
 * format what follows it. */
static void split_model_type(const char *type, struct jb_record *record)
{
    static const char *const fillers[] = {"mostly ", "all "};
    static const struct {
        const char *ending, *mix;
    } mixes[] = {{" - Small", "_s"}, {" - Medium", "_m"}, {" - Large", "_l"}};
    const char *format = type;
    for (const char *at = type; *at != '\0'; at++) {
        const bool is_size = strchr("BMK", *at) != NULL && at > type &&
                             isdigit((unsigned char)at[-1]) && at[1] == ' ';
        format = is_size ? at + 2 : format;
    }
    const size_t model_size = (size_t)(format - type);
    (void)snprintf(record->model, sizeof record->model, "%.*s",
                   (int)(model_size > 0 ? model_size - 1 : strlen(type)), type);
    format = model_size > 0 ? format : "";
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        const size_t size = strlen(fillers[i]);
        format += strncmp(format, fillers[i], size) == 0 ? size : 0;
    }
    const char *mix = "";
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
        mix = strstr(format, mixes[i].ending) != NULL ? mixes[i].mix : mix;
    }
    (void)snprintf(record->weight_format, sizeof record->weight_format, "%.*s%s",
                   (int)strcspn(format, " "), format, mix);
    for (char *c = record->weight_format; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
}

/* Whether a graphics processor worked. Versions before 2024 have a column a library, later ones
 * `backends`. */
static bool is_offloaded(struct jb_import_source *source, uint64_t at)
{
    static const char *const libraries[] = {"cuda",    "opencl", "metal",   "vulkan",
                                            "kompute", "sycl",   "gpu_blas"};
    const char *backends = jb_import_text(source, at, "backends");
    bool has_library = backends[0] != '\0' && strcmp(backends, "CPU") != 0 &&
                       strcmp(backends, "BLAS") != 0 && strcmp(backends, "RPC") != 0;
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        const char *text = jb_import_text(source, at, libraries[i]);
        has_library = has_library || strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    }
    return has_library && strcmp(jb_import_text(source, at, "n_gpu_layers"), "0") != 0;
}

static void describe_llama_bench(struct jb_import_source *source, uint64_t at,
                                 struct jb_record *record)
{
    const bool is_gpu = is_offloaded(source, at);
    const char *device = jb_import_text(source, at, is_gpu ? "gpu_info" : "cpu_info");
    const char *type_k = jb_import_text(source, at, "type_k");
    const char *type_v = jb_import_text(source, at, "type_v");
    PUT(record->backend, "llama.cpp");
    PUT(record->device, device[0] != '\0' ? device : "unknown");
    PUT(record->platform, is_gpu ? "gpu" : "cpu");
    for (const char *c = device; is_gpu && *c != '\0'; c++) {
        record->n_devices += *c == ',' ? 1 : 0; /* "NVIDIA A, NVIDIA A" */
    }
    split_model_type(jb_import_text(source, at, "model_type"), record);
    (void)snprintf(record->kv_format, sizeof record->kv_format, "%s%s%s", type_k,
                   strcmp(type_k, type_v) == 0 ? "" : "/",
                   strcmp(type_k, type_v) == 0 ? "" : type_v);
    PUT(record->time_utc, jb_import_text(source, at, "test_time"));
    record->threads = jb_import_count(source, at, "n_threads");
    record->weight_bytes = jb_import_count(source, at, "model_size");
    record->prefill_chunk = jb_import_count(source, at, "n_ubatch");
    record->batch = 1;
}

static void keep_time(struct jb_import_source *source, uint64_t at, struct jb_record *record,
                      double time_s)
{
    record->time_s = record->window_s = time_s;
    record->tokens_per_s = (double)record->tokens / time_s;
    jb_import_keep(source, at, record);
}

/* "[1,2,3]" in nanoseconds, as JSON has it: a repetition each. @return how many there were. */
static uint32_t keep_samples(struct jb_import_source *source, uint64_t at, struct jb_record *record)
{
    uint32_t n = 0;
    const char *text = jb_import_text(source, at, "samples_ns");
    while (*text != '\0') {
        text += strcspn(text, "0123456789");
        const size_t size = strspn(text, "0123456789.e+-");
        double time_ns = 0;
        if (size > 0 && jb_real_parse(text, size, &time_ns) && time_ns > 0) {
            record->repetition = n++;
            keep_time(source, at, record, time_ns * 1e-9);
        }
        text += size;
    }
    return n;
}

static void take_llama_bench(struct jb_import_source *source, uint64_t at)
{
    struct jb_record record;
    const int64_t prompt = jb_import_count(source, at, "n_prompt");
    const int64_t gen = jb_import_count(source, at, "n_gen");
    const double time_ns = jb_import_number(source, at, "avg_ns");
    jb_import_begin(source, &record);
    describe_llama_bench(source, at, &record);
    if (!(prompt > 0 || gen > 0) || !(time_ns > 0)) {
        jb_import_leave(source, "neither prompt nor generated tokens, or no time");
        return;
    }
    record.prompt_tokens = prompt;
    record.output_tokens = gen;
    record.kv_depth = jb_import_count(source, at, "n_depth");
    PUT(record.phase, gen == 0 ? "prefill" : prompt == 0 ? "decode" : "total");
    record.tokens = gen > 0 ? gen : prompt;
    record.n_phases = 1;
    jb_record_reason(&record, "no-power-in-source");
    if (keep_samples(source, at, &record) == 0) {
        /* The mean time; avg_ts is the mean of the repetitions' rates, which is a little more. */
        keep_time(source, at, &record, time_ns * 1e-9);
    }
}

/* ---- LLM-Inference-Bench (argonne-lcf/LLM-Inference-Bench: docs/data, Plots) ---- */

/* The title that this file has of two. */
static const char *either(const struct jb_import_source *source, const char *one, const char *other)
{
    return jb_sheet_find(source->sheet, one) < source->sheet->n_columns ? one : other;
}

static void take_inference_bench(struct jb_import_source *source, uint64_t at)
{
    struct jb_record record;
    jb_import_begin(source, &record);
    PUT(record.backend, jb_import_text(source, at, "Framework"));
    PUT(record.device, jb_import_text(source, at, "Hardware"));
    PUT(record.model, jb_import_text(source, at, "Model"));
    jb_import_platform(source, at, &record);
    const int64_t n_devices = jb_import_count(source, at, "Num of Hardware");
    record.n_devices = n_devices != JB_INT_MISSING ? n_devices : 1;
    record.batch = jb_import_count(source, at, "Batch Size");
    record.prompt_tokens =
        jb_import_count(source, at, either(source, "Input Output Length", "Input Length"));
    record.output_tokens =
        jb_import_count(source, at, either(source, "Input Output Length", "Output Length"));
    PUT(record.kv_format, jb_import_text(source, at, "kv_cache_dtype"));
    record.kv_depth = 0;
    record.n_phases = 1;
    PUT(record.phase, "total"); /* one whole request */
    const double latency_s = jb_import_number(source, at, either(source, "Latency", "latency"));
    const double throughput =
        jb_import_number(source, at, either(source, "Throughput", "throughput"));
    /* NVML's milliwatts (230742 for an A100); less than 5 W is not what a card draws. */
    const double power_w = jb_import_number(source, at, "avg_power") / 1000.0;
    if (record.batch > 0 && record.output_tokens > 0 && latency_s > 0) {
        record.tokens = record.batch * record.output_tokens;
        record.time_s = record.window_s = latency_s;
        record.tokens_per_s = (double)record.tokens / latency_s;
    } else if (throughput > 0 && record.prompt_tokens == record.output_tokens) {
        /* It counts prompt and generated tokens, of which there are as many. */
        record.tokens_per_s = throughput / 2.0;
        jb_record_reason(&record, "no-time-in-source");
    } else {
        jb_import_leave(source, "neither latency nor throughput");
        return;
    }
    if (jb_is_missing(power_w)) {
        jb_record_reason(&record, "no-power-in-source");
    } else if (power_w < 5.0) {
        jb_record_reason(&record, "power-unit-unknown");
    } else if (record.n_devices > 1) {
        jb_record_reason(&record, "power-of-one-or-all"); /* the source does not say */
    } else {
        jb_import_power(source, &record, power_w, "nvml mean", "board");
    }
    jb_import_keep(source, at, &record);
}

/* ---- MLPerf inference: summary.csv of the submission checker, summary_results.json ---- */

struct mlperf_titles {
    const char *submitter, *model, *scenario, *result, *units, *accelerator, *n_accelerators,
        *processor, *n_processors, *nodes, *framework, *place;
};
static const struct mlperf_titles mlperf_csv = {"Organization",
                                                "Model",
                                                "Scenario",
                                                "Result",
                                                "Units",
                                                "accelerator_model_name",
                                                "accelerators_per_node",
                                                "host_processor_model_name",
                                                "host_processors_per_node",
                                                "number_of_nodes",
                                                "framework",
                                                "Location"};
static const struct mlperf_titles mlperf_json = {"Submitter",
                                                 "Model",
                                                 "Scenario",
                                                 "Performance_Result",
                                                 "Performance_Units",
                                                 "Accelerator",
                                                 "a#",
                                                 "Processor",
                                                 "p#",
                                                 "Nodes",
                                                 "Software",
                                                 "Location"};

/* Watts of the system: a column of JSON; in CSV the next row, of the same place. */
static double mlperf_power_w(struct jb_import_source *source, uint64_t at,
                             const struct mlperf_titles *titles)
{
    if (strcmp(jb_import_text(source, at, "Power_Units"), "Watts") == 0) {
        return jb_import_number(source, at, "Power_Result");
    }
    const bool is_next = at + 1 < source->sheet->n_rows &&
                         strcmp(jb_import_text(source, at + 1, titles->units), "Watts") == 0 &&
                         strcmp(jb_import_text(source, at, titles->place),
                                jb_import_text(source, at + 1, titles->place)) == 0 &&
                         strcmp(jb_import_text(source, at, titles->scenario),
                                jb_import_text(source, at + 1, titles->scenario)) == 0;
    return is_next ? jb_import_number(source, at + 1, titles->result) : jb_missing();
}

static void take_mlperf(struct jb_import_source *source, uint64_t at,
                        const struct mlperf_titles *titles)
{
    struct jb_record record;
    const char *units = jb_import_text(source, at, titles->units);
    if (strcmp(units, "Tokens/s") != 0) {
        jb_import_leave(source, "its units are not Tokens/s");
        return;
    }
    jb_import_begin(source, &record);
    const char *accelerator = jb_import_text(source, at, titles->accelerator);
    const bool has_card = accelerator[0] != '\0' && strcmp(accelerator, "N/A") != 0;
    int64_t n_devices =
        jb_import_count(source, at, has_card ? titles->n_accelerators : titles->n_processors);
    const int64_t nodes = jb_import_count(source, at, titles->nodes);
    n_devices = n_devices > 0 ? n_devices : 1;
    record.n_devices =
        nodes > 0 && nodes < 1000000 && n_devices < 1000000 ? nodes * n_devices : n_devices;
    PUT(record.backend, jb_import_text(source, at, titles->framework));
    PUT(record.device, has_card ? accelerator : jb_import_text(source, at, titles->processor));
    PUT(record.model, jb_import_text(source, at, titles->model));
    PUT(record.weight_format, jb_import_text(source, at, "weight_data_types"));
    jb_import_platform(source, at, &record);
    PUT(record.phase, "total"); /* whole requests: prompts are read in the same time */
    record.tokens_per_s = jb_import_number(source, at, titles->result);
    if (!(record.tokens_per_s > 0)) {
        jb_import_leave(source, "no result");
        return;
    }
    jb_record_reason(&record, "no-time-in-source");
    jb_record_reason(&record, "no-batch-in-source");
    const double power_w = mlperf_power_w(source, at, titles);
    if (power_w > 0) {
        jb_import_power(source, &record, power_w, "SPEC PTDaemon", "wall");
    } else {
        jb_record_reason(&record, "no-power-in-source");
    }
    jb_import_keep(source, at, &record);
}

static void take_mlperf_csv(struct jb_import_source *source, uint64_t at)
{
    take_mlperf(source, at, &mlperf_csv);
}

static void take_mlperf_json(struct jb_import_source *source, uint64_t at)
{
    take_mlperf(source, at, &mlperf_json);
}

/* ---- ML.ENERGY (ml-energy/leaderboard: public/data/tasks, public/data/models) ---- */

static void take_ml_energy(struct jb_import_source *source, uint64_t at)
{
    struct jb_record record;
    jb_import_begin(source, &record);
    const char *model = jb_import_text(source, at, "model_id");
    PUT(record.backend, "ML.ENERGY");
    PUT(record.device, jb_import_text(source, at, "gpu_model"));
    PUT(record.platform, "gpu");
    PUT(record.model, model[0] != '\0' ? model : "unknown");
    PUT(record.weight_format, jb_import_text(source, at, "weight_precision"));
    const int64_t n_devices = jb_import_count(source, at, "num_gpus");
    record.n_devices = n_devices > 0 ? n_devices : 1;
    record.batch = jb_import_count(source, at, "max_num_seqs");
    const double length = jb_import_number(source, at, "avg_output_len");
    if (length < 1e9) {
        record.output_tokens = llround(length);
        jb_record_reason(&record, "mean-length");
    }
    record.tpot_p50_s = jb_import_number(source, at, "median_itl_ms") / 1000.0;
    record.tpot_p95_s = jb_import_number(source, at, "p95_itl_ms") / 1000.0;
    PUT(record.phase, "total"); /* serving: prompts are read in the same time */
    record.tokens_per_s = jb_import_number(source, at, "output_throughput_tokens_per_sec");
    if (!(record.tokens_per_s > 0)) {
        jb_import_leave(source, "no throughput");
        return;
    }
    jb_record_reason(&record, "no-time-in-source");
    jb_import_power(source, &record, jb_import_number(source, at, "avg_power_watts"), "zeus nvml",
                    "board");
    const double joule_per_token = jb_import_number(source, at, "energy_per_token_joules");
    if (joule_per_token > 0 && record.power_w > 0) {
        record.tokens_per_j = 1.0 / joule_per_token;
    }
    jb_import_keep(source, at, &record);
}

const struct jb_import_format jb_import_formats[] = {
    {"llama-bench",
     "llama.cpp llama-bench -o csv, json or jsonl: time, no power; JSON gives each repetition",
     {"n_prompt", "n_gen", "avg_ns", "model_type", "cpu_info"},
     take_llama_bench},
    {"llm-inference-bench",
     "LLM-Inference-Bench CSV: whole requests, mean NVML power in milliwatts",
     {"Hardware", "Num of Hardware", "Framework", "Model", "Batch Size"},
     take_inference_bench},
    {"mlperf",
     "MLPerf inference summary.csv or summary_results.json: rows in tokens/s, system power",
     {"Organization", "Scenario", "Result", "Units", "accelerator_model_name", "framework"},
     take_mlperf_csv},
    {"mlperf",
     "",
     {"Submitter", "Scenario", "Performance_Result", "Performance_Units", "Accelerator"},
     take_mlperf_json},
    {"ml-energy",
     "ML.ENERGY leaderboard JSON of a task or model: serving, mean GPU power",
     {"gpu_model", "output_throughput_tokens_per_sec", "avg_power_watts", "max_num_seqs"},
     take_ml_energy},
};
const uint32_t jb_n_import_formats = sizeof jb_import_formats / sizeof jb_import_formats[0];
