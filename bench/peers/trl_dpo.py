#!/usr/bin/env python3
"""The peer of `npm run bench -- dpo`: TRL's DPOTrainer on the same model, rows and settings. Prints one JSON line.

    python trl_dpo.py MODEL DATA STEPS BATCH DTYPE THREADS [--precompute] [--tuned]

Rows are used in file order. --precompute: the reference is scored once, before the first step. --tuned: glibc keeps freed
memory, TRL's fastest way on a CPU. pairs_per_s counts from the first step on, pairs_per_s_all from the trainer's
construction on (tokenising, and a precomputed reference, included).
"""
import json, os, resource, sys, tempfile, time

if "--tuned" in sys.argv and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    os.environ.update(MALLOC_MMAP_THRESHOLD_=str(1 << 32), MALLOC_TRIM_THRESHOLD_=str(1 << 36))
    os.execv(sys.executable, [sys.executable, *sys.argv])
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

model_path, data_path, steps, batch, dtype, threads = sys.argv[1:7]
steps, batch = int(steps), int(batch)
torch.set_num_threads(int(threads))


class InFileOrder(DPOTrainer):
    losses = []

    def _get_train_sampler(self, *arguments, **options):
        return SequentialSampler(self.train_dataset)

    def _compute_loss(self, model, inputs, return_outputs):
        result = super()._compute_loss(model, inputs, return_outputs)
        self.losses.append((result[0] if return_outputs else result).item())
        return result


class Clock(TrainerCallback):
    started = None

    def on_step_begin(self, *_, **__):
        self.started = self.started or time.perf_counter()


with open(data_path) as lines:
    rows = [json.loads(next(lines)) for _ in range(steps * batch)]
tokenizer = AutoTokenizer.from_pretrained(model_path)
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=getattr(torch, dtype))
clock = Clock()
with tempfile.TemporaryDirectory() as folder:
    config = DPOConfig(output_dir=folder, per_device_train_batch_size=batch, max_steps=steps, learning_rate=5e-7, beta=0.1,
                       lr_scheduler_type="constant", warmup_steps=0, max_grad_norm=1e9, weight_decay=0.0, logging_steps=1000,
                       save_strategy="no", report_to=[], use_cpu=True, bf16=False, precompute_ref_log_probs="--precompute" in sys.argv,
                       max_length=1024, gradient_checkpointing=False, disable_tqdm=True, seed=0)
    begin = time.perf_counter()
    trainer = InFileOrder(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[clock])
    trainer.train()
    end = time.perf_counter()
print(json.dumps({"losses": trainer.losses, "pairs_per_s": steps * batch / (end - clock.started), "pairs_per_s_all": steps * batch / (end - begin),
                  "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
