"""Runs the views and named queries of the transformed template on DataFusion against files that the function wrote and compacted.

usage: lake.py template.json ARCHIVE_FOLDER PIPELINE [types | SECONDS [DATE]]

ARCHIVE_FOLDER contains avro/ and, if something was compacted, parquet/. SECONDS is the time of the query in seconds since 1970; by
default, all compacted rows have taken effect. Prints a JSON object that maps each query name to its rows; with DATE, one that maps each
view to its rows of that date, and to the plan of that query. With `types`, it maps each table to its columns and their types, as Hive
names them.

Stand-ins for what only Athena has: the tables have columns "$path" and "$file_modified_time", and the raw ones numbers where Athena has no
type for a time; regexp_extract is a Python function, the time is a number, and empty lists and maps are left out where a field has one as
its default.
"""

import datetime
import json
import os
import re
import sys

import pyarrow
from datafusion import SessionConfig, SessionContext, udf

FAR_FUTURE = 1 << 40


def main(template, folder, pipeline, now=FAR_FUTURE, date=None):
    with open(template, encoding="utf-8") as file:
        resources = json.load(file)["Resources"].values()
    mine = [resource for resource in resources if resource.get("Condition") == "Is" + "".join(word.capitalize() for word in pipeline.split("-"))]
    # Plans name all files of a scan, and empty scans are removed.
    lake = SessionContext(SessionConfig().set("datafusion.explain.show_sizes", "false"))
    lake.register_udf(regexp_extract)
    names = sorted(os.listdir(os.path.join(folder, "avro")))
    declared = {table["TableInput"]["Name"]: [column["Name"] for column in table["TableInput"]["StorageDescriptor"]["Columns"]] for table in of(mine, "AWS::Glue::Table")}
    dates = [register(lake, folder, name, declared) for name in names]
    if now == "types":
        print(json.dumps({table: columns_of(lake, table) for name in names for table in (name, f"{name}_compacted")}))
        return
    views = []
    for view in of(mine, "AWS::Glue::Table"):
        if view["TableInput"]["TableType"] == "VIRTUAL_VIEW" and view["TableInput"]["Name"].removesuffix("_once") in names:
            text = view["TableInput"]["ViewOriginalText"]["Fn::Join"][1][1]["Fn::Base64"]["Fn::Sub"]
            views.append(view["TableInput"]["Name"])
            lake.sql(f'CREATE VIEW "{views[-1]}" AS {portable(json.loads(text)["originalSql"], now)}')
    if date:
        once = {view: f"SELECT * FROM \"{view}\" WHERE partition_date = '{date}'" for view in views}
        answer = {view: {"rows": lake.sql(sql).to_pylist(), "plan": plan(lake, sql)} for view, sql in once.items()}
    else:
        # The files decide which day it is, so that the days that a query covers don't depend on the clock.
        today = f"DATE '{max(max(of_type) for of_type in dates)}'"
        queries = {query["Name"]: query["QueryString"] for query in of(mine, "AWS::Athena::NamedQuery")}
        queries = {name: sql.replace("current_date", today) for name, sql in queries.items()}
        answer = {name: lake.sql(sql).to_pylist() for name, sql in queries.items()}
    print(json.dumps(answer, default=str, sort_keys=True))


def of(resources, of_type):
    return [resource["Properties"] for resource in resources if resource["Type"] == of_type]


def register(lake, folder, name, declared):
    """Registers the raw and the compacted rows of a record type, and returns its dates. Declared columns that no file has are null."""
    raw = files_of(os.path.join(folder, "avro", name))
    compacted = files_of(os.path.join(folder, "parquet", name))
    for table, files, read in [(name, raw, lake.register_avro), (f"{name}_compacted", compacted, lake.register_parquet)]:
        parts = []
        for number, (date, path) in enumerate(files):
            read(f"{table}/{number}", path)
            written = datetime.datetime.fromtimestamp(os.stat(path).st_mtime, datetime.timezone.utc).isoformat(sep=" ")[:19]
            columns = [as_in_athena(field) for field in lake.table(f"{table}/{number}").schema()]
            columns += [f"'{date}' AS partition_date", f"'{path}' AS \"$path\"", f"CAST('{written}' AS timestamp) AS \"$file_modified_time\""]
            parts.append(f"SELECT {', '.join(columns)} FROM \"{table}/{number}\"")
        if parts:
            # Files of older schemas have other columns.
            lake.sql(f'CREATE VIEW "{table}/files" AS {" UNION ALL BY NAME ".join(parts)}')
            lake.sql(f'CREATE VIEW "{table}" AS SELECT *{missing(lake, f"{table}/files", declared[table])} FROM "{table}/files"')
    # As tables without rows: DataFusion 55 optimizes a RIGHT JOIN of a relation that is empty for certain into nothing.
    if not compacted:
        fields = list(lake.table(name).schema())
        found = {field.name.lower() for field in fields}
        types = {"effective": NUMBER}
        fields += [pyarrow.field(column, types.get(column, TEXT)) for column in declared[f"{name}_compacted"] if column not in found]
        lake.from_arrow(pyarrow.schema(fields).empty_table(), f"{name}_compacted")
    if not raw:
        fields = [field for field in lake.table(f"{name}_compacted").schema() if field.name not in ("unit", "effective")]
        lake.from_arrow(pyarrow.schema(fields).empty_table(), name)
    return [date for date, _ in raw + compacted]


def missing(lake, table, declared):
    """The declared columns that a table lacks, to be selected with its own."""
    found = {field.name.lower() for field in lake.table(table).schema()}
    return "".join(f', NULL AS "{column}"' for column in declared if column not in found)


def files_of(folder):
    """The files below a folder, with their dates."""
    found = [os.path.join(day, file) for day, _, files in os.walk(folder) for file in files]
    return [(path.split("partition_date=")[1].split("/")[0], path) for path in sorted(found)]


def columns_of(lake, table):
    added = {"partition_date", "$path", "$file_modified_time"}
    return [[field.name, hive(field.type)] for field in lake.table(table).schema() if field.name not in added]


def hive(of):
    """The name in Hive of an Arrow type."""
    types = pyarrow.types
    if types.is_dictionary(of):
        return hive(of.value_type)
    if types.is_list(of):
        return f"array<{hive(of.value_type)}>"
    if types.is_map(of):
        return f"map<{hive(of.key_type)},{hive(of.item_type)}>"
    if types.is_struct(of):
        return f"struct<{','.join(f'{of.field(index).name}:{hive(of.field(index).type)}' for index in range(of.num_fields))}>"
    if types.is_fixed_size_binary(of):
        return "binary"
    if types.is_decimal(of):
        return f"decimal({of.precision},{of.scale})"
    names = {"bool": "boolean", "int32": "int", "int64": "bigint", "double": "double", "float": "float", "date32[day]": "date"}
    names |= {"string": "string", "string_view": "string", "binary": "binary", "binary_view": "binary", "timestamp[ms, tz=UTC]": "timestamp"}
    return names.get(str(of).replace("+00:00", "UTC"), str(of))


def as_in_athena(field):
    """A column of a raw file: in Athena, times of day and microseconds are numbers, and a uuid is the text that it is in the file."""
    if str(field.type) == "fixed_size_binary[16]":
        dash = " || '-' || "
        digits = f"encode(arrow_cast(\"{field.name}\", 'Binary'), 'hex')"
        parts = [f"substr({digits}, {start}, {length})" for start, length in [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)]]
        return f"{dash.join(parts)} AS \"{field.name}\""
    number = {"time32[ms]": "Int32", "time64[us]": "Int64", "timestamp[us, tz=+00:00]": "Int64"}.get(str(field.type))
    return f"arrow_cast(\"{field.name}\", '{number}') AS \"{field.name}\"" if number else f'"{field.name}"'


def portable(sql, now):
    sql = sql.replace("to_unixtime(current_timestamp)", str(now))
    return re.sub(r'coalesce\(("\w+"), CAST\((?:ARRAY\[\]|MAP\(ARRAY\[\], ARRAY\[\]\)) AS .+?\)\) AS', r"\1 AS", sql)


def plan(lake, sql):
    return "\n".join(row["plan"] for row in lake.sql(f"EXPLAIN {sql}").to_pylist() if row["plan_type"] == "physical_plan")


def extract(paths, patterns, groups):
    found = [re.search(patterns[0].as_py(), path.as_py()) for path in paths]
    return pyarrow.array([match and match.group(groups[0].as_py()) for match in found], pyarrow.string())


TEXT, NUMBER = pyarrow.string(), pyarrow.int64()
regexp_extract = udf(extract, [TEXT, TEXT, NUMBER], TEXT, "immutable", "regexp_extract")

if __name__ == "__main__":
    main(*sys.argv[1:])
