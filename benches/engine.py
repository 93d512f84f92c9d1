#!/usr/bin/env python3
"""The training engine against its peers on workload W, alternating: SmolLM2-135M in f32, 8 prompts of about 300 tokens, groups of
8, exactly 64 new tokens, AdamW.

    python benches/engine/prepare_model.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out MODEL     # once: f32 weights for all
    python benches/engine/gguf_f32.py SmolLM2-135M-Instruct.Q4_1.gguf F32.gguf                    # once, for llama.cpp
    cargo build --release --example step
    python benches/engine.py step    --model MODEL [--rounds 3]    # against TRL's GRPOTrainer
    python benches/engine.py train   --model MODEL                 # against a hand-written PyTorch step with shared prefixes
    python benches/engine.py decode  --model MODEL --gguf F32.gguf # one sequence against llama.cpp, 64 against transformers
    python benches/engine.py scaling --model MODEL                 # ours alone: twice the work, larger groups, dead groups

Needs `pip install torch transformers trl datasets accelerate gguf xllamacpp`. Measure with nothing else running. Prints every
measurement as it comes and ends with one JSON line of medians."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PROMPTS = HERE / "engine" / "prompts.jsonl"


def last_line(command):
    """Runs a command; its last line of output, as JSON."""
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(options, *more):
    """The second step of ours: the first one touches its memory for the first time."""
    found = last_line([options.step, "--model", options.model, "--prompts", PROMPTS, "--rows", 1024, "--steps", 2, *more])
    found["step_seconds"] = found["generation_seconds"] + found["training_seconds"]
    return found


def python(options, script, *more):
    return last_line([sys.executable, HERE / "engine" / script, "--model", options.model, "--data", PROMPTS, *more])


def llama_cpp(options, tokens):
    """Tokens per second of llama.cpp's own server, one sequence, sampling from the whole distribution."""
    server = HERE.parent / "tests" / "fixtures" / "lm" / "llama_server.py"
    child = subprocess.Popen([sys.executable, server, options.gguf, "0", "1", "2"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = child.stdout.readline().strip()
        prompt = json.loads(PROMPTS.read_text().splitlines()[0])["prompt_text"]
        speeds = []
        for seed in range(3):
            body = {"prompt": prompt, "n_predict": tokens, "temperature": 1.0, "samplers": ["temperature"], "seed": seed, "cache_prompt": False, "ignore_eos": True}
            request = urllib.request.Request(address + "/completion", json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                speeds.append(json.load(answer)["timings"]["predicted_per_second"])
        return statistics.median(speeds)
    finally:
        child.kill()


def step(options):
    trl = python(options, "trl_grpo.py", "--group-size", 8, "--steps", 2, "--max-new-tokens", 64)
    mine = ours(options)
    # TRL's training does not count its optimiser; ours does.
    return {
        "trl_generation": trl["seconds_generation"], "trl_training": trl["seconds_train"] + trl["seconds_optimizer"], "trl_step": trl["seconds_per_step"], "trl_gb": trl["peak_rss_gb"] * 1.0737,
        "generation": mine["generation_seconds"], "training": mine["training_seconds"], "adamw": mine["adamw_seconds"], "step": mine["step_seconds"], "gb": mine["peak_memory_gb"],
        "mfu": mine["mfu"], "plain_product_gflops": mine["plain_product_gflops"], "log_prob_difference": mine["log_prob_difference"],
        "generation_ratio": trl["seconds_generation"] / mine["generation_seconds"],
        "training_ratio": (trl["seconds_train"] + trl["seconds_optimizer"]) / mine["training_seconds"],
        "step_ratio": trl["seconds_per_step"] / mine["step_seconds"],
    }


def train(options):
    torch = python(options, "bare_torch.py", "--shared-prefix")
    mine = ours(options)
    return {"torch_training": torch["seconds_train"], "torch_gb": torch["peak_rss_gb"] * 1.0737, "training": mine["training_seconds"], "ratio": torch["seconds_train"] / mine["training_seconds"]}


def decode(options):
    one = ours(options, "--groups", 1, "--group-size", 1, "--new-tokens", 128)["decoded_tokens_per_second"]
    llama = llama_cpp(options, 128)
    transformers = python(options, "gen_transformers.py")["decode_tok_s"]
    many = ours(options)["decoded_tokens_per_second"]
    return {"one_llama_cpp": llama, "one": one, "one_ratio": one / llama, "sixty_four_transformers": transformers, "sixty_four": many, "sixty_four_ratio": many / transformers}


def scaling(options):
    base = ours(options)
    twice = ours(options, "--groups", 16)
    wide = ours(options, "--groups", 4, "--group-size", 16)
    dead = ours(options, "--dead", 4)
    return {
        "step": base["step_seconds"], "twice_the_completions": twice["step_seconds"] / base["step_seconds"], "groups_of_16": wide["step_seconds"] / base["step_seconds"],
        "half_dead_training": dead["training_seconds"] / base["training_seconds"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"step": step, "train": train, "decode": decode, "scaling": scaling}
    parser.add_argument("what", choices=measures)
    parser.add_argument("--model", required=True)
    parser.add_argument("--gguf")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", default="target/release/examples/step")
    options = parser.parse_args()
    found = []
    for _ in range(options.rounds):
        found.append(measures[options.what](options))
        print(json.dumps({name: round(value, 3) for name, value in found[-1].items()}), flush=True)
    medians = {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}
    print(json.dumps({"kind": options.what, "rounds": options.rounds, **medians}))


if __name__ == "__main__":
    main()
