"""The peers of bench/gpu, with transformers and PEFT: `peers.py dpo|generate WORK`, WORK as main.ts says it.

dpo: a step of SELM's loss with LoRA (rank 16, alpha 32, all linear layers) on the same shape and numbers of tokens: sequences of prompt and
continuation, three for each pair (chosen, rejected, the policy's response), since nothing here shares a prompt; reference log-probabilities
are constants, as ours are computed before; logits of continuations only, AdamW, no clipping. The best of gradient checkpointing on and off
and of 4 and 8 pairs at once. The same: weights in bf16 at random, scaled dot product attention, factors in bf16.
generate: `generate` with sampling at 64 and 256 prompts at once, sdpa and its default cache; a run of one token is taken off, as ours does.
Every result is printed as it is found, the best so far, so that a limit of time loses only the rest.
"""
import contextlib
import json
import sys
import time

import torch
import transformers

task, work = sys.argv[1], json.loads(sys.argv[2])
device = work["device"]
tiny = work["size"] == "tiny"
vocabulary = work["config"]["vocab_size"]


def report(**result):
    print("RESULT " + json.dumps(result), flush=True)


def wait():
    if device != "cpu":
        torch.cuda.synchronize()


def random_model():
    config = transformers.LlamaConfig(**{k: v for k, v in work["config"].items() if k != "model_type"})
    torch.manual_seed(1)
    with torch.device(device):
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")


def dpo():
    import peft

    base = random_model()
    lora = peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = peft.get_peft_model(base, lora, autocast_adapter_dtype=False).train()
    base.enable_input_require_grads()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-7, fused=device != "cpu")
    prompt, answer, pairs = work["promptTokens"], work["responseTokens"], work["pairs"]

    def log_probs(ids):
        logits = model(input_ids=ids, logits_to_keep=answer + 1).logits[:, :-1]
        scored = ids[:, prompt:]
        return torch.gather(logits.float().log_softmax(-1), 2, scored[..., None])[..., 0].sum(1)

    def step(together):
        for first in range(0, pairs, together):
            count = min(together, pairs - first)
            ids = torch.randint(vocabulary, (3 * count, prompt + answer), device=device)
            ids[count : 2 * count, :prompt] = ids[:count, :prompt]
            ids[2 * count :, :prompt] = ids[:count, :prompt]
            chosen, rejected, response = log_probs(ids).chunk(3)
            reference = [each.detach() for each in (chosen, rejected, response)]
            margin = (chosen - reference[0]) - (rejected - reference[1])
            loss = -torch.nn.functional.logsigmoid(0.1 * margin) + 0.001 * 0.1 * (response - reference[2])
            (loss.sum() / pairs).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    best = None
    tried = []
    for checkpointing, together in [(False, 4), (True, 8), (True, 4), (False, 8)]:
        name = f"checkpointing {'on' if checkpointing else 'off'}, {together} pairs at once"
        try:
            if checkpointing:
                base.gradient_checkpointing_enable({"use_reentrant": False})
            else:
                base.gradient_checkpointing_disable()
            step(together)
            wait()
            started = time.perf_counter()
            for _ in range(work["steps"] if tiny else 2):
                step(together)
            wait()
            seconds = (time.perf_counter() - started) / (work["steps"] if tiny else 2)
            tried.append(f"{name}: {seconds:.2f} s")
            if best is None or seconds < best[0]:
                best = (seconds, name)
        except torch.OutOfMemoryError:
            tried.append(f"{name}: out of memory")
            optimiser.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
        if best is None:
            report(failed="; ".join(tried))
        else:
            report(secondsPerStep=best[0], pairsPerSecond=pairs / best[0], best=best[1], tried="; ".join(tried),
                   transformers=transformers.__version__, peft=peft.__version__)


def generate():
    model = random_model().eval()
    length, new = work["promptTokens"], work["newTokens"]
    found = {"transformers": transformers.__version__}

    def run(batch, count):
        ids = torch.randint(vocabulary, (batch, length), device=device)
        wait()
        started = time.perf_counter()
        with torch.no_grad():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count,
                           do_sample=True, top_k=0, pad_token_id=0, eos_token_id=None)
        wait()
        return time.perf_counter() - started

    for batch in (64, 256):
        with contextlib.suppress(torch.OutOfMemoryError):
            run(batch, 2)
            short = run(batch, 1)
            seconds = max(1e-9, run(batch, new) - short)
            found[f"tokensPerSecond at {batch}"] = batch * (new - 1) / seconds
            report(**found)


{"dpo": dpo, "generate": generate}[task]()
