/* SPDX-License-Identifier: MIT */
/* joulebench with the commands that need results alone. */
#include <string.h>

#include "bench/cli.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "summary") == 0) {
        return jb_cmd_summary(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "plot") == 0) {
        return jb_cmd_plot(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "import") == 0) {
        return jb_cmd_import(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "report") == 0) {
        return jb_cmd_report(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "survey") == 0) {
        return jb_cmd_survey(argc - 1, argv + 1);
    }
    return JB_EXIT_USAGE;
}
