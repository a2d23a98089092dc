"""Runs the views and named queries of the transformed template on DataFusion against files that the function wrote.

usage: lake.py template.json AVRO_FOLDER PIPELINE; prints a JSON object that maps each query name to its rows
"""

import json
import os
import sys

import pyarrow
from datafusion import SessionContext

# Queries that need Athena's hidden columns, which hold the time a file was written.
ATHENA_ALONE = {"late_data"}


def main(template, folder, pipeline):
    with open(template, encoding="utf-8") as file:
        resources = json.load(file)["Resources"].values()
    mine = [resource for resource in resources if resource.get("Condition") == "Is" + "".join(word.capitalize() for word in pipeline.split("-"))]
    lake = SessionContext()
    for name in sorted(os.listdir(folder)):
        lake.register_avro(name, os.path.join(folder, name), table_partition_cols=[("partition_date", pyarrow.string())])
    for view in of(mine, "AWS::Glue::Table"):
        if view["TableInput"]["TableType"] == "VIRTUAL_VIEW":
            text = view["TableInput"]["ViewOriginalText"]["Fn::Join"][1][1]["Fn::Base64"]["Fn::Sub"]
            lake.sql(f'CREATE VIEW {view["TableInput"]["Name"]} AS {json.loads(text)["originalSql"]}')
    queries = {query["Name"]: query["QueryString"] for query in of(mine, "AWS::Athena::NamedQuery")}
    # The files decide which day it is, so that the days that a query covers don't depend on the clock.
    dates = [date for name in os.listdir(folder) for date in os.listdir(os.path.join(folder, name))]
    today = "DATE '" + max(dates).removeprefix("partition_date=") + "'"
    queries = {name: sql.replace("current_date", today) for name, sql in queries.items()}
    rows = {name: lake.sql(sql).to_pylist() for name, sql in queries.items() if name not in ATHENA_ALONE}
    print(json.dumps(rows, default=str, sort_keys=True))


def of(resources, of_type):
    return [resource["Properties"] for resource in resources if resource["Type"] == of_type]


main(*sys.argv[1:])
