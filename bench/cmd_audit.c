/* SPDX-License-Identifier: MIT */
/* joulebench audit: unit, arithmetic and physics checks of result tables. */
#include <getopt.h>
#include <string.h>

#include "bench/audit.h"
#include "bench/cli.h"
#include "jb_config.h"

static void print_help(void)
{
    (void)fputs(
        "usage: joulebench audit [options] FILE...\n\n"
        "Checks tables of results: ours, the published points, or another tool's CSV (columns\n"
        "are found by name). Devices are recognised by their names and compared with the\n"
        "device files ('joulebench list devices'). Prints each finding with file and line.\n\n"
        "  --csv         findings as CSV\n"
        "  --strict      exit 4 if there is an error among them\n"
        "  --devices FILE  another table of device names (platform,word,device)\n"
        "  -h, --help    this text\n\nfindings (error: it cannot be so; note: look at it):\n",
        stdout);
    for (int i = 0; i < JB_N_FINDING_KINDS; i++) {
        const enum jb_finding_kind kind = (enum jb_finding_kind)i;
        (void)printf("  %-16s %-6s %s\n", jb_finding_name(kind),
                     jb_finding_is_error(kind) ? "error" : "note", jb_finding_help(kind));
    }
}

struct wish {
    bool as_csv, is_strict;
    const char *devices;
};

static void print_finding(const struct wish *wish, const char *path, const struct jb_audit *audit,
                          const struct jb_finding *finding)
{
    const struct jb_audit_row *row = &audit->rows[finding->row];
    const char *severity = jb_finding_is_error(finding->kind) ? "error" : "note";
    if (!wish->as_csv) {
        (void)printf("%s:%llu: %s: %s: %s [%s%s%s]\n", path, (unsigned long long)row->line,
                     severity, jb_finding_name(finding->kind), finding->text, row->work,
                     row->work[0] != '\0' && row->device[0] != '\0' ? ", " : "", row->device);
        return;
    }
    jb_cli_csv_cell(stdout, path);
    (void)printf(",%llu,%s,%s,", (unsigned long long)row->line, severity,
                 jb_finding_name(finding->kind));
    jb_cli_csv_cell(stdout, row->work);
    (void)putchar(',');
    jb_cli_csv_cell(stdout, row->device);
    (void)putchar(',');
    jb_cli_csv_cell(stdout, finding->text);
    (void)putchar('\n');
}

static const char *find_devices(void)
{
    static const char *const places[] = {JB_SOURCE_ROOT "/results/published/devices.csv",
                                         JB_DATA_DIR "/published/devices.csv"};
    FILE *file = fopen(places[0], "rb");
    if (file != NULL) {
        (void)fclose(file);
    }
    return file != NULL ? places[0] : places[1];
}

static int audit_file(const struct wish *wish, const char *path, uint64_t *n_errors)
{
    struct jb_audit audit = {.rows = NULL};
    enum jb_status status = jb_audit_read(path, wish->devices, &audit);
    if (status == JB_OK) {
        status = jb_audit_check(&audit);
    }
    if (status == JB_OK) {
        uint64_t n = 0;
        for (uint64_t i = 0; i < audit.n_findings; i++) {
            print_finding(wish, path, &audit, &audit.findings[i]);
            n += jb_finding_is_error(audit.findings[i].kind) ? 1 : 0;
        }
        *n_errors += n;
        (void)fprintf(stderr, "joulebench: '%s': %llu rows, %llu errors, %llu notes\n", path,
                      (unsigned long long)audit.n_rows, (unsigned long long)n,
                      (unsigned long long)(audit.n_findings - n));
    }
    jb_audit_free(&audit);
    return status == JB_OK ? JB_EXIT_OK : jb_cli_fail(status);
}

int jb_cmd_audit(int argc, char **argv)
{
    static const struct option options[] = {{"csv", no_argument, NULL, 'c'},
                                            {"strict", no_argument, NULL, 's'},
                                            {"devices", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct wish wish = {.devices = find_devices()};
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            wish.as_csv = true;
            break;
        case 's':
            wish.is_strict = true;
            break;
        case 'd':
            wish.devices = optarg;
            break;
        case 'h':
            print_help();
            return JB_EXIT_OK;
        default:
            return jb_cli_usage("audit", "unknown or incomplete option '%s'", argv[optind - 1]);
        }
    }
    if (optind == argc) {
        return jb_cli_usage("audit", "give at least one CSV file");
    }
    uint64_t n_errors = 0;
    int code = JB_EXIT_OK;
    if (wish.as_csv) {
        (void)fputs("file,line,severity,kind,work,device,finding\n", stdout);
    }
    for (int i = optind; i < argc && code == JB_EXIT_OK; i++) {
        code = audit_file(&wish, argv[i], &n_errors);
    }
    return code == JB_EXIT_OK && wish.is_strict && n_errors > 0 ? JB_EXIT_INVALID : code;
}
