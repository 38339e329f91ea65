/* SPDX-License-Identifier: MIT */
#include "bench/cli.h"

int main(int argc, char **argv)
{
    return jb_main(argc, argv);
}
