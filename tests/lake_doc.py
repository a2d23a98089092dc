"""Runs the Python snippets of docs/lake.md that are marked `python run`, in the current folder, which has the archive in `lake`.

usage: lake_doc.py docs/lake.md [COLUMN]; prints a JSON object that maps the heading above each snippet to what it prints. With a column,
each snippet reads it in place of `customer_key`, and the ids of the orders that have a value there are listed behind that.
"""

import contextlib
import io
import json
import re
import sys

import pyarrow

SNIPPET = re.compile(r"^#+ (?P<heading>.+?)$|^```python run\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def rows_of(orders, columns):
    """The rows of a snippet's orders, whatever read them."""
    if hasattr(orders, "drop_duplicates"):
        orders = pyarrow.Table.from_pandas(orders[columns])
    for convert in ["to_arrow_table", "to_arrow"]:
        if hasattr(orders, convert):
            orders = getattr(orders, convert)()
    return orders.select(columns).to_pylist()


def main(path, column=None):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if column:
        text = text.replace("customer_key", column)
    heading, printed = "", {}
    for found in SNIPPET.finditer(text):
        if found["heading"]:
            heading = found["heading"]
            continue
        out = io.StringIO()
        # Snippets share nothing, and errors name the lines of the document.
        code = "\n" * text.count("\n", 0, found.start("code")) + found["code"]
        names = {"__name__": "__main__"}
        with contextlib.redirect_stdout(out):
            exec(compile(code, path, "exec"), names)
        printed.setdefault(heading, []).append(out.getvalue())
        if column:
            rows = rows_of(names["orders"], ["record_id", column])
            printed[heading].append(sorted({row["record_id"] for row in rows if row[column] is not None}))
    print(json.dumps(printed))


main(*sys.argv[1:])
