#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the model files of tests/fuzz/corpus/gguf: one-layer models of a few kilobytes.

Run it in tests/fuzz to make them again; the same bytes come out."""
import os
import random
import struct

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STRING:
        return string(v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def key(name, kind, v):
    return string(name) + struct.pack("<I", kind) + value(kind, v)


def array(name, kind, items):
    head = string(name) + struct.pack("<IIQ", ARRAY, kind, len(items))
    return head + b"".join(value(kind, i) for i in items)


def f32(rows, cols, rng):
    return b"".join(struct.pack("<f", rng.gauss(0, 0.1)) for _ in range(rows * cols))


def f16(rows, cols, rng):
    return b"".join(struct.pack("<e", rng.gauss(0, 0.1)) for _ in range(rows * cols))


def ones(rows, cols, rng):
    return struct.pack("<f", 1.0) * (rows * cols)


def blocks(scales, codes):
    def make(rows, cols, rng):
        return b"".join(struct.pack("<e", 0.01) * scales + rng.randbytes(codes)
                        for _ in range(rows * cols // 32))
    return make


FORMS = {"f32": (0, f32), "f16": (1, f16), "q4_0": (2, blocks(1, 16)), "q4_1": (3, blocks(2, 16)),
         "q8_0": (8, blocks(1, 32)), "ones": (0, ones)}


def write(path, arch, form, vocab_keys, n_vocab, extra_keys=(), bias=False, norms=False, tied=True,
          freqs=False):
    rng = random.Random(path)
    dim, ffn, heads, kv, head = 32, 64, 4, 2, 8
    shapes = [("token_embd.weight", n_vocab, dim, form), ("output_norm.weight", 1, dim, "f32"),
              ("blk.0.attn_norm.weight", 1, dim, "f32"), ("blk.0.ffn_norm.weight", 1, dim, "f32"),
              ("blk.0.attn_q.weight", heads * head, dim, form),
              ("blk.0.attn_k.weight", kv * head, dim, form),
              ("blk.0.attn_v.weight", kv * head, dim, form),
              ("blk.0.attn_output.weight", dim, heads * head, form),
              ("blk.0.ffn_gate.weight", ffn, dim, form), ("blk.0.ffn_up.weight", ffn, dim, form),
              ("blk.0.ffn_down.weight", dim, ffn, form)]
    if bias:
        shapes += [("blk.0.attn_q.bias", 1, heads * head, "f32"),
                   ("blk.0.attn_k.bias", 1, kv * head, "f32"),
                   ("blk.0.attn_v.bias", 1, kv * head, "f32")]
    if norms:
        shapes += [("blk.0.attn_q_norm.weight", 1, head, "f32"),
                   ("blk.0.attn_k_norm.weight", 1, head, "f32")]
    if not tied:
        shapes.append(("output.weight", n_vocab, dim, form))
    if freqs:
        shapes.append(("rope_freqs.weight", 1, head // 2, "ones"))
    keys = [key("general.architecture", STRING, arch), key("general.name", STRING, "fuzz " + arch),
            key("general.alignment", U32, 32),
            key(arch + ".block_count", U32, 1), key(arch + ".context_length", U32, 64),
            key(arch + ".embedding_length", U32, dim), key(arch + ".feed_forward_length", U32, ffn),
            key(arch + ".attention.head_count", U32, heads),
            key(arch + ".attention.head_count_kv", U32, kv),
            key(arch + ".attention.key_length", U32, head),
            key(arch + ".attention.value_length", U32, head),
            key(arch + ".attention.layer_norm_rms_epsilon", F32, 1e-5),
            key(arch + ".rope.dimension_count", U32, head),
            key(arch + ".rope.freq_base", F32, 10000.0)] + list(extra_keys) + vocab_keys
    table, data = b"", b""
    for name, rows, cols, one in shapes:
        kind, make = FORMS[one]
        dims = [cols] if rows == 1 else [cols, rows]
        data += b"\0" * (-len(data) % 32)
        table += string(name) + struct.pack("<I", len(dims))
        table += b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, len(data))
        data += make(rows, cols, rng)
    head_bytes = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(keys)) + b"".join(keys) + table
    with open(path, "wb") as file:
        file.write(head_bytes + b"\0" * (-len(head_bytes) % 32) + data)


def spm():
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in (0, 10, 32, 195, 255)]
    tokens += ["\u2581", "\u2581a", "on", "ce", "O", "n", "c", "e", "t", "i", "m", "a", "p", "u",
               "\u2581t", "e,"]
    types = [2, 3, 3] + [6] * 5 + [1] * (len(tokens) - 8)
    return [key("tokenizer.ggml.model", STRING, "llama"),
            array("tokenizer.ggml.tokens", STRING, tokens),
            array("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
            array("tokenizer.ggml.token_type", I32, types),
            key("tokenizer.ggml.bos_token_id", U32, 1), key("tokenizer.ggml.eos_token_id", U32, 2),
            key("tokenizer.ggml.unknown_token_id", U32, 0),
            key("tokenizer.ggml.add_bos_token", BOOL, True),
            key("tokenizer.ggml.add_space_prefix", BOOL, True)], len(tokens)


def bpe(pre):
    tokens = list("Onceupatim,1234") + ["\u0120", "\u010a", "on", "ce", "\u0120a", "\u0120t", "im",
                                        "<|end|>", "\u0120ti"]
    types = [1] * len(tokens)
    types[tokens.index("<|end|>")] = 3
    merges = ["c e", "\u0120 a", "\u0120 t", "i m", "\u0120t i"]
    return [key("tokenizer.ggml.model", STRING, "gpt2"), key("tokenizer.ggml.pre", STRING, pre),
            array("tokenizer.ggml.tokens", STRING, tokens),
            array("tokenizer.ggml.token_type", I32, types),
            array("tokenizer.ggml.merges", STRING, merges),
            key("tokenizer.ggml.bos_token_id", U32, tokens.index("<|end|>")),
            key("tokenizer.ggml.unknown_token_id", U32, 0)], len(tokens)


def main():
    os.makedirs("corpus/gguf", exist_ok=True)
    write("corpus/gguf/llama-spm-q8_0.gguf", "llama", "q8_0", *spm(), tied=False, freqs=True)
    write("corpus/gguf/llama-bpe-q4_0.gguf", "llama", "q4_0", *bpe("smollm"),
          extra_keys=[key("llama.rope.scaling.type", STRING, "linear"),
                      key("llama.rope.scaling.factor", F32, 4.0)])
    write("corpus/gguf/qwen2-f16.gguf", "qwen2", "f16", *bpe("qwen2"), bias=True)
    write("corpus/gguf/qwen3-q4_1.gguf", "qwen3", "q4_1", *bpe("llama-bpe"), norms=True,
          extra_keys=[key("qwen3.rope.scaling.type", STRING, "yarn"),
                      key("qwen3.rope.scaling.factor", F32, 2.0),
                      key("qwen3.rope.scaling.original_context_length", U32, 32)])


main()
