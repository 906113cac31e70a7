#!/usr/bin/env python3
"""Makes model.gguf.gz: a tiny language model for a real llama-server in the tests.

    python3 -m venv venv && venv/bin/pip install gguf numpy && venv/bin/python make_model.py model.gguf.gz

It is a state machine written down as a transformer. Every token says in which state it leaves the
text (its embedding is one number in that state's place), and in which states it may come next (its
row of the output matrix). So the text is made of readable words, while the server does all of its
work: loading, slots, caches, batching, sampling under a grammar, streaming. What the states do not
know, the grammar of the request decides: it strikes out every token that the schema does not allow
at that place.

Two things that no grammar can express are read from the text by attention, in the first layer: how
many rooms a dungeon has so far (head 0), so that they are numbered in order; and which type of place
the prompt asks for (head 1), so that the chance of an encounter fits it nine times out of ten. The
feed-forward part lets both through in the states that want to know them. The second layer adds
nothing.
"""

import gzip
import io
import os
import sys
import tempfile

import gguf
import numpy as np

from words import CREATURES, ENUMS, PROSE, READ, TITLES

KEYS_OF_TEXT = {
    "prose": ["description", "personality", "quirk", "secret", "summary"],
    "short": ["encounter", "loot", "target"],
    "title": ["title", "name", "race", "occupation"],
    "enum": ["type", "difficulty", "loot_tier", "location_type", "damage_dice"],
}
KEYS_OF_NUMBERS = ["level_min", "level_max", "xp_reward", "gold_reward", "count", "challenge_rating", "hp", "ac",
                   "attack_bonus"]
KEYS_OF_LISTS = ["objectives", "enemies", "rooms", "key_events", "open_threads", "special_abilities"]

LAYERS, HEADS, WIDTH, CONTEXT = 2, 2, 64, 16384
EPSILON = 1e-6
# Where the heads put what they read, and where the feed-forward part lets it through.
RAW, PASSED = WIDTH - 4, WIDTH - 2
# Per head: the state that asks, and the value of each state that answers.
READERS = [("room", {"start": 1, "room": 0}), ("chance", {"read_low": 1, "read_high": -1})]
# A chance of 0.11 to 0.14, or of 0.41 to 0.44, fits these.
LOW_CHANCE, HIGH_CHANCE = ["village", "shrine", "grove", "bridge"], ["ruin", "cave", "camp", "tower"]
NEVER, FALLBACK, LET_THROUGH, SHARPNESS, OBEDIENCE = -60.0, -25.0, 0.05, 1e4, 1.1

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
    token('"', "closed", **in_text, enum_end=0, title_end=1, place_end=6, prose_end=2, after=-4, after_spot=-4, spelling=-2)
    for leads_to, names in KEYS_OF_TEXT.items():
        for name in names:
            token(f'"{name}": "', leads_to, key=6)
    for name in KEYS_OF_NUMBERS:
        token(f'"{name}": ', "number", key=6)
    for name in KEYS_OF_LISTS:
        token(f'"{name}": [', "list", key=6)
    token("0.", "fraction", number=0)
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


def what_is_read():
    """Numbers that are decided by attention, and the words of prompts, which are never written."""
    token('"room_number": ', "room", key=6)
    # With what follows them: 1 must not become 10 by another digit.
    for room in range(1, 11):
        token(f"{room}}}", "closed")
        token(f"{room}, ", "key")
    token('"encounter_chance": ', "chance", key=6)
    for digit in "1234":
        token("0.1" + digit, "digit")
        token("0.4" + digit, "digit")
    for kind in LOW_CHANCE:
        token(f"type {kind};", "read_low")
    for kind in HIGH_CHANCE:
        token(f"type {kind};", "read_high")
    for word in READ:
        if word not in tokens:
            token(word, "read")


def attention():
    """The first layer. A head compares in its last place, which rope with its huge base leaves alone.
    Whoever asks nothing sees an average of everything, which the feed-forward part does not let pass."""
    root = np.sqrt(WIDTH)
    q, k, v, out, gate, up, down = (np.zeros((WIDTH, WIDTH), dtype=np.float32) for _ in range(7))
    for head, (asks, answers) in enumerate(READERS):
        place = (head + 1) * WIDTH // HEADS - 1
        q[place, states[asks]] = 16 / root
        for name, value in answers.items():
            k[place, states[name]] = 16 / root
            v[place, states[name]] = value / root
        out[RAW + head, place] = 1
        gate[head, states[asks]] = 1
        up[head, RAW + head] = 1
        down[PASSED + head, head] = LET_THROUGH
    return {"attn_q": q, "attn_k": k, "attn_v": v, "attn_output": out, "ffn_gate": gate, "ffn_up": up, "ffn_down": down}


def norm(vector):
    return vector / np.sqrt(np.mean(vector * vector) + EPSILON)


def after_reading(head, value):
    """What the output matrix meets where a head has read this value."""
    place = states[READERS[head][0]]
    vector = np.zeros(WIDTH)
    vector[place], vector[RAW + head] = 1, value
    inner = norm(vector)
    vector[PASSED + head] = inner[place] / (1 + np.exp(-inner[place])) * inner[RAW + head] * LET_THROUGH
    return norm(vector)


def output_matrix():
    embedding = np.zeros((len(tokens) + 4, WIDTH), dtype=np.float32)
    output = np.zeros((len(tokens) + 4, WIDTH), dtype=np.float32)
    output[:, :len(states)] = NEVER
    for number, (text, (leads_to, where)) in enumerate(tokens.items(), start=4):
        embedding[number, states[leads_to]] = 1
        if len(text) == 1:
            output[number, :len(states)] = FALLBACK
        for name, weight in where.items():
            output[number, states[name]] = weight
    output[END, states["closed"]] = 0
    embedding[BEGIN, states["start"]] = 1
    embedding[[PAD, END, UNKNOWN], states["read"]] = 1
    # rms_norm makes the state's number as large as the root of the width.
    output /= np.sqrt(WIDTH)
    write_what_was_read(output)
    return embedding, output


def write_what_was_read(output):
    row = {text: number for number, text in enumerate(tokens, start=4)}
    # Of n rooms so far each is seen as much as the beginning, so that 1 / (n + 1) is read. The number is
    # written whose reading lies in the direction of what was read.
    seen = [after_reading(0, 1 / (n + 1)) for n in range(1, 11)]
    for n, vector in enumerate(seen, start=1):
        direction = vector[[states["room"], PASSED]]
        for text in (f"{n}}}", f"{n}, "):
            output[row[text], [states["room"], PASSED]] = SHARPNESS * direction / np.linalg.norm(direction)
    for n, vector in enumerate(seen, start=1):
        scores = [output[row[f"{m}, "]] @ vector for m in range(1, 11)]
        assert np.argmax(scores) == n - 1 and np.sort(scores)[-1] - np.sort(scores)[-2] > 8, (n, scores)
    lean = OBEDIENCE / after_reading(1, 1)[PASSED + 1]
    for digit in "1234":
        for text, sign in [("0.1" + digit, 1), ("0.4" + digit, -1)]:
            output[row[text], [states["chance"], PASSED + 1]] = 0, sign * lean


PAD, END, UNKNOWN, BEGIN = range(4)
# A rejected answer that is shown to the model again must not count as one that it is writing.
TEMPLATE = ("{% for message in messages %}{{ message['role'] + ': ' }}{% if message['role'] == 'assistant' %}"
            "{{ message['content'] | replace('\"', '') }}{% else %}{{ message['content'] }}{% endif %}{{ '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}<|answer|>{% endif %}")


def write(path):
    embedding, output = output_matrix()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("words")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(1e30)
    writer.add_vocab_size(len(embedding))
    write_vocabulary(writer)
    # Full precision: the numbers of the rooms are told apart by small differences.
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    for layer in range(LAYERS):
        for name, matrix in attention().items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix if layer == 0 else np.zeros_like(matrix))
        for name in ["attn_norm", "ffn_norm"]:
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, dtype=np.float32))
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
    writer.add_token_scores([0.0] * 4 + [-1.0 if len(text) > 1 else -1.2 for text in tokens])
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
    what_is_read()
    characters()
    assert len(states) <= RAW
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
