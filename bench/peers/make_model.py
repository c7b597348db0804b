#!/usr/bin/env python3
"""A random Llama with a word-level tokenizer, and pairs of random words, for measuring speed.

    python make_model.py 15m|110m|smollm2 FOLDER
    python make_model.py pairs FILE.jsonl COUNT
"""
import json, random, sys

VOCABULARY = 32_000
kind, target = sys.argv[1], sys.argv[2]
if kind == "pairs":
    random.seed(1)
    words = lambda: " ".join(f"w{random.randrange(VOCABULARY - 3)}" for _ in range(random.randint(64, 192)))
    with open(target, "w") as file:
        for _ in range(int(sys.argv[3])):
            file.write(json.dumps({"prompt": words(), "chosen": " " + words(), "rejected": " " + words()}) + "\n")
    sys.exit()
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SHAPES = {
    "15m": dict(hidden_size=288, intermediate_size=768, num_hidden_layers=6, num_attention_heads=6),
    # of SmolLM2-135M, in bf16 with its vocabulary of 49,152
    "smollm2": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3),
    "110m": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12),
}
torch.manual_seed(0)
ids = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i + 3 for i in range(VOCABULARY - 3)}
tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>").save_pretrained(target)
vocabulary = 49_152 if kind == "smollm2" else VOCABULARY
model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, tie_word_embeddings=True, max_position_embeddings=2048, **SHAPES[kind]))
(model.to(torch.bfloat16) if kind == "smollm2" else model).save_pretrained(target)
