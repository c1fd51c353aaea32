"""The lints of the house, and for each a planted fault that it must catch: a lint that cannot fail checks nothing."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TANDEM_BUILD", ROOT / "build"))
ARROWS = ROOT / "tests" / "lint" / "arrows.py"


def arrows(build, root):
    result = subprocess.run(["/usr/bin/python3", str(ARROWS), str(build), str(root)], capture_output=True, text=True)
    return result.returncode, result.stdout


def test_every_arrow_as_drawn():
    status, text = arrows(BUILD, ROOT)
    assert status == 0, text


@pytest.mark.parametrize("module, code, complaint", [
    ("plan", "#include <time.h>\nlong planted(void); long planted(void) { return (long)time(0); }", "is pure and needs time"),
    ("sip", "#include <stdio.h>\nvoid planted(void); void planted(void) { printf(\"%d\", 1); }", "is pure and needs printf"),
    ("repl", "int store_health(void); int planted(void); int planted(void) { return store_health(); }", "of store"),
    ("edge", "int store_health(void); int planted(void); int planted(void) { return store_health(); }", "of store"),
])
def test_a_planted_call_is_caught(tmp_path, module, code, complaint):
    shutil.copytree(BUILD / "lib", tmp_path / "lib")
    (tmp_path / "planted.c").write_text(code)
    subprocess.run(["cc", "-O0", "-c", "planted.c"], cwd=tmp_path, check=True)
    subprocess.run(["ar", "r", tmp_path / "lib" / f"libtandem_{module}.a", "planted.o"], cwd=tmp_path, check=True,
                   capture_output=True)
    status, text = arrows(tmp_path, ROOT)
    assert status == 1 and complaint in text, text


def test_an_empty_module_is_caught(tmp_path):
    shutil.copytree(BUILD / "lib", tmp_path / "lib")
    (tmp_path / "lib" / "libtandem_plan.a").unlink()
    status, text = arrows(tmp_path, ROOT)
    assert status == 1 and "plan: no object file seen" in text, text


@pytest.mark.parametrize("line, complaint", [
    ("#include \"store/store.h\"", "plan may not include store/store.h"),
    ("#include <lmdb.h>", "lmdb.h belongs to"),
    ("#include <uv.h>", "uv.h belongs to"),
])
def test_a_planted_include_is_caught(tmp_path, line, complaint):
    for folder in ("node", "proto", "store", "cli"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    target = tmp_path / "node" / "plan" / "object.c"
    target.write_text(line + "\n" + target.read_text())
    status, text = arrows(BUILD, tmp_path)
    assert status == 1 and complaint in text, text


def sources():
    files = [p for folder in ("node", "proto", "store", "cli", "tests") for p in (ROOT / folder).rglob("*.[ch]")]
    assert len(files) > 100, "the lint sees no files"
    return files


def test_formatting():
    result = subprocess.run(["clang-format-14", "--dry-run", "--Werror", *map(str, sources())], capture_output=True,
                            text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr[:3000] + "\nmend it with: ./run format"


def test_formatting_lint_can_fail(tmp_path):
    shutil.copy(ROOT / ".clang-format", tmp_path)
    (tmp_path / "ugly.c").write_text("int  main( void ){return 0;}\n")
    assert subprocess.run(["clang-format-14", "--dry-run", "--Werror", "ugly.c"], cwd=tmp_path,
                          capture_output=True).returncode != 0


# Put together here, so that this line is none of them.
MARKS = re.compile(r"\b(%s)\b|#if [0]" % "|".join(map("".join, [("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("HA", "CK")])))


def test_no_leftovers():
    found = [f"{p.relative_to(ROOT)}:{n}" for p in sources() for n, line in enumerate(p.read_text().splitlines(), 1)
             if MARKS.search(line)]
    assert not found, found


def test_readme_names_the_commands():
    text = (ROOT / "README.md").read_text()
    for command in ("./run demo", "./run test", "./run build", "./run bench"):
        assert command in text
