#!/usr/bin/env python3
"""Time lm-evaluation-harness's log-likelihoods or answers on one task, after the model is loaded; print one JSON line.

    python lm_eval_tasks.py MODEL_FOLDER DATA_FOLDER TASK ITEMS DTYPE THREADS BATCH

The harness's own task description and loop (scripts/fixtures/benchmarks.py changes only where rows come from). Its clock runs while it
tokenises and scores requests; what it does before and after (seconds, whatever the number of items) is not counted.
"""
import json, os, pathlib, resource, sys, time

if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # glibc keeps freed memory: the faster configuration on the CPU
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 36), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
    os.execv(sys.executable, [sys.executable, *sys.argv])
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts/fixtures"))
import lm_eval, torch
from benchmarks import subjects, task_of
from lm_eval.models.huggingface import HFLM

folder, data, name, items, dtype, threads, batch = sys.argv[1:]
torch.set_num_threads(int(threads))
model = HFLM(pretrained=folder, dtype=dtype, device="cpu", batch_size=int(batch))
# MMLU has a task for each subject.
tasks = [task_of(name, data, subject) for subject in subjects(data)] if name == "mmlu" else [task_of(name, data)]
seconds, processor_seconds = 0.0, 0.0


def timed(ask):
    def asked(*args, **kwargs):
        global seconds, processor_seconds
        start, processor_start = time.perf_counter(), time.process_time()
        try:
            return ask(*args, **kwargs)
        finally:
            seconds += time.perf_counter() - start
            processor_seconds += time.process_time() - processor_start

    return asked


model.loglikelihood, model.generate_until = timed(model.loglikelihood), timed(model.generate_until)
found = lm_eval.simple_evaluate(model=model, tasks=tasks, limit=int(items), bootstrap_iters=0, log_samples=True)
first = next(s for s in found["samples"][tasks[0].task_name] if s["doc_id"] == 0)
print(json.dumps({"seconds": seconds, "processor_seconds": processor_seconds, "first": first["resps"][0][0] if isinstance(first["resps"][0][0], str) else [r[0][0] for r in first["resps"]], "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
