#!/usr/bin/env python3
"""Times `pipeline` and ninja on the same layered workload, alternating, in one session.

usage: orchestrator.py --pipeline target/release/pipeline [--ninja ninja] [--stages 500] [--rounds 5] [--folder DIR]

Workload: N stages, width 10. Stage s{L}_{i} reads one small file (the output of s{L-1}_{i}, or data/src_{i}.txt), appends its
parameter (the text before '#'), writes one small file, and appends its name to runs.log, so `executed` counts what really ran.
Scenarios: cold | again (nothing changed) | middle (one parameter of the middle layer) | back (toggled back) | same (a parameter
changes, the output's bytes do not) | restore (published outputs deleted). Two jobs each. The last line is one JSON object.
"""
import argparse, json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

WIDTH = 10
STAGE = '#!/bin/sh\n{ cat "$1"; echo "${3%%#*}"; } > "$2"\necho "$4" >> "$RUNLOG"\n'


def stages(count):
    for number in range(count):
        layer, lane = divmod(number, WIDTH)
        yield layer, lane, f"s{layer}_{lane}"


def write_inputs(folder):
    (folder / "data").mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "stage.sh").write_text(STAGE)
    (folder / "runs.log").write_text("")
    for lane in range(WIDTH):
        (folder / f"data/src_{lane}.txt").write_text(f"source {lane}\n")


def write_ninja(folder, params):
    lines = ["rule r", "  command = $cmd", "  restat = 1"]
    for layer, lane, name in stages(len(params)):
        source = f"data/src_{lane}.txt" if layer == 0 else f"out/s{layer - 1}_{lane}.txt"
        lines += [f"build out/{name}.txt: r {source}",
                  f"  cmd = sh stage.sh {source} out/{name}.txt '{params[name]}' {name}"]
    (folder / "build.ninja").write_text("\n".join(lines) + "\n")


def write_pipeline(folder, params):
    lines = ["schema = 1", "[pipeline]", 'name = "bench"']
    for layer, lane, name in stages(len(params)):
        lines += [f"[stages.{name}]", 'uses = "command"']
        if layer == 0:
            lines += [f'files = ["stage.sh", "data/src_{lane}.txt"]']
            source = "{files.1}"
        else:
            lines += ['files = ["stage.sh"]', f'needs = {{ previous = "s{layer - 1}_{lane}.out" }}']
            source = "{inputs.previous}"
        lines += [f'command = ["sh", "{{files.0}}", "{source}", "{{outputs.out}}", "{{params.p}}", "{name}"]',
                  f"with = {{ p = {json.dumps(params[name])} }}", 'outputs = { out = "file" }',
                  f'publish = {{ out = "out/{name}.txt" }}', 'env = ["PATH", "RUNLOG"]']
    (folder / "pipeline.toml").write_text("\n".join(lines) + "\n")


def timed(command, folder):
    environment = dict(os.environ, RUNLOG=str(folder / "runs.log"), NO_COLOR="1")
    before = sum(1 for _ in open(folder / "runs.log"))
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if child.returncode != 0:
        sys.exit(f"{command} failed with {child.returncode}: {output.decode(errors='replace')[-2000:]}")
    inside = None
    if "--json" in command:
        inside = json.loads(output)["seconds"]
    executed = sum(1 for _ in open(folder / "runs.log")) - before
    return dict(seconds=seconds, inside=inside, executed=executed, rss_mib=usage.ru_maxrss / 1024)


def scenarios(tool, write, command, count, folder):
    shutil.rmtree(folder, ignore_errors=True)
    write_inputs(folder)
    params = {name: f"v_{name}" for _, _, name in stages(count)}
    middle = f"s{count // WIDTH // 2}_5"
    write(folder, params)
    records = {"cold": timed(command, folder)}
    records["again"] = min((timed(command, folder) for _ in range(5)), key=lambda record: record["seconds"])
    for scenario, value in [("middle", "changed"), ("back", f"v_{middle}"), ("same", f"v_{middle}#x"), ("same back", f"v_{middle}")]:
        params[middle] = value
        write(folder, params)
        records[scenario] = timed(command, folder)
    for file in (folder / "out").iterdir():
        file.unlink()
    records["restore"] = timed(command, folder)
    missing = count - sum(1 for _ in (folder / "out").iterdir())
    assert missing == 0, f"{tool}: {missing} outputs were not restored"
    return records


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--ninja", default="ninja")
    parser.add_argument("--stages", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default=None)
    arguments = parser.parse_args()
    root = pathlib.Path(arguments.folder or tempfile.mkdtemp(prefix="orchestrator-"))
    tools = {
        "ninja": (write_ninja, [arguments.ninja, "-j2", "--quiet"]),
        "pipeline": (write_pipeline, [os.path.abspath(arguments.pipeline), "run", "pipeline.toml", "--jobs", "2", "--json", "--quiet"]),
    }
    runs = {tool: [] for tool in tools}
    for _ in range(arguments.rounds):
        for tool, (write, command) in tools.items():
            runs[tool].append(scenarios(tool, write, command, arguments.stages, root / tool))
    summary = {}
    print(f"{'scenario':12}" + "".join(f"{tool:>36}" for tool in tools))
    for scenario in runs["ninja"][0]:
        row = f"{scenario:12}"
        for tool in tools:
            records = [run[scenario] for run in runs[tool]]
            seconds = statistics.median(record["seconds"] for record in records)
            entry = dict(seconds=round(seconds, 4), executed=records[0]["executed"], rss_mib=round(max(r["rss_mib"] for r in records), 1))
            if records[0]["inside"] is not None:
                entry["inside"] = round(statistics.median(record["inside"] for record in records), 4)
            summary.setdefault(scenario, {})[tool] = entry
            inside = f" inside {entry['inside'] * 1000:.1f} ms" if "inside" in entry else ""
            row += f"{seconds * 1000:14.1f} ms ({entry['executed']:3d}){inside:>16}"
        print(row)
    ratio = summary["cold"]["pipeline"]["seconds"] / summary["cold"]["ninja"]["seconds"]
    print(json.dumps(dict(stages=arguments.stages, rounds=arguments.rounds, cold_ratio=round(ratio, 3), scenarios=summary)))
    if arguments.folder is None:
        shutil.rmtree(root)


main()
