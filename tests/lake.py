"""Runs the views and named queries of the transformed template on DataFusion against files that the function wrote and closed.

usage: lake.py template.json ARCHIVE_FOLDER PIPELINE [SECONDS [DATE]]

ARCHIVE_FOLDER contains avro/ and, if something was closed, parquet/. SECONDS is the time of the query in seconds since 1970; by
default, all closed rows have taken effect. Prints a JSON object that maps each query name to its rows; with DATE, one that maps each
view to its rows of that date, and to the plan of that query.

Stand-ins for what only Athena has: the raw tables have a column "$path", and numbers where Athena has no type for a time; regexp_extract
is a Python function, the time is a number, and empty lists and maps are left out where a field has one as its default.
"""

import json
import os
import re
import sys

import pyarrow
from datafusion import SessionConfig, SessionContext, udf

# Queries that need Athena's hidden columns, which hold the time a file was written.
ATHENA_ALONE = {"late_data"}
FAR_FUTURE = 1 << 40


def main(template, folder, pipeline, now=FAR_FUTURE, date=None):
    with open(template, encoding="utf-8") as file:
        resources = json.load(file)["Resources"].values()
    mine = [resource for resource in resources if resource.get("Condition") == "Is" + "".join(word.capitalize() for word in pipeline.split("-"))]
    # Plans name all files of a scan, and empty scans are removed.
    lake = SessionContext(SessionConfig().set("datafusion.explain.show_sizes", "false"))
    lake.register_udf(regexp_extract)
    names = sorted(os.listdir(os.path.join(folder, "avro")))
    dates = [register(lake, folder, name) for name in names]
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
        answer = {name: lake.sql(sql).to_pylist() for name, sql in queries.items() if name not in ATHENA_ALONE}
    print(json.dumps(answer, default=str, sort_keys=True))


def of(resources, of_type):
    return [resource["Properties"] for resource in resources if resource["Type"] == of_type]


def register(lake, folder, name):
    """Registers the raw and the closed rows of a record type, and returns its dates."""
    raw, dates = [], []
    for day, _, files in sorted(os.walk(os.path.join(folder, "avro", name))):
        for file in sorted(files):
            date, path, table = day.split("partition_date=")[1], os.path.join(day, file), f"{name}/{len(raw)}"
            lake.register_avro(table, path)
            columns = ", ".join(as_in_athena(field) for field in lake.table(table).schema())
            raw.append(f"SELECT {columns}, '{date}' AS partition_date, '{path}' AS \"$path\" FROM \"{table}\"")
            dates.append(date)
    if raw:
        lake.sql(f'CREATE VIEW "{name}" AS {" UNION ALL ".join(raw)}')
    closed = os.path.join(folder, "parquet", name)
    if os.path.isdir(closed):
        lake.register_parquet(f"{name}_closed", closed, table_partition_cols=[("partition_date", pyarrow.string())])
        dates += [date.removeprefix("partition_date=") for date in os.listdir(closed)]
    else:
        nothing = f"SELECT *, '' AS unit, CAST(0 AS bigint) AS effective FROM \"{name}\" WHERE false"
        lake.sql(f'CREATE VIEW "{name}_closed" AS {nothing}')
    if not raw:
        lake.sql(f'CREATE VIEW "{name}" AS SELECT * EXCLUDE (unit, effective), \'\' AS "$path" FROM "{name}_closed" WHERE false')
    return dates


def as_in_athena(field):
    """A column of a raw file: times of day and microseconds are numbers in Athena."""
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
