#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Expected ids for tests/unit/test_tokenizer.c, from plain readings of the two algorithms.

  tokenizer_reference.py spm TOK512.BIN     llama2.c's way, over its own vocabulary file
  tokenizer_reference.py bpe MODEL.GGUF     GPT-2's way, over the file's merge list ("smollm" cutting)

Quadratic and simple on purpose: nothing here is shared with the C code. Prints C initialisers.
"""
import struct
import sys
import unicodedata

STRINGS = [
    "", "a", " a", "Hello  world", "a\nb\n\nc", "tab\there", "\u4f60\u597d\uff0c\u4e16\u754c",
    "caf\u00e9 na\u00efve \u00fcber", "\U0001f600 smile \u2713", "It's 3.14, isn't it? 1234",
    "   three spaces   ", "<s> is text </s>", "mixed \u00a0 spaces\u3000end \r\n", "x" * 40,
]


def read_tok512(path):
    data = open(path, "rb").read()
    pieces, scores, at = [], [], 4
    while at < len(data):
        score, size = struct.unpack_from("<fi", data, at)
        at += 8
        pieces.append(data[at:at + size])
        scores.append(score)
        at += size
    return pieces, scores


def spm(pieces, scores, text):
    """BOS, a space in front, characters, then the best-scored pair until none is left."""
    index = {p: i for i, p in enumerate(pieces) if i >= 3}
    ids = [1]
    if text:
        text = " " + text
    for c in text:
        raw = c.encode()
        ids += [index[raw]] if raw in index else [b + 3 for b in raw]
    while True:
        best = None
        for i in range(1, len(ids) - 1):
            pair = index.get(pieces[ids[i]] + pieces[ids[i + 1]])
            if pair is not None and (best is None or scores[pair] > best[0]):
                best = (scores[pair], pair, i)
        if best is None:
            return ids
        ids[best[2]:best[2] + 2] = [best[1]]


def read_gguf(path):
    data = open(path, "rb").read()
    at = 8
    sizes = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q",
             11: "<q", 12: "<d"}

    def number(form):
        nonlocal at
        value = struct.unpack_from(form, data, at)[0]
        at += struct.calcsize(form)
        return value

    def value(kind):
        nonlocal at
        if kind == 8:
            size = number("<Q")
            at += size
            return data[at - size:at]
        if kind == 9:
            inner, n = number("<I"), number("<Q")
            return [value(inner) for _ in range(n)]
        return number(sizes[kind])

    number("<Q")
    keys = {}
    for _ in range(number("<Q")):
        key = value(8).decode()
        keys[key] = value(number("<I"))
    return keys


def alphabet():
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    table = {b: chr(b) for b in plain}
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + len(table) - len(plain))
    return table


def kind(c):
    if c.isspace():
        return "s"
    return {"L": "L", "N": "N"}.get(unicodedata.category(c)[0], "o")


def words(text):
    """Every digit alone; then GPT-2's expression, tried by hand at each place."""
    out, parts = [], [""]
    for c in text:
        if kind(c) == "N":
            parts += [c, ""]
        else:
            parts[-1] += c
    for part in parts:
        i = 0
        while i < len(part):
            short = next((s for s in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
                          if part.startswith(s, i)), None)
            j = i + (part[i] == " ")
            if short:
                j = i + len(short)
            elif j < len(part) and kind(part[j]) != "s":
                k = kind(part[j])
                while j < len(part) and kind(part[j]) == k:
                    j += 1
            else:
                j = i
                while j < len(part) and kind(part[j]) == "s":
                    j += 1
                if j < len(part) and j - i > 1:
                    j -= 1
            out.append(part[i:j])
            i = j
    return out


def bpe(keys, table, text):
    tokens = {t.decode(): i for i, t in reversed(list(enumerate(keys["tokenizer.ggml.tokens"])))}
    ranks = {tuple(m.decode().split(" ")): i for i, m in enumerate(keys["tokenizer.ggml.merges"])}
    ids = []
    for word in words(text):
        symbols = [table[b] for b in word.encode()]
        while len(symbols) > 1:
            rank, i = min((ranks.get((symbols[i], symbols[i + 1]), 1 << 30), i)
                          for i in range(len(symbols) - 1))
            if rank == 1 << 30:
                break
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        ids += [tokens.get(s, keys["tokenizer.ggml.unknown_token_id"]) for s in symbols]
    return ids


def c_string(text):
    out = ""
    for b in text.encode():
        c = chr(b)
        out += "\\" + c if c in "\"\\" else c if 32 <= b < 127 else "\\%03o" % b
    return '"%s"' % out


def main():
    if sys.argv[1] == "spm":
        pieces, scores = read_tok512(sys.argv[2])
        encode = lambda text: spm(pieces, scores, text)
    else:
        keys, table = read_gguf(sys.argv[2]), alphabet()
        encode = lambda text: bpe(keys, table, text)
    for text in STRINGS + ["The capital of France is", "Once upon a time"]:
        ids = encode(text)
        print("    {%s, %d, {%s}}," % (c_string(text), len(ids), ", ".join(map(str, ids or [0]))))


main()
