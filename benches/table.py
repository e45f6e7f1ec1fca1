"""From the times of benches/compare.sh to a table: milliseconds a step, smallest and median."""
import collections
import statistics
import sys

times, steps = sys.argv[1], int(sys.argv[2])
runs = collections.defaultdict(list)
order = []
with open(times, encoding="utf-8") as file:
    for line in file:
        shape, name, seconds = line.split()
        runs[shape, name].append(float(seconds) * 1000 / steps)
        if name not in order:
            order.append(name)

print("| | chain: best (median) | of the limit | wide: best (median) | of ninja |")
print("|---|---|---|---|---|")
for name in order:
    cells = [name]
    for shape, against in (("chain", "limit"), ("wide", "ninja")):
        mine, base = runs.get((shape, name)), runs.get((shape, against))
        if not mine:
            cells += ["-", "-"]
            continue
        cells.append(f"{min(mine):.2f} ({statistics.median(mine):.2f})")
        cells.append(f"{min(mine) / min(base):.2f}x" if base else "-")
    print("| " + " | ".join(cells) + " |")
