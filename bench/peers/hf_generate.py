#!/usr/bin/env python3
"""The peer of `npm run bench -- sample`: transformers' generate() on the same prompts. Prints one JSON line.

    python hf_generate.py MODEL PROMPTS.jsonl TOKENS SAMPLES BATCH DTYPE THREADS

Prompts are sorted by length before they are batched, which pads least; glibc keeps freed memory: both are its fastest way on
a CPU. Every response has exactly TOKENS tokens. The clock starts when the model is loaded and has answered once.
"""
import json, os, resource, sys, time

if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    os.environ.update(MALLOC_MMAP_THRESHOLD_=str(1 << 32), MALLOC_TRIM_THRESHOLD_=str(1 << 36))
    os.execv(sys.executable, [sys.executable, *sys.argv])
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from transformers import AutoModelForCausalLM

model_path, prompts_path, tokens, samples, batch, dtype, threads = sys.argv[1:8]
tokens, samples, batch = int(tokens), int(samples), int(batch)
torch.set_num_threads(int(threads))
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=getattr(torch, dtype)).eval()
with open(prompts_path) as lines:
    prompts = sorted((json.loads(line)["ids"] for line in lines), key=len)


def answer(part, new):
    longest = max(map(len, part))
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in part])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in part])
    model.generate(ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=True, top_k=0, num_return_sequences=samples,
                   pad_token_id=0)


with torch.inference_mode():
    answer(prompts[:2], 2)
    begin, worked = time.perf_counter(), time.process_time()
    size = max(1, batch // samples)
    for first in range(0, len(prompts), size):
        answer(prompts[first : first + size], tokens)
    seconds, processor = time.perf_counter() - begin, time.process_time() - worked
made = len(prompts) * samples * tokens
print(json.dumps({"tokens": made, "tokens_per_s": made / seconds, "processor_s": processor,
                  "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
