"""Writes the licences of all crates that a package links: python3 scripts/licences.py MANIFEST FILE [cargo's flags of features]. Fails if one asks for more than a
notice; the list of those that do not is in tests/it/supply.rs."""

import json
import re
import subprocess
import sys
from pathlib import Path


def main() -> None:
    manifest, file, *features = sys.argv[1:]
    host = next(l.split(": ")[1] for l in subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines() if l.startswith("host: "))
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--manifest-path", manifest, "--filter-platform", host]
    metadata = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    tree = ["cargo", "tree", "--locked", "--manifest-path", manifest, "--edges", "normal", "--prefix", "none", "--format", "{p}", *features]
    linked = {tuple(line.split()[:2]) for line in subprocess.run(tree, capture_output=True, text=True, check=True).stdout.splitlines() if line}
    crates = [p for p in metadata["packages"] if (p["name"], f"v{p['version']}") in linked and p["source"]]
    supply = (Path(__file__).parent.parent / "tests" / "it" / "supply.rs").read_text("utf-8")
    allowed = set(re.findall(r'"([^"]+)"', supply.split("const LICENCES")[1].split(";\n")[0].split("=")[1]))
    for crate in crates:
        parts_of = (crate["license"] or "").replace("/", " OR ").split(" AND ")
        if not all(any(one.strip("() ") in allowed for one in part.strip("()").split(" OR ")) for part in parts_of):
            sys.exit(f"{crate['name']} {crate['version']} has the licence {crate['license']}")
    parts = [f"Licences of the {len(crates)} crates that are linked into this program.\n"]
    texts: dict[str, list[str]] = {}
    for crate in sorted(crates, key=lambda p: p["name"]):
        parts.append(f"{crate['name']} {crate['version']}: {crate['license']}")
        for path in sorted(Path(crate["manifest_path"]).parent.iterdir()):
            if path.is_file() and path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE")):
                texts.setdefault(path.read_text("utf-8", "replace").strip(), []).append(f"{crate['name']} {crate['version']}")
    for text, names in texts.items():
        parts += ["\n" + "=" * 80, ", ".join(dict.fromkeys(names)), "-" * 80, text]
    Path(file).write_text("\n".join(parts) + "\n", "utf-8")
    print(f"{file}: {len(crates)} crates, {len(texts)} texts")


main()
