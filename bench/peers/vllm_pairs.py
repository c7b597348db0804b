#!/usr/bin/env python3
"""The peer of `npm run bench -- loop`, first half: vLLM on the CPU samples, a function ranks, and the best and the worst response
of every prompt become a pair for trl_dpo.py. Prints one JSON line.

    python vllm_pairs.py MODEL ROWS.jsonl PAIRS.jsonl SAMPLES TOKENS DTYPE THREADS

The clock starts when the engine is up and has answered once; it stops when the pairs are written.
"""
import json, os, resource, sys, time

model_path, rows_path, pairs_path, samples, tokens, dtype, threads = sys.argv[1:8]
os.environ.update(HF_HUB_OFFLINE="1", VLLM_CPU_KVCACHE_SPACE="2", VLLM_LOGGING_LEVEL="ERROR", OMP_NUM_THREADS=threads)
from vllm import LLM, SamplingParams


def reward(text):
    """As bench/loop-reward.ts: the share of different words."""
    words = text.lower().split()
    return len(set(words)) / len(words) if words else 0


def main():
    engine = LLM(model_path, dtype=dtype, max_model_len=2048, max_num_seqs=64, seed=0)
    with open(rows_path) as lines:
        prompts = [json.loads(line)["prompt"] for line in lines]
    how = lambda new, count: SamplingParams(n=count, temperature=1.0, max_tokens=new)
    engine.chat(prompts[:2], how(2, 1), use_tqdm=False)
    begin = time.perf_counter()
    answers = engine.chat(prompts, how(int(tokens), int(samples)), use_tqdm=False)
    with open(pairs_path, "w") as file:
        for prompt, answer in zip(prompts, answers):
            texts = sorted((each.text for each in answer.outputs), key=reward)
            said = lambda text: [{"role": "assistant", "content": text}]
            file.write(json.dumps({"prompt": prompt, "chosen": said(texts[-1]), "rejected": said(texts[0])}) + "\n")
    seconds = time.perf_counter() - begin
    made = sum(len(each.token_ids) for answer in answers for each in answer.outputs)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024
    print(json.dumps({"tokens": made, "seconds": seconds, "peak_rss_mb": peak}))


if __name__ == "__main__":
    main()
