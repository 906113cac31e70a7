#!/usr/bin/env python3
"""Makes model.gguf.gz: a tiny language model for a real llama-server in the tests.

    python3 -m venv venv && venv/bin/pip install gguf numpy && venv/bin/python make_model.py model.gguf.gz

It is a state machine written down as a transformer. Every token says in which state it leaves the
text (its embedding is one number in that state's place), and in which states it may come next (its
row of the output matrix). Attention and feed-forward are there and add nothing. So the text is made
of readable words, while the server does all of its work: loading, slots, batching, sampling under a
grammar, streaming. What the states do not know, the grammar of the request decides: it strikes out
every token that the schema does not allow at that place.
"""

import gzip
import io
import os
import sys
import tempfile

import gguf
import numpy as np

from words import CREATURES, ENUMS, PROSE, TITLES

KEYS_OF_TEXT = {
    "prose": ["description", "personality", "quirk", "secret", "summary"],
    "short": ["encounter", "loot", "target"],
    "title": ["title", "name", "race", "occupation"],
    "enum": ["type", "difficulty", "loot_tier", "location_type", "damage_dice"],
}
KEYS_OF_NUMBERS = ["level_min", "level_max", "xp_reward", "gold_reward", "count", "challenge_rating", "hp", "ac",
                   "attack_bonus", "room_number"]
KEYS_OF_LISTS = ["objectives", "enemies", "rooms", "key_events", "open_threads", "special_abilities"]

LAYERS, HEADS, CONTEXT = 2, 2, 16384
NEVER, FALLBACK = -60.0, -25.0

states = {}
tokens = {}


def state(name):
    return states.setdefault(name, len(states))


def token(text, leads_to, **where):
    """A token, the state that follows it, and its weight in each state where it may stand."""
    assert text not in tokens, f"{text!r} twice"
    state(leads_to)
    for name in where:
        state(name)
    tokens[text] = (leads_to, where)


def structure():
    token("{", "key", start=0, list=0, key=0)
    token("}", "closed", closed=0, digit=0)
    token("]", "closed", closed=0, list=-1)
    token(", ", "key", closed=0, digit=0)
    # Where a text may not go on because of its length, it ends, whatever is still missing.
    in_text = dict.fromkeys(["title_1", "title_2", "place", "subject", "verb", "article", "object", "spot"], -10)
    token('"', "closed", **in_text, enum_end=0, title_end=1, place_end=6, prose_end=3, after=-4, after_spot=-4, spelling=-2)
    for leads_to, names in KEYS_OF_TEXT.items():
        for name in names:
            token(f'"{name}": "', leads_to, key=6)
    for name in KEYS_OF_NUMBERS:
        token(f'"{name}": ', "number", key=6)
    for name in KEYS_OF_LISTS:
        token(f'"{name}": [', "list", key=6)
    token('"encounter_chance": ', "chance", key=6)
    token("0.", "fraction", number=0, chance=0)
    for value in ENUMS:
        token(value, "enum_end", enum=0)
    for value in CREATURES:
        token(value, "enum_end", enum=4)


def titles():
    for word in TITLES["first"]:
        token(word, "title_1", title=0)
    for word in TITLES["adjective"]:
        token(" " + word, "title_2", title_1=0)
    for word in TITLES["noun"]:
        token(" " + word, "title_end", title_2=0)
    for word in TITLES["link"]:
        token(" " + word, "place", title_end=0)
    for word in TITLES["place"]:
        token(" " + word, "place_end", place=0)


def prose():
    for word in PROSE["opening"]:
        token(word, "subject", prose=0)
        # In a list of texts the quotation mark comes with the first word.
        token('"' + word, "subject", key=0, list=0)
        token(" " + word, "subject", prose_end=0)
    for word in PROSE["subject"]:
        token(" " + word, "verb", subject=0)
    for word in PROSE["verb"]:
        token(" " + word, "article", verb=0)
    for word in PROSE["article"]:
        token(" " + word, "object", article=0)
        token(word, "object", short=0)
    for word in PROSE["object"]:
        token(" " + word, "after", object=0)
    for word in PROSE["link"]:
        token(" " + word, "spot", after=0)
    for word in PROSE["spot"]:
        token(" " + word, "after_spot", spot=0)
    token(".", "prose_end", after=1, after_spot=3)


def characters():
    """So that everything can be read and, where nothing else is allowed, be spelt."""
    for digit in "0123456789":
        token(digit, "digit", number=0 if digit != "0" else -3, digit=0, fraction=0)
    for code in [10, *range(32, 127)]:
        if chr(code) not in tokens:
            token(chr(code), "spelling", spelling=-4)
    for character in "—–“”’…é":
        token(character, "spelling")


def output_matrix():
    """rms_norm makes the state's place as large as the root of the width; divided out again here."""
    width = -(-len(states) // (8 * HEADS)) * 8 * HEADS
    embedding = np.zeros((len(tokens) + 4, width), dtype=np.float32)
    output = np.full((len(tokens) + 4, width), NEVER, dtype=np.float32)
    for number, (text, (leads_to, where)) in enumerate(tokens.items(), start=4):
        embedding[number, states[leads_to]] = 1
        if len(text) == 1:
            output[number, :] = FALLBACK
        for name, weight in where.items():
            output[number, states[name]] = weight
    output[END, states["closed"]] = 0
    embedding[BEGIN, states["start"]] = embedding[END, states["start"]] = 1
    # Whatever else the text ends with (a prompt without its end): begin an object.
    embedding[:, :][embedding.sum(axis=1) == 0, states["start"]] = 1
    return embedding, output / np.sqrt(width)


PAD, END, UNKNOWN, BEGIN = range(4)
TEMPLATE = ("{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}<|answer|>{% endif %}")


def write(path):
    embedding, output = output_matrix()
    size, width = embedding.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("words")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(width)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_vocab_size(size)
    write_vocabulary(writer)
    writer.add_tensor("token_embd.weight", embedding.astype(np.float16))
    writer.add_tensor("output.weight", output.astype(np.float16))
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for layer in range(LAYERS):
        for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros((width, width), dtype=np.float16))
        for name in ["attn_norm", "ffn_norm"]:
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(width, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_vocabulary(writer):
    """A unigram tokenizer, which needs no merges: of all ways to read a text the shortest is taken."""
    special = ["<pad>", "</s>", "<unk>", "<|answer|>"]
    control, unknown, normal = gguf.TokenType.CONTROL, gguf.TokenType.UNKNOWN, gguf.TokenType.NORMAL
    texts = special + [text.replace(" ", "\u2581") for text in tokens]
    writer.add_tokenizer_model("t5")
    writer.add_token_list(texts)
    writer.add_token_scores([0.0] * 4 + [-1.0 if len(text) > 1 else -1.5 for text in tokens])
    writer.add_token_types([control, control, unknown, control] + [normal] * len(tokens))
    writer.add_pad_token_id(PAD)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_remove_extra_whitespaces(False)
    writer.add_chat_template(TEMPLATE)


def main(target):
    structure()
    titles()
    prose()
    characters()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        write(path)
        with open(path, "rb") as file:
            plain = file.read()
    packed = io.BytesIO()
    # No name and no time in the archive: the same words give the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as archive:
        archive.write(plain)
    with open(target, "wb") as file:
        file.write(packed.getvalue())
    print(f"{len(tokens)} tokens, {len(states)} states, {len(plain)} bytes, {len(packed.getvalue())} packed")


main(sys.argv[1])
