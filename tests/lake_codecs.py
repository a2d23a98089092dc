"""Reads files of each Avro codec with each reader, and prints a JSON object: for each reader, the codecs of which it reads all rows.

usage: lake_codecs.py CODEC=FILE.avro...; the files hold the same rows
"""

import json
import sys

import fastavro
import polars
from datafusion import SessionContext


def with_datafusion(path):
    lake = SessionContext()
    lake.register_avro("rows", path)
    return lake.table("rows").count()


def with_fastavro(path):
    with open(path, "rb") as file:
        return sum(1 for _ in fastavro.reader(file))


def with_polars(path):
    return polars.read_avro(path).height


def reads(reader, path):
    try:
        return reader(path)
    except Exception:  # Each library has its own errors.
        return 0


files = dict(argument.split("=", 1) for argument in sys.argv[1:])
readers = {"DataFusion": with_datafusion, "fastavro": with_fastavro, "polars": with_polars}
rows = {name: {codec: reads(reader, path) for codec, path in files.items()} for name, reader in readers.items()}
most = max(max(of_codec.values()) for of_codec in rows.values())
print(json.dumps({name: [codec for codec, found in of_codec.items() if found == most] for name, of_codec in rows.items()}))
