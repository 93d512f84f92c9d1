#!/usr/bin/env python3
"""Runs benches/trl_curves.toml (GRPO by the native engine and by TRL, three seeds each) and draws the mean rewards and losses.

usage: trl_curves.py --pipeline target/release/pipeline [--store DIR] [--svg docs/trl-curves.svg]

`python3` on the PATH must have `pip install trl==1.16.0`; drawing needs `pip install matplotlib pyarrow`. Prints the figures of
docs/BENCHMARKS.md.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FILE = HERE / "trl_curves.toml"
SEEDS = (1, 2, 3)
ENGINES = ("native", "trl")
COLOURS = {"native": "#1f77b4", "trl": "#d95f02"}
WINDOW = 10


def smooth(values):
    """The mean over the last WINDOW steps."""
    return [statistics.fmean(values[max(0, step - WINDOW + 1) : step + 1]) for step in range(len(values))]


def band(curves):
    """Mean and standard deviation over the seeds, step by step."""
    steps = list(zip(*curves, strict=True))
    return [statistics.fmean(step) for step in steps], [statistics.stdev(step) for step in steps]


def read(pipeline, store, engine, seed):
    import pyarrow.parquet

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "metrics.parquet"
        words = [pipeline, *store, "export", FILE, f"train.metrics @ engine={engine} round={seed}", path]
        subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
        return pyarrow.parquet.read_table(path).to_pydict()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", default="target/release/pipeline")
    parser.add_argument("--store", help="the store's folder")
    parser.add_argument("--svg", default=str(HERE.parent / "docs" / "trl-curves.svg"))
    arguments = parser.parse_args()
    store = ["--store", arguments.store] if arguments.store else []
    words = [arguments.pipeline, *store, "run", str(FILE), "-j", "1", "--json"]
    report = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    tables = {engine: [read(arguments.pipeline, store, engine, seed) for seed in SEEDS] for engine in ENGINES}

    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plot

    plot.rcParams.update({"svg.hashsalt": "trl-curves", "font.size": 9})
    figure, axes = plot.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    bands = {}
    columns = [("reward_mean", "mean reward"), ("entropy", "entropy, nats a token"), ("loss", "loss")]
    for axis, (column, title) in zip(axes, columns, strict=True):
        for engine in ENGINES:
            curves = [smooth(table[column]) for table in tables[engine]]
            mean, deviation = bands[engine, column] = band(curves)
            steps = range(1, len(mean) + 1)
            for curve in curves:
                axis.plot(steps, curve, color=COLOURS[engine], alpha=0.35, linewidth=0.7)
            axis.plot(steps, mean, color=COLOURS[engine], linewidth=1.8, label=engine)
        axis.set_xlabel("step")
        axis.set_title(f"{title} (mean of the last {WINDOW} steps)", fontsize=9)
        axis.grid(alpha=0.25)
    axes[0].legend(loc="lower right")
    figure.savefig(arguments.svg, metadata={"Date": None})

    print(f"smallest, mean and largest |native - trl| of the mean curves (windows of {WINDOW} steps, {len(SEEDS)} seeds each)")
    for column, _ in columns:
        (native, of_native), (trl, of_trl) = (bands[engine, column] for engine in ENGINES)
        apart = [abs(one - other) for one, other in zip(native, trl, strict=True)][WINDOW:]
        spread = [math.hypot(one, other) for one, other in zip(of_native, of_trl, strict=True)][WINDOW:]
        print(
            f"{column:12} {min(apart):.4f} {statistics.fmean(apart):.4f} {max(apart):.4f}; "
            f"spread of the seeds (native and trl together) {statistics.fmean(spread):.4f}"
        )
    for engine in ENGINES:
        rewards = [table["reward_mean"] for table in tables[engine]]
        first = statistics.fmean(value for curve in rewards for value in curve[:10])
        last = [statistics.fmean(curve[-20:]) for curve in rewards]
        right = [statistics.fmean(table["correct_rate"][-20:]) for table in tables[engine]]
        print(
            f"{engine:6} reward of the first 10 steps {first:.3f}, of the last 20 {statistics.fmean(last):.3f} "
            f"({', '.join(f'{value:.3f}' for value in last)}), right {statistics.fmean(right):.3f}"
        )
    for stage in report["stages"]:
        if stage["name"].startswith("train"):
            print(f"{stage['name']} {stage.get('variant') or ''}: {stage['status']}, {stage['seconds']:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
