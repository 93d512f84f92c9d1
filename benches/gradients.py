#!/usr/bin/env python3
"""Compares the gradients that `--example gradients` wrote with PyTorch's, every completion with its own copy of the prompt.

    gradients.py MODEL-FOLDER OUT.safetensors

Needs torch, transformers and safetensors. Ends with one JSON line: the cosine over all parameters together and the smallest
one of a parameter, and the largest difference relative to its parameter's largest gradient."""
import json
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

folder, file = sys.argv[1:3]
ours = load_file(file)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
# Transformers drops the gradient of the padding token's input embedding, though here it is the end of a turn and occurs.
model.get_input_embeddings().padding_idx = None
prompt, completions = ours.pop("prompt").long(), ours.pop("completions").long()
slopes = ours.pop("slopes")
loss = 0.0
for completion, slope in zip(completions, slopes):
    logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
    part = slope * torch.log_softmax(logits, -1).gather(-1, completion[:, None]).sum()
    part.backward()
    loss += part.item()
named = dict(model.named_parameters())
assert set(named) == set(ours), set(named) ^ set(ours)
dot = a2 = b2 = 0.0
lowest, worst = (1.0, ""), (0.0, "")
for name, mine in ours.items():
    a, b = mine.double().flatten(), named[name].grad.double().flatten()
    x, y, z = (a @ b).item(), (a @ a).item(), (b @ b).item()
    dot, a2, b2 = dot + x, a2 + y, b2 + z
    lowest = min(lowest, (x / (y * z) ** 0.5, name))
    worst = max(worst, (((a - b).abs().max() / b.abs().max()).item(), name))
print(json.dumps({
    "kind": "gradients", "loss": loss, "cosine": dot / (a2 * b2) ** 0.5, "lowest_cosine": lowest[0], "lowest_at": lowest[1],
    "largest_relative_difference": worst[0], "largest_at": worst[1],
}))
