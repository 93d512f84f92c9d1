"""The stage `grpo` with `engine = "trl"`: one round of training by TRL's GRPOTrainer.

usage: trl_engine.py REQUEST.json   (under `python3`, or `accelerate launch`, or whatever `trl.launch` says)

`pipeline` writes the request: which prompts in which step, the learning rate of every step, the settings of the loss. What
happens here is told as JSON lines in the file that the request names; standard output and standard error are for people.
Completions are scored by `pipeline` itself: every rank asks a child process of its own, over its standard input and output.
Nothing that the model writes is ever run here.

What is ours and not TRL's: the order of the prompts, prompts as tokens, the learning rate, weight decay on all weights, the
advantages (`std-floor`; in TRL always 1e-4), and that a step without anything to learn leaves the weights alone (TRL's Adam
goes on by its momentum).
"""

import ctypes
import dataclasses
import difflib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
import traceback
import warnings

RANK = int(os.environ.get("RANK", "0"))
LEAST = (1, 16)
TESTED = "1.16.0"
# Methods of GRPOTrainer that are overridden below.
HOOKS = (
    "_tokenize_prompts",
    "_calculate_rewards",
    "_generate_and_score_completions",
    "_get_per_token_logps_and_entropies",
    "_compute_loss",
)
# The file in a checkpoint's folder that says that it is whole.
WHOLE = "whole"


class Failure(Exception):
    """Something that a person can mend. The codes are those that `pipeline` knows."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Events:
    """The lines that `pipeline` reads. Each is one write to a file opened for appending."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def say(self, event, **fields):
        line = json.dumps({"event": event, **fields}, allow_nan=True, separators=(",", ":")) + "\n"
        data = line.encode()
        while data:
            data = data[os.write(self.file, data) :]


def die_with_parent():
    """Asks the kernel to kill this process when its parent dies: launchers put ranks into sessions of their own, where a
    signal to the stage's process group does not reach them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Scorer:
    """`pipeline` as a child that says what completions are worth."""

    def __init__(self, words):
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, step, samples, completions):
        rows = [{"sample": sample, "tokens": tokens} for sample, tokens in zip(samples, completions, strict=True)]
        try:
            self.child.stdin.write(json.dumps({"step": step, "completions": rows}) + "\n")
            self.child.stdin.flush()
            reply = self.child.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            raise Failure("score", f"the scoring process ended with exit status {self.child.wait()}")
        return json.loads(reply)["rewards"]

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def advantages(rewards, group_size, scale, floor):
    """(r - mean) / (std + floor) in groups of neighbours, with the sample standard deviation; 0 where all rewards of a group
    are equal. Returns them and whether each group is live, once a rollout."""

    def deviation(values):
        return statistics.stdev(values) if len(values) > 1 else 0.0

    whole = deviation(rewards)
    values, live = [], []
    for start in range(0, len(rewards), group_size):
        group = rewards[start : start + group_size]
        lives = any(abs(reward - group[0]) > 1e-8 for reward in group)
        mean = sum(group) / len(group)
        divisor = {"group": deviation(group) + floor, "batch": whole + floor, "none": 1.0}[scale]
        values += [(reward - mean) / divisor if lives else 0.0 for reward in group]
        live += [lives] * len(group)
    return values, live


def versions():
    """Imports what is needed; returns the facts for the manifest."""
    try:
        import accelerate, datasets, torch, transformers, trl  # noqa: E401, F401
    except ImportError as error:
        raise Failure(
            "package",
            f"{sys.executable} cannot import what `engine = \"trl\"` needs ({error}): `{sys.executable} -m pip install "
            f"trl=={TESTED}`, or name another interpreter in `launch`",
        ) from error
    found = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in trl.__version__.split(".")[:2])
    missing = [name for name in HOOKS if not hasattr(trl.GRPOTrainer, name)]
    if found < LEAST or missing:
        why = f"has no GRPOTrainer.{missing[0]}" if missing and found >= LEAST else "is too old"
        raise Failure(
            "package",
            f"trl {trl.__version__} of {sys.executable} {why}: `{sys.executable} -m pip install trl=={TESTED}`",
        )
    modules = {"trl": trl, "torch": torch, "transformers": transformers, "accelerate": accelerate}
    facts = {f"{name}-version": module.__version__ for name, module in modules.items()}
    return {**facts, "python-version": platform.python_version()}


def configuration(request, torch, state):
    """Returns the GRPOConfig: what the stage's parameters say, what follows from the machine, what `trl.args` adds."""
    from trl import GRPOConfig

    args = dict(request["args"])
    known = {field.name for field in dataclasses.fields(GRPOConfig) if field.init}
    for name in args:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise Failure("argument", f"`args`: GRPOConfig has no argument `{name}`{hint}")
    ranks = state.num_processes
    whole = request["prompts_per_step"] * request["group_size"]
    if whole % ranks:
        raise Failure("argument", f"a step's {whole} completions cannot be shared evenly by {ranks} processes")
    share = whole // ranks
    at_once = args.pop("per_device_train_batch_size", None)
    if at_once is None:
        at_once = max(size for size in range(1, min(share, 8) + 1) if share % size == 0)
    elif not isinstance(at_once, int) or at_once < 1 or share % at_once:
        fitting = ", ".join(str(size) for size in range(1, share + 1) if share % size == 0)
        raise Failure(
            "argument",
            f"`args`: `per_device_train_batch_size = {at_once}` does not divide a process's {share} completions of a step "
            f"({whole} over {ranks}): take one of {fitting}",
        )
    on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available() or hasattr(torch, "npu"))
    settings = {
        "bf16": False,
        "fp16": False,
        "optim": "adamw_torch",
        "gradient_checkpointing": request["recompute"],
        "use_bias_correction_kl": False,
        "dataloader_pin_memory": not on_cpu,
        "disable_dropout": True,
        **args,
        **request["config"],
        "output_dir": request["checkpoints"],
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": share // at_once,
        "learning_rate": 1.0,
        "lr_scheduler_type": "constant",
        "max_steps": request["steps"] * request["inner_steps"],
        "seed": request["seed"],
        "shuffle_dataset": False,
        "use_cpu": on_cpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
    }
    settings.pop("model_init_kwargs", None)
    try:
        return GRPOConfig(**settings)
    except (TypeError, ValueError) as error:
        raise Failure("argument", f"GRPOConfig does not take these arguments: {error}") from error


def trainer_class(request, events, prompts, scorer):
    """Returns GRPOTrainer with what is ours."""
    import torch
    from accelerate.utils import gather_object
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    inner = request["inner_steps"]
    beta = request["config"]["beta"]
    low, high = 1.0 - request["config"]["epsilon"], 1.0 + request["config"]["epsilon_high"]
    loss_type = request["config"]["loss_type"]

    class Trainer(GRPOTrainer):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            self.add_callback(Steps(self))
            self.sums = None
            self.scored = None

        # Prompts are the numbers of rows of the prompts' file: their tokens are known.
        def _tokenize_prompts(self, rows):
            self.rows = [int(row) for row in rows]
            return [prompts[row]["tokens"] for row in self.rows], None, {}

        def _calculate_rewards(self, inputs, rows, completions, completion_ids):
            self.completions = completion_ids
            step = self.state.global_step // inner
            samples = [prompts[row]["sample"] for row in self.rows]
            rewards = scorer(step, samples, completion_ids)
            self.rewards = gather_object(rewards)
            whole = torch.tensor(self.rewards, dtype=torch.float32, device=self.accelerator.device)
            return whole.unsqueeze(1)

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            values, live = advantages(self.rewards, request["group_size"], request["scale"], request["std_floor"])
            begin = self.accelerator.process_index * len(inputs)
            mine = slice(begin, begin + len(inputs))
            device = self.accelerator.device
            output["advantages"] = torch.tensor(values[mine], dtype=torch.float32, device=device)
            output["live"] = torch.tensor(live[mine], dtype=torch.float32, device=device)
            output["place"] = torch.arange(len(inputs), device=device)
            # A sequence's part of the tokens of its group.
            lengths = gather_object([len(tokens) for tokens in self.completions])
            size = request["group_size"]
            groups = [sum(lengths[start : start + size]) / size for start in range(0, len(lengths), size)]
            parts = [groups[index // size] for index in range(*mine.indices(len(lengths)))]
            output["part"] = torch.tensor(parts, dtype=torch.float32, device=device)
            self.nothing = beta == 0.0 and not any(live)
            self.log_probs = [None] * len(inputs)
            return output

        def _get_per_token_logps_and_entropies(self, *arguments, **keywords):
            found = super()._get_per_token_logps_and_entropies(*arguments, **keywords)
            if keywords.get("compute_entropy"):
                self.scored = (found[0].detach(), found[1].detach())
            return found

        def _compute_loss(self, model, inputs):
            loss = super()._compute_loss(model, inputs)
            self.note(loss.detach(), inputs)
            return loss

        # Adds a micro-batch to what the update is told of. Tokens of groups without signal count only where a KL term
        # trains on them.
        def note(self, loss, inputs):
            log_probs, entropies = (scored.double() for scored in self.scored)
            mask = inputs["completion_mask"].double()
            old = inputs.get("old_per_token_logps")
            if self.state.global_step % inner == 0:
                lengths = inputs["completion_mask"].sum(1).tolist()
                for place, row, length in zip(inputs["place"].tolist(), log_probs.tolist(), lengths, strict=True):
                    self.log_probs[place] = [float(f"{value:.9g}") for value in row[: int(length)]]
            counted = mask if beta != 0.0 else mask * inputs["live"].double().unsqueeze(1)
            log_ratio = torch.zeros_like(log_probs) if old is None else log_probs - old.double()
            by_sequence = request["config"]["importance_sampling_level"] == "sequence"
            if by_sequence:
                log_ratio = ((log_ratio * mask).sum(1) / mask.sum(1).clamp(min=1.0)).unsqueeze(1)
            ratio = log_ratio.exp()
            gains, losses = (inputs["advantages"] > 0).unsqueeze(1), (inputs["advantages"] < 0).unsqueeze(1)
            nothing = torch.zeros_like(ratio)
            if loss_type in ("sapo", "vespo"):
                below, above = nothing, nothing
            elif loss_type == "cispo":
                below, above = nothing, ((ratio > request["config"]["epsilon_high"]) & gains).double()
            else:
                below, above = ((ratio < low) & losses).double(), ((ratio > high) & gains).double()
            divergence = torch.zeros_like(log_probs)
            if beta != 0.0:
                distance = inputs["ref_per_token_logps"].double() - log_probs
                divergence = distance.exp() - distance - 1.0
            clips = counted
            if by_sequence:
                # One flag a sequence; each group counts by its tokens.
                clips = (inputs["part"] * (inputs["live"] if beta == 0.0 else 1.0)).double().unsqueeze(1)
            parts = [counted, counted * divergence, counted * entropies, clips * below, clips * above]
            sums = torch.stack([loss.double(), *(part.sum() for part in parts)])
            self.sums = sums if self.sums is None else self.sums + sums

        # Called once an update, in all processes, with what the update was.
        def log(self, logs, start_time=None):
            super().log(logs, start_time)
            if "grad_norm" not in logs or self.sums is None:
                return
            sums = self.accelerator.reduce(self.sums, "sum").tolist()
            self.sums = None
            update = self.state.global_step
            told = None
            if (update - 1) % inner == 0:
                rows = zip(self.rows, self.completions, self.log_probs, strict=True)
                told = gather_object(
                    [{"row": row, "tokens": tokens, "log_probs": log_probs} for row, tokens, log_probs in rows]
                )
            if RANK == 0:
                tokens = max(sums[1], 1.0)
                names = ("kl", "entropy", "clip_low", "clip_high")
                means = {name: value / tokens for name, value in zip(names, sums[2:], strict=True)}
                events.say(
                    "update",
                    update=update,
                    loss=sums[0] / self.accelerator.num_processes,
                    tokens=sums[1],
                    grad_norm=float(logs["grad_norm"]),
                    lr=logs["learning_rate"],
                    **means,
                    **({} if told is None else {"rollouts": told}),
                )
            if not all(map(lambda value: value == value and abs(value) != float("inf"), (sums[0], logs["grad_norm"]))):
                raise Failure("number", f"optimiser step {update}: loss {sums[0]}, gradient norm {logs['grad_norm']}")

        def get_decay_parameter_names(self, model):
            return [name for name, _ in model.named_parameters()]

        def create_scheduler(self, num_training_steps, optimizer=None):
            if self.lr_scheduler is None:
                rates = request["rates"]
                rate = lambda update: rates[min(update // inner, len(rates) - 1)]  # noqa: E731
                self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
                self._created_lr_scheduler = True
            return self.lr_scheduler

        def create_model_card(self, *arguments, **keywords):
            pass

    class Steps(TrainerCallback):
        """Steps without signal, and checkpoints: the first at once, then as often as they cost little."""

        def __init__(self, trainer):
            self.trainer = trainer
            self.due = time.monotonic()
            self.began = None

        def on_pre_optimizer_step(self, args, state, control, **keywords):
            if self.trainer.nothing:
                for parameter in self.trainer.model.parameters():
                    parameter.grad = None

        def on_step_end(self, args, state, control, **keywords):
            whole = state.global_step % inner == 0 and state.global_step < state.max_steps
            due = [whole and time.monotonic() >= self.due]
            if self.trainer.accelerator.num_processes > 1:
                from accelerate.utils import broadcast_object_list

                due = broadcast_object_list(due)
            self.began = time.monotonic()
            control.should_save = bool(due[0])

        def on_save(self, args, state, control, **keywords):
            self.trainer.accelerator.wait_for_everyone()
            if RANK == 0:
                folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
                with open(os.path.join(folder, WHOLE), "w") as file:
                    file.write("yes\n")
            now = time.monotonic()
            self.due = now + max(request["checkpoint_seconds"], 20 * (now - self.began))

    return Trainer


def last_checkpoint(folder):
    """Returns the newest whole checkpoint and its update, or none and 0."""
    best = (0, None)
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            number = name.removeprefix("checkpoint-")
            path = os.path.join(folder, name)
            if number.isdigit() and os.path.exists(os.path.join(path, WHOLE)):
                best = max(best, (int(number), path))
    return best[1], best[0]


def load_model(path, request, torch):
    from transformers import AutoModelForCausalLM

    options = {"dtype": torch.float32, **(request["args"].get("model_init_kwargs") or {})}
    options["local_files_only"] = True
    try:
        return AutoModelForCausalLM.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if "out of memory" in str(error) or "allocate memory" in str(error):
            raise
        raise Failure("model", f"transformers cannot read it: {error}") from error


def adapter(request):
    """Returns the configuration of the low-rank adapter, if one is trained."""
    lora = request["lora"]
    if lora is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise Failure("package", f"`lora` needs PEFT ({error}): `{sys.executable} -m pip install peft`") from error
    return LoraConfig(
        r=lora["rank"], lora_alpha=lora["alpha"], target_modules=lora["targets"], lora_dropout=0.0, bias="none",
        task_type="CAUSAL_LM",
    )  # fmt: skip


def save(trainer, request, torch):
    """Leaves the trained model as a folder of safetensors, an adapter merged into it."""
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    folder, lora = request["output"], request["lora"]
    if lora is None:
        trainer.save_model(folder)
    else:
        trainer.save_model(folder + ".adapter")
        trainer.accelerator.wait_for_everyone()
        if RANK == 0:
            from peft import PeftModel

            model = PeftModel.from_pretrained(load_model(request["model"], request, torch), folder + ".adapter")
            model.merge_and_unload().save_pretrained(folder)
            # In an order of its own, and without the name of a folder that may move.
            path = os.path.join(folder + ".adapter", "adapter_config.json")
            with open(path) as file:
                settings = {**json.load(file), "base_model_name_or_path": None, "target_modules": lora["targets"]}
            with open(path, "w") as file:
                file.write(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    trainer.accelerator.wait_for_everyone()


def train(request, events):
    facts = versions()
    import torch
    from accelerate import PartialState
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, request["threads"] // local))
    with open(request["prompts"]) as file:
        prompts = [json.loads(line) for line in file]
    on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available() or hasattr(torch, "npu"))
    state = PartialState(cpu=True) if on_cpu else PartialState()
    config = configuration(request, torch, state)
    model = load_model(request["model"], request, torch)
    if request["reference"] is not None:
        model.config._name_or_path = request["reference"]  # From where TRL loads the reference policy.
    tokenizer = AutoTokenizer.from_pretrained(request["model"], padding_side="left", local_files_only=True)
    model.generation_config.eos_token_id = request["eos"]
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(request["eos"][0])
    scorer = Scorer(request["score"])

    def reward(prompts, completions, **rest):
        raise RuntimeError("completions are scored elsewhere")

    trainer = trainer_class(request, events, prompts, scorer)(
        model=model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": [str(row) for row in range(len(prompts))]}),
        processing_class=tokenizer,
        peft_config=adapter(request),
    )
    trainer.remove_callback(PrinterCallback)  # What it prints is in the table `metrics`.
    checkpoint, updates = last_checkpoint(request["checkpoints"])
    if RANK == 0:
        facts |= {"device": trainer.accelerator.device.type, "processes": trainer.accelerator.num_processes}
        events.say("begin", updates=updates, facts={name: str(value) for name, value in facts.items()})
    trainer.train(resume_from_checkpoint=checkpoint)
    save(trainer, request, torch)
    scorer.close()
    if RANK == 0:
        events.say("done")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def main(path):
    die_with_parent()
    with open(path) as file:
        request = json.load(file)
    events = Events(request["events"])
    try:
        train(request, events)
    except Failure as failure:
        events.say("error", code=failure.code, message=str(failure))
        return 1
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        memory = isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
        events.say("error", code="memory" if memory else "other", message=text[:2000])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
