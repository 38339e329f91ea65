/* SPDX-License-Identifier: MIT */
#include "platforms/meters/trace.h"

#include <csv.h>
#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
    COLUMN_TIME,
    COLUMN_DOMAIN,
    COLUMN_QUANTITY,
    COLUMN_UNIT,
    COLUMN_SCOPE,
    COLUMN_VALUE,
    N_REQUIRED,
    COLUMN_IN_TOTAL = N_REQUIRED,
    COLUMN_UPDATE_PERIOD,
    COLUMN_AVERAGE,
    COLUMN_ACCURACY,
    COLUMN_EVIDENCE,
    /* where in a run the sample was taken: `run --trace` writes it, nothing here reads it */
    COLUMN_METER,
    COLUMN_RUN_ID,
    COLUMN_BACKEND,
    COLUMN_BATCH,
    COLUMN_REPETITION,
    COLUMN_PHASE,
    N_COLUMNS
};

static const char *const column_names[N_COLUMNS] = {
    "time_s",   "domain",          "quantity",  "unit",       "scope",    "value",
    "in_total", "update_period_s", "average_s", "accuracy",   "evidence", "meter",
    "run_id",   "backend",         "batch",     "repetition", "phase",
};

static const char *const quantity_names[] = {"energy", "power", "count", "state"};

struct unit {
    enum jb_quantity quantity;
    const char *written;
    double scale;
    const char *si;
};

static const struct unit units[] = {
    {JB_QUANTITY_ENERGY, "J", 1, "J"},     {JB_QUANTITY_ENERGY, "kJ", 1e3, "J"},
    {JB_QUANTITY_ENERGY, "mJ", 1e-3, "J"}, {JB_QUANTITY_ENERGY, "uJ", 1e-6, "J"},
    {JB_QUANTITY_ENERGY, "Wh", 3600, "J"}, {JB_QUANTITY_POWER, "W", 1, "W"},
    {JB_QUANTITY_POWER, "kW", 1e3, "W"},   {JB_QUANTITY_POWER, "mW", 1e-3, "W"},
    {JB_QUANTITY_POWER, "uW", 1e-6, "W"},  {JB_QUANTITY_COUNT, "1", 1, "1"},
    {JB_QUANTITY_STATE, "C", 1, "C"},      {JB_QUANTITY_STATE, "Hz", 1, "Hz"},
    {JB_QUANTITY_STATE, "kHz", 1e3, "Hz"}, {JB_QUANTITY_STATE, "MHz", 1e6, "Hz"},
    {JB_QUANTITY_STATE, "GHz", 1e9, "Hz"}, {JB_QUANTITY_STATE, "1", 1, "1"},
};

#define CELL_MAX 64

struct parser {
    const char *file_name;
    struct jb_trace *trace;
    enum jb_status status;
    unsigned long line;
    bool has_header;
    uint32_t n_cells;                /* of this row                                  */
    char cells[N_COLUMNS][CELL_MAX]; /* by position in the row                       */
    uint32_t n_columns;              /* of the file                                  */
    int position_of[N_COLUMNS];      /* where a column stands in a row; -1 = nowhere */
    bool is_total_given[JB_METER_MAX_DOMAINS];
};

static void fail_format(struct parser *p, const char *what, const char *cell)
{
    p->status = jb_fail(JB_E_FORMAT, "%s:%lu: %s '%s'", p->file_name, p->line, what, cell);
}

static const char *cell_at(const struct parser *p, enum column column)
{
    const int position = p->position_of[column];
    return position < 0 ? "" : p->cells[position];
}

/* A finite decimal number and nothing else. */
static bool parse_number(const char *text, double *ret_value)
{
    if (strspn(text, "0123456789+-.eE") != strlen(text) || text[0] == '\0') {
        return false;
    }
    char *end = NULL;
    const double value = strtod(text, &end);
    if (*end != '\0' || !(fabs(value) <= DBL_MAX)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* An optional cell: empty leaves *ret_value. */
static void parse_optional(struct parser *p, enum column column, double *ret_value)
{
    const char *cell = cell_at(p, column);
    double value = 0;
    if (cell[0] == '\0') {
        return;
    }
    if (!parse_number(cell, &value) || value < 0) {
        fail_format(p, "not a number of 0 or more:", cell);
        return;
    }
    *ret_value = value;
}

static void take_header(struct parser *p)
{
    for (int i = 0; i < N_COLUMNS; i++) {
        p->position_of[i] = -1;
    }
    for (uint32_t i = 0; i < p->n_cells; i++) {
        int found = -1;
        for (int c = 0; c < N_COLUMNS; c++) {
            if (strcmp(p->cells[i], column_names[c]) == 0) {
                found = c;
            }
        }
        if (found < 0) {
            fail_format(p, "unknown column", p->cells[i]);
            return;
        }
        if (p->position_of[found] >= 0) {
            fail_format(p, "repeated column", p->cells[i]);
            return;
        }
        p->position_of[found] = (int)i;
    }
    for (int c = 0; c < N_REQUIRED; c++) {
        if (p->position_of[c] != c) {
            p->status = jb_fail(JB_E_FORMAT, "%s:%lu: column %d must be '%s'", p->file_name,
                                p->line, c + 1, column_names[c]);
            return;
        }
    }
    p->n_columns = p->n_cells;
    p->has_header = true;
}

static const struct unit *find_unit(enum jb_quantity quantity, const char *written)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].quantity == quantity && strcmp(units[i].written, written) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

static bool find_quantity(const char *name, enum jb_quantity *ret_quantity)
{
    for (size_t i = 0; i < sizeof quantity_names / sizeof quantity_names[0]; i++) {
        if (strcmp(quantity_names[i], name) == 0) {
            *ret_quantity = (enum jb_quantity)i;
            return true;
        }
    }
    return false;
}

static bool find_scope(const char *name, enum jb_scope *ret_scope)
{
    for (int i = 0; i <= (int)JB_SCOPE_MODEL; i++) {
        if (strcmp(jb_scope_name((enum jb_scope)i), name) == 0) {
            *ret_scope = (enum jb_scope)i;
            return true;
        }
    }
    return false;
}

static void take_options(struct parser *p, uint32_t index)
{
    struct jb_domain *domain = &p->trace->domains[index];
    parse_optional(p, COLUMN_UPDATE_PERIOD, &domain->update_period_s);
    parse_optional(p, COLUMN_AVERAGE, &domain->average_s);
    parse_optional(p, COLUMN_ACCURACY, &domain->accuracy);
    const char *in_total = cell_at(p, COLUMN_IN_TOTAL);
    if (in_total[0] != '\0') {
        p->is_total_given[index] = true;
        domain->is_in_total = strcmp(in_total, "1") == 0;
        if (!domain->is_in_total && strcmp(in_total, "0") != 0) {
            fail_format(p, "in_total must be 0 or 1, not", in_total);
        }
    }
    const char *evidence = cell_at(p, COLUMN_EVIDENCE);
    if (strcmp(evidence, "modelled") == 0) {
        domain->evidence = JB_CLASS_MODELLED;
    } else if (strcmp(evidence, "nameplate") == 0) {
        domain->evidence = JB_CLASS_NAMEPLATE;
    } else if (evidence[0] != '\0' && strcmp(evidence, "measured") != 0) {
        fail_format(p, "unknown evidence", evidence);
    }
}

/* Makes the domain of this row, or returns the one that is there; -1 on failure. */
static int take_domain(struct parser *p)
{
    struct jb_trace *trace = p->trace;
    const char *name = cell_at(p, COLUMN_DOMAIN);
    struct jb_domain fresh = {.update_period_s = jb_missing(),
                              .average_s = jb_missing(),
                              .accuracy = jb_missing(),
                              .evidence = JB_CLASS_MEASURED};
    if (!find_quantity(cell_at(p, COLUMN_QUANTITY), &fresh.quantity)) {
        fail_format(p, "unknown quantity", cell_at(p, COLUMN_QUANTITY));
        return -1;
    }
    const struct unit *unit = find_unit(fresh.quantity, cell_at(p, COLUMN_UNIT));
    if (unit == NULL) {
        fail_format(p, "unit does not fit the quantity:", cell_at(p, COLUMN_UNIT));
        return -1;
    }
    if (!find_scope(cell_at(p, COLUMN_SCOPE), &fresh.scope)) {
        fail_format(p, "unknown scope", cell_at(p, COLUMN_SCOPE));
        return -1;
    }
    fresh.unit = unit->si;
    for (uint32_t i = 0; i < trace->n_domains; i++) {
        const struct jb_domain *old = &trace->domains[i];
        if (strcmp(old->name, name) != 0) {
            continue;
        }
        if (old->quantity != fresh.quantity || old->scope != fresh.scope ||
            trace->tracks[i].written_unit != unit->written) {
            fail_format(p, "quantity, unit or scope changes in domain", name);
            return -1;
        }
        return (int)i;
    }
    if (name[0] == '\0' || strlen(name) >= sizeof fresh.name) {
        fail_format(p, "domain name must have 1 to 47 bytes, not", name);
        return -1;
    }
    if (trace->n_domains == JB_METER_MAX_DOMAINS) {
        fail_format(p, "too many domains, at", name);
        return -1;
    }
    memcpy(fresh.name, name, strlen(name) + 1);
    const uint32_t index = trace->n_domains++;
    trace->domains[index] = fresh;
    trace->tracks[index] = (struct jb_trace_track){.first = jb_missing(),
                                                   .last = jb_missing(),
                                                   .scale = unit->scale,
                                                   .written_unit = unit->written};
    take_options(p, index);
    return p->status == JB_OK ? (int)index : -1;
}

static enum jb_status append_point(struct jb_trace_track *track, struct jb_trace_point point)
{
    if (track->n_points == track->capacity) {
        const size_t capacity = track->capacity == 0 ? 16 : track->capacity * 2;
        struct jb_trace_point *grown = realloc(track->points, capacity * sizeof *grown);
        if (grown == NULL) {
            return jb_fail(JB_E_NOMEM, "no memory for %zu trace samples", capacity);
        }
        track->points = grown;
        track->capacity = capacity;
    }
    track->points[track->n_points++] = point;
    return JB_OK;
}

static void take_sample(struct parser *p)
{
    double time_s = 0;
    if (!parse_number(cell_at(p, COLUMN_TIME), &time_s)) {
        fail_format(p, "time_s is not a finite number:", cell_at(p, COLUMN_TIME));
        return;
    }
    double value = jb_missing();
    const char *cell = cell_at(p, COLUMN_VALUE);
    if (cell[0] != '\0' && !parse_number(cell, &value)) {
        fail_format(p, "value is neither empty nor a finite number:", cell);
        return;
    }
    const int index = take_domain(p);
    if (index < 0) {
        return;
    }
    struct jb_trace *trace = p->trace;
    struct jb_trace_track *track = &trace->tracks[index];
    if (track->n_points > 0 && time_s < track->points[track->n_points - 1].time_s) {
        fail_format(p, "time_s falls within a domain, to", cell_at(p, COLUMN_TIME));
        return;
    }
    value *= track->scale;
    const bool was_good = track->n_good == track->n_points;
    const bool is_fall = jb_trace_is_cumulative(&trace->domains[index]) && value < track->last;
    p->status = append_point(track, (struct jb_trace_point){.time_s = time_s, .value = value});
    if (p->status != JB_OK) {
        return;
    }
    if (was_good && !is_fall) {
        track->n_good = track->n_points;
        if (!jb_is_missing(value)) {
            track->first = jb_is_missing(track->first) ? value : track->first;
            track->last = value;
        }
    }
    trace->first_s = fmin(trace->first_s, time_s);
    trace->last_s = fmax(trace->last_s, time_s);
}

static void on_cell(void *text, size_t size, void *user)
{
    struct parser *p = user;
    if (p->status != JB_OK) {
        return;
    }
    if (p->n_cells == N_COLUMNS) {
        p->status = jb_fail(JB_E_FORMAT, "%s:%lu: more cells than a trace has columns",
                            p->file_name, p->line);
        return;
    }
    if (size >= CELL_MAX || memchr(text, '\0', size) != NULL) {
        p->status = jb_fail(JB_E_FORMAT, "%s:%lu: cell %u is too long or has a NUL in it",
                            p->file_name, p->line, p->n_cells + 1);
        return;
    }
    memcpy(p->cells[p->n_cells], text, size);
    p->cells[p->n_cells][size] = '\0';
    p->n_cells++;
}

static void on_row(int terminator, void *user)
{
    (void)terminator;
    struct parser *p = user;
    if (p->status == JB_OK && !p->has_header) {
        take_header(p);
    } else if (p->status == JB_OK && p->n_cells != p->n_columns) {
        p->status = jb_fail(JB_E_FORMAT, "%s:%lu: %u cells where the header has %u", p->file_name,
                            p->line, p->n_cells, p->n_columns);
    } else if (p->status == JB_OK) {
        take_sample(p);
    }
    p->n_cells = 0;
}

/* Energy and power of one thing must not both be summed. */
static void default_totals(const struct parser *p)
{
    struct jb_trace *trace = p->trace;
    bool has_energy = false;
    for (uint32_t i = 0; i < trace->n_domains; i++) {
        struct jb_domain *d = &trace->domains[i];
        if (!p->is_total_given[i]) {
            d->is_in_total = d->quantity == JB_QUANTITY_ENERGY && d->scope != JB_SCOPE_CORE &&
                             d->scope != JB_SCOPE_PROCESS;
        }
        has_energy = has_energy || (d->quantity == JB_QUANTITY_ENERGY && d->is_in_total);
    }
    for (uint32_t i = 0; i < trace->n_domains; i++) {
        struct jb_domain *d = &trace->domains[i];
        if (!p->is_total_given[i] && d->quantity == JB_QUANTITY_POWER) {
            d->is_in_total = !has_energy;
        }
    }
}

/* Fed line by line, so that the callbacks know their line. */
static void feed_lines(struct parser *p, struct csv_parser *csv, const char *text, size_t size)
{
    for (size_t at = 0; at < size && p->status == JB_OK;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t n = end == NULL ? size - at : (size_t)(end - (text + at)) + 1;
        p->line++;
        if (csv_parse(csv, text + at, n, on_cell, on_row, p) != n && p->status == JB_OK) {
            fail_format(p, "not CSV:", csv_strerror(csv_error(csv)));
        }
        at += n;
    }
    if (p->status == JB_OK && csv_fini(csv, on_cell, on_row, p) != 0 && p->status == JB_OK) {
        fail_format(p, "not CSV at the end of the file:", csv_strerror(csv_error(csv)));
    }
}

enum jb_status jb_trace_parse(const char *text, size_t size, const char *file_name,
                              struct jb_trace *ret_trace)
{
    struct parser p = {.file_name = file_name, .trace = ret_trace};
    struct csv_parser csv;
    if (csv_init(&csv, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for the CSV reader", file_name);
    }
    ret_trace->first_s = DBL_MAX;
    ret_trace->last_s = -DBL_MAX;
    feed_lines(&p, &csv, text, size);
    csv_free(&csv);
    if (p.status == JB_OK && ret_trace->n_domains == 0) {
        p.status = jb_fail(JB_E_FORMAT, "%s:%lu: the trace has no sample", file_name, p.line);
    }
    if (p.status != JB_OK) {
        jb_trace_free(ret_trace);
        return p.status;
    }
    default_totals(&p);
    return JB_OK;
}

static enum jb_status read_stream(FILE *stream, const char *path, char **ret_text, size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        if (size == capacity) {
            capacity = capacity == 0 ? 65536 : capacity * 2;
            char *grown = realloc(text, capacity);
            if (grown == NULL) {
                free(text);
                return jb_fail(JB_E_NOMEM, "%s: no memory for %zu bytes", path, capacity);
            }
            text = grown;
        }
        const size_t n = fread(text + size, 1, capacity - size, stream);
        if (n == 0) {
            break;
        }
        size += n;
    }
    if (ferror(stream)) {
        free(text);
        return jb_fail(JB_E_IO, "%s: %s", path, strerror(errno));
    }
    *ret_text = text;
    *ret_size = size;
    return JB_OK;
}

enum jb_status jb_trace_read(const char *path, struct jb_trace *ret_trace)
{
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        const enum jb_status code = errno == ENOENT                     ? JB_E_NODEV
                                    : errno == EACCES || errno == EPERM ? JB_E_PERM
                                                                        : JB_E_IO;
        return jb_fail(code, "%s: %s", path, strerror(errno));
    }
    char *text = NULL;
    size_t size = 0;
    enum jb_status status = read_stream(stream, path, &text, &size);
    (void)fclose(stream);
    if (status == JB_OK) {
        status = jb_trace_parse(text, size, path, ret_trace);
        free(text);
    }
    return status;
}

void jb_trace_free(struct jb_trace *trace)
{
    for (uint32_t i = 0; i < trace->n_domains; i++) {
        free(trace->tracks[i].points);
    }
    *trace = (struct jb_trace){0};
}

bool jb_trace_is_cumulative(const struct jb_domain *domain)
{
    return domain->quantity == JB_QUANTITY_ENERGY || domain->quantity == JB_QUANTITY_COUNT;
}

double jb_trace_value(const struct jb_trace *trace, uint32_t domain, double time_s)
{
    const struct jb_trace_track *track = &trace->tracks[domain];
    size_t low = 0; /* points before low are at or before time_s */
    size_t high = track->n_points;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (track->points[middle].time_s <= time_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || low > track->n_good) {
        return jb_missing();
    }
    const double value = track->points[low - 1].value;
    return jb_trace_is_cumulative(&trace->domains[domain]) ? value - track->first : value;
}

double jb_trace_increase(const struct jb_trace *trace, uint32_t domain)
{
    const struct jb_trace_track *track = &trace->tracks[domain];
    return track->n_good == track->n_points ? track->last - track->first : jb_missing();
}
