"""Writes the model that runs on this machine without any provider.

It is a real GGUF file for llama.cpp, small enough to be made in a second: its
weights are not trained but written down, so that every token leads to the next
one of a few fixed sentences. It knows nothing and says so. What it is for: the
whole way from a runtime to a model can be tried and tested with no key, no
network and no cost.

    make_model.py OUT.gguf
"""

import re
import sys

import gguf
import numpy as np

from words import COMMON, REPLIES

CONTEXT = 65_536
HEAD = 32
# How much likelier the wanted next token is than any other, in logits.
CERTAINTY = 30.0
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def escaped(raw: bytes, variant: int = 0) -> str:
    """A token's text as the vocabulary wants it: printable, the rest as \\xNN.

    Each variant (up to 2 to the length) spells the same bytes in another way.
    """
    return "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in "\\'\"" and not variant >> at & 1 else f"\\x{b:02x}"
        for at, b in enumerate(raw)
    )


class Vocabulary:
    """Tokens in order, with the kind that llama.cpp gives to each."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.kinds: list[int] = []

    def add_bytes(self, raw: bytes) -> int:
        """Adds a token whose bytes other tokens may have too: no two texts may be the same."""
        spellings = (escaped(raw, variant) for variant in range(2 ** len(raw)))
        return self.add(next(text for text in spellings if text not in self.tokens))

    def add(self, text: str, kind: gguf.TokenType = gguf.TokenType.NORMAL) -> int:
        self.tokens.append(text)
        self.kinds.append(int(kind))
        return len(self.tokens) - 1


def vocabulary() -> tuple[Vocabulary, int, list[list[int]]]:
    """All tokens, the one that ends an answer, and each answer as a row of tokens."""
    words = Vocabulary()
    words.add("<|none|>", gguf.TokenType.CONTROL)
    for byte in range(256):
        words.add(escaped(bytes([byte])))
    # Common words make a prompt a third as long as its bytes.
    for word in COMMON:
        words.add_bytes(word.encode())
        words.add_bytes(b" " + word.encode())
    words.add("<|im_start|>", gguf.TokenType.CONTROL)
    end = words.add("<|im_end|>", gguf.TokenType.CONTROL)
    # Two words are a token, and each place in an answer has its own, even where words repeat.
    rows = []
    for reply in REPLIES:
        parts = re.findall(r" ?\S+(?: \S+)?", reply)
        rows.append([words.add_bytes(part.encode()) for part in parts])
    return words, end, rows


def write(path: str) -> None:
    words, end, rows = vocabulary()
    count = len(words.tokens)
    # One dimension for "an answer begins here" and one for every token of an answer.
    states = 1 + sum(len(row) for row in rows)
    width = -(-states // HEAD) * HEAD
    state = np.zeros(count, dtype=np.int64)
    following: dict[int, list[int]] = {0: [row[0] for row in rows]}
    place = 1
    for row in rows:
        for at, token in enumerate(row):
            state[token] = place
            following[place] = [row[at + 1] if at + 1 < len(row) else end]
            place += 1

    embedding = np.zeros((count, width), dtype=np.float32)
    embedding[np.arange(count), state] = 1.0
    # The norm before the output makes a one-hot row sqrt(width) high.
    output = np.zeros((count, width), dtype=np.float32)
    for place, tokens in following.items():
        for token in tokens:
            output[token, place] = CERTAINTY / np.sqrt(width)

    out = gguf.GGUFWriter(path, "llama")
    out.add_name("ClawLoops local model")
    out.add_description("Fixed sentences for trying things out; not trained")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(width)
    out.add_block_count(1)
    out.add_feed_forward_length(HEAD)
    out.add_head_count(width // HEAD)
    out.add_head_count_kv(1)
    out.add_rope_dimension_count(HEAD)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_vocab_size(count)
    out.add_tokenizer_model("rwkv")
    out.add_token_list(words.tokens)
    out.add_token_types(words.kinds)
    out.add_eos_token_id(end)
    out.add_bos_token_id(0)
    out.add_pad_token_id(0)
    out.add_add_bos_token(False)
    out.add_chat_template(CHAT_TEMPLATE)

    def tensor(name: str, values: np.ndarray) -> None:
        out.add_tensor(name, values.astype(np.float32))

    tensor("token_embd.weight", embedding)
    tensor("output.weight", output)
    tensor("output_norm.weight", np.ones(width))
    # One block that adds nothing: attention and feed-forward end in zeros.
    tensor("blk.0.attn_norm.weight", np.ones(width))
    tensor("blk.0.attn_q.weight", np.zeros((width, width)))
    tensor("blk.0.attn_k.weight", np.zeros((HEAD, width)))
    tensor("blk.0.attn_v.weight", np.zeros((HEAD, width)))
    tensor("blk.0.attn_output.weight", np.zeros((width, width)))
    tensor("blk.0.ffn_norm.weight", np.ones(width))
    tensor("blk.0.ffn_gate.weight", np.zeros((HEAD, width)))
    tensor("blk.0.ffn_up.weight", np.zeros((HEAD, width)))
    tensor("blk.0.ffn_down.weight", np.zeros((width, HEAD)))

    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
