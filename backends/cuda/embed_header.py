#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed_header.py FATBIN PATH: a header that names PATH and changes whenever the device code does,
so that the object that embeds it is made again."""
import sys
import zlib

with open(sys.argv[1], "rb") as fatbin:
    checksum = zlib.crc32(fatbin.read())
print(f'#define JB_CUDA_FATBIN "{sys.argv[2]}"')
print(f"/* checksum {checksum:08x} */")
