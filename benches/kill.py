#!/usr/bin/env python3
"""Kills `pipeline run` with SIGKILL at random moments, then checks that nothing is left behind and nothing is lost.

usage: kill.py --pipeline target/release/pipeline FILE.toml [--kills 50] [--least 0.1] [--most 8.0] [--seed 1] [--jobs 2]

An undisturbed run fills one store. A second store is filled by runs that are killed after a random time each; after every kill
no process of the run may be alive (2 seconds' grace). After the last kill a plain run must complete. Then the objects of
both stores must be the same, bit for bit. A run that ends before its moment comes gives way to one on an empty store, so choose
`--most` so that the kills together live as long as a whole run. The last line is one JSON object; `killed_in` counts the kinds of
the stages that were running.
"""
import argparse, collections, hashlib, json, os, pathlib, random, shutil, signal, subprocess, sys, tempfile, time


def processes(mark):
    """Pids of live processes whose command line or environment names `mark`, but for this script."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if mark.encode() in text and state != "Z":
            found.append(int(folder.name))
    return found


def objects(store):
    found = {}
    for file in (store / "objects").rglob("*"):
        if file.is_file():
            found[str(file.relative_to(store / "objects"))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def running(store):
    """The kinds of the stages that the newest run had begun and not ended."""
    journals = sorted((store / "runs").glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime)
    kinds = {}
    for line in journals[-1].read_text().splitlines() if journals else []:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # Cut short by the kill.
        if event["event"] == "stage-started":
            kinds[event["stage"]] = event["kind"]
        elif event["event"] == "stage-ended":
            kinds.pop(event["report"]["id"], None)
    return sorted(set(kinds.values())) or ["between stages"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--least", type=float, default=0.1)
    parser.add_argument("--most", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", default="2")
    arguments = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="pipeline-kill-"))
    draw = random.Random(arguments.seed)

    def command(store):
        return [arguments.pipeline, "run", arguments.file, "--json", "--quiet", "--jobs", arguments.jobs, "--store", str(store)]

    def complete(store):
        began = time.time()
        done = subprocess.run(command(store), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"a plain run failed with {done.returncode}:\n{done.stderr.decode()}")
        return json.loads(done.stdout), time.time() - began

    plain, plain_seconds = complete(root / "undisturbed")
    print(f"undisturbed: {plain['executed']} executed in {plain_seconds:.1f} s", flush=True)

    store, orphans, killed, ended, where = root / "killed", 0, 0, 0, collections.Counter()
    while killed < arguments.kills:
        child = subprocess.Popen(command(store), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(draw.uniform(arguments.least, arguments.most))
            ended += 1  # It was done before the moment came: begin again with an empty store.
            shutil.rmtree(store)
            continue
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        killed += 1
        where.update(running(store))
        deadline = time.time() + 2
        while (left := processes(str(store))) and time.time() < deadline:
            time.sleep(0.02)
        if left:
            orphans += len(left)
            print(f"kill {killed}: processes left: {left}", flush=True)
    last, _ = complete(store)
    again, _ = complete(store)
    same = objects(root / "undisturbed") == objects(store)
    report = dict(file=arguments.file, kills=killed, killed_in=dict(where.most_common()), completed_between=ended, orphans=orphans, executed_last=last["executed"],
                  executed_again=again["executed"], objects=len(objects(store)), objects_equal=same)
    print(json.dumps(report))
    shutil.rmtree(root)
    sys.exit(0 if same and orphans == 0 and again["executed"] == 0 else 1)


main()
