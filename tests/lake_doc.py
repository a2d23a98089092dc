"""Runs the Python snippets of docs/lake.md that are marked `python run`, in the current folder, which has the archive in `lake`.

usage: lake_doc.py docs/lake.md; prints a JSON object that maps the heading above each snippet to what it prints
"""

import contextlib
import io
import json
import re
import sys

SNIPPET = re.compile(r"^#+ (?P<heading>.+?)$|^```python run\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def main(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    heading, printed = "", {}
    for found in SNIPPET.finditer(text):
        if found["heading"]:
            heading = found["heading"]
            continue
        out = io.StringIO()
        # Snippets share nothing, and errors name the lines of the document.
        code = "\n" * text.count("\n", 0, found.start("code")) + found["code"]
        with contextlib.redirect_stdout(out):
            exec(compile(code, path, "exec"), {"__name__": "__main__"})
        printed.setdefault(heading, []).append(out.getvalue())
    print(json.dumps(printed))


main(sys.argv[1])
