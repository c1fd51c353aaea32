#!/usr/bin/python3
"""The arrows and the purity of the house, read from the object files and the includes.

arrows.py BUILD-DIR   checks; exit 0 only when it saw every module and found nothing.

1. A module's objects may need symbols only of the modules that the table below allows.
2. The pure modules (base, plan, repl, sip) may need nothing of the system beyond the list below: no clock, random source,
   socket, file, thread, libuv.
3. A source file may include headers only of the modules that the table allows, and the header of a library that belongs to one module (lmdb.h, nng, protobuf-c) only there.
"""
import pathlib
import re
import subprocess
import sys

ARROWS = {
    "base": [],
    "plan": ["base"],
    "repl": ["base"],
    "sip": ["base"],
    "proto": ["base", "plan", "repl", "proto_generated"],
    "store": ["base", "plan", "repl", "proto"],
    "edge": ["base", "plan", "sip"],
    "mesh": ["base", "repl", "proto"],
    "control": ["base", "plan", "proto"],
    "app": ["base", "plan", "repl", "sip", "proto", "store", "edge", "mesh", "control"],
    "cli": ["base", "plan", "proto", "pki"],
    "pki": ["base"],
}
FOLDERS = {
    "node/base": "base", "node/plan": "plan", "node/repl": "repl", "node/sip": "sip", "node/edge": "edge",
    "node/mesh": "mesh", "node/control": "control", "node/app": "app", "proto": "proto", "store": "store", "cli": "cli",
}
PURE = ["base", "plan", "repl", "sip"]
# What a pure module may need of the system: memory, text, arithmetic, and the pure parts of libraries.
PURE_ALLOWED = re.compile(
    r"^(mem(cpy|move|set|cmp|chr|rchr)|str(len|cmp|ncmp|chr|rchr|casecmp|ncasecmp|spn|cspn|nlen|str)|"
    r"(m|c|re)alloc|free|qsort|bsearch|v?snprintf|strto(l|ul|ll|ull)|abort|"
    r"(EVP|OSSL|CRYPTO)_[A-Za-z0-9_]+|(MD5|SHA256)_(Init|Update|Final)|yaml_[a-z_]+|osip_[a-z0-9_]+|parser_init|"
    r"__(mem|str|v?s)[a-z]*_chk|__vsnprintf_chk|__snprintf_chk|__stack_chk_fail|__ctype_b_loc|__ctype_tolower_loc|"
    r"__isoc99_sscanf|_GLOBAL_OFFSET_TABLE_|__asan_.*|__ubsan_.*|__tsan_.*|__sanitizer_.*|__errno_location)$")
# The one place where a pure module may speak: a failed assertion, right before abort.
PURE_EXCEPT = {("base", "err.c.o"): {"fprintf", "stderr", "__fprintf_chk"}}
OWNED_HEADERS = {"lmdb.h": ["store"], "nng/": ["mesh"], "protobuf-c/": ["proto"], ".pb-c.h": ["proto"],
                 "uv.h": ["edge", "mesh", "control", "app"], "microhttpd.h": ["control"], "ares.h": ["edge"],
                 "osip": ["sip"], "yaml.h": ["plan", "app", "cli"], "jansson.h": ["cli"], "libsmartcols": ["cli"]}


def nm(path):
    """{object file: (defined, undefined)} of one archive."""
    out = subprocess.run(["nm", "--extern-only", "--format=posix", str(path)], check=True, capture_output=True, text=True)
    objects, current = {}, None
    for line in out.stdout.splitlines():
        member = re.match(r".*\[(.+)\]:$", line)
        if member:
            current = objects.setdefault(member.group(1), (set(), set()))
        elif line.strip() and current is not None:
            name, kind = line.split()[:2]
            current[1 if kind in "Uw" else 0].add(name)
    return objects


def check_symbols(lib_dir):
    problems, archives = [], {}
    for archive in sorted(lib_dir.glob("libtandem_*.a")):
        archives[archive.stem.removeprefix("libtandem_")] = nm(archive)
    for module in ARROWS:
        if module not in archives or not archives[module]:
            problems.append(f"{module}: no object file seen; a check that sees nothing is no check")
    owner = {s: m for m, objects in archives.items() for defined, _ in objects.values() for s in defined}
    for module, objects in archives.items():
        if module not in ARROWS:
            continue
        own = {s for defined, _ in objects.values() for s in defined}
        for name, (_, undefined) in sorted(objects.items()):
            for symbol in sorted(undefined - own):
                target = owner.get(symbol)
                if target is not None and target not in ARROWS[module]:
                    problems.append(f"{module}/{name}: needs {symbol} of {target}; allowed are {ARROWS[module]}")
                elif target is None and module in PURE and not PURE_ALLOWED.match(symbol) \
                        and symbol not in PURE_EXCEPT.get((module, name), ()):
                    problems.append(f"{module}/{name}: is pure and needs {symbol}")
    return problems


def check_includes(root):
    problems, seen = [], 0
    for folder, module in FOLDERS.items():
        for path in sorted((root / folder).glob("*.[ch]")):
            seen += 1
            # cli/pki.c and its companions are their own small library inside the folder
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
                if not match:
                    continue
                header = match.group(1)
                target = FOLDERS.get(str(pathlib.PurePosixPath(header).parent))
                if target is not None and target != module and target not in ARROWS[module]:
                    problems.append(f"{path.relative_to(root)}:{number}: {module} may not include {header}")
                for needle, allowed in OWNED_HEADERS.items():
                    if (header.startswith(needle) or header.endswith(needle)) and module not in allowed:
                        problems.append(f"{path.relative_to(root)}:{number}: {header} belongs to {allowed}")
    if seen < 50:
        problems.append(f"only {seen} source files seen")
    return problems


def main():
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).resolve().parents[2])
    problems = check_symbols(pathlib.Path(sys.argv[1]) / "lib") + check_includes(root)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} broken arrows" if problems else "every arrow as drawn")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
