#!/usr/bin/env python3
"""GGUF -> fp32 safetensors dir (dequantised), so that every peer loads the very same weights."""
import argparse, os, torch, json
from transformers import AutoModelForCausalLM, AutoTokenizer
ap = argparse.ArgumentParser()
ap.add_argument("--gguf", default="SmolLM2-135M-Instruct.Q4_1.gguf")
ap.add_argument("--out", default="model")
a = ap.parse_args()
d, f = os.path.split(os.path.abspath(a.gguf))
tok = AutoTokenizer.from_pretrained(d, gguf_file=f)
m = AutoModelForCausalLM.from_pretrained(d, gguf_file=f, dtype=torch.float32)
print("params", sum(p.numel() for p in m.parameters()), "tied", m.config.tie_word_embeddings)
print("template", (tok.chat_template or "")[:400]); print("eos", tok.eos_token, tok.pad_token)
if tok.pad_token is None: tok.pad_token = tok.eos_token
sd = {k: v.float() for k, v in m.state_dict().items()}
print({str(v.dtype) for v in m.state_dict().values()}, len(sd))
c = m.config
if hasattr(c, "quantization_config"): del c.quantization_config
c.dtype = "float32"
m = AutoModelForCausalLM.from_config(c, dtype=torch.float32); print(m.load_state_dict(sd, strict=False)); m.tie_weights()
m.save_pretrained(a.out); tok.save_pretrained(a.out)
x = tok("The capital of France is", return_tensors="pt")
print(tok.decode(m.generate(**x, max_new_tokens=12, do_sample=False)[0]))
