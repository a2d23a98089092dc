#!/usr/bin/env python3
"""Breaks the deployment in one place at a time and expects tests/it/template, which checks the template against the code,
the runbooks, and the schemas, to catch it. Only text that the tests read is changed, in a copy of the tree, so the tests are
compiled once.

usage: template.py; exits with 0 if all mutants are caught
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

# Name, file, text to replace, and replacement.
MUTANTS = [
    ("short ids on a stream that producers write", "template.yaml", "!If [IsKinesis, '16', '8']", "!If [IsKinesis, '8', '16']"),
    ("a missing environment variable", "template.yaml", "          LEDGER_TABLE: !If [Counts, !Ref LedgerTable, '']\n", ""),
    ("a misspelled environment variable", "template.yaml", "        HORIZON_DAYS: !Ref", "        HORIZON_DAY: !Ref"),
    ("a default that differs from the code", "template.yaml", "    Default: zstandard\n", "    Default: snappy\n"),
    ("an alarm on a metric that is never sent", "template.yaml", "MetricName: NoticesFolded", "MetricName: Notices"),
    ("a widget for a metric that is never sent", "template.yaml", '"${Namespace}", "FilesWritten"', '"${Namespace}", "FileCount"'),
    ("a widget that isn't documented", "template.yaml", '"title": "Table throttles"', '"title": "Throttles of tables"'),
    ("a widget that lacks a metric", "template.yaml", '["AWS/Lambda", "DroppedEventCount", "EventSourceMappingUUID", "${EventSourceMapping}"], ', ""),
    ("a widget for a metric of another name", "template.yaml", '"ReturnedRecordsCount"', '"ReturnedRecords"'),
    ("a metric filter on the wrong log line", "template.yaml", '$.message = "record rejected" && $.code !=', '$.message = "rejected" && $.code !='),
    ("records that could not be stored count as rejected", "template.yaml", ' && $.code != "not_durable"', ''),
    ("a renamed log line", "src/handler/report.rs", '"record rejected"', '"rejected"'),
    ("an alarm with a different threshold", "template.yaml", "      Threshold: 120000\n", "      Threshold: 240000\n"),
    ("an alarm with a different period", "template.yaml", "      Period: 21600\n", "      Period: 43200\n"),
    ("an alarm that notifies nobody", "template.yaml", "      AlarmActions: [!Ref AlarmTopic]\n", "      AlarmActions: []\n"),
    ("deleted documents that keep counting", "template.yaml", "            ExpiredObjectDeleteMarker: true\n", ""),
    ("a message that doesn't page", "template.yaml", "            - !If [WatchesQueue, !Sub 'ALARM(\"${FailureMessages}\")', 'FALSE']\n", ""),
    ("a queue alarm after the loss", "template.yaml", "      Threshold: 3600\n", "      Threshold: 64800\n"),
    ("an alarm that ignores missing data", "template.yaml", "TreatMissingData: breaching", "TreatMissingData: notBreaching"),
    ("an alarm in no composite alarm", "template.yaml", "            - !Sub 'ALARM(\"${DroppedEvents}\")'\n", ""),
    ("an alarm that isn't documented", "docs/operations.md", "| RetentionBurn |", "| Retention |"),
    ("a missing runbook", "docs/operations.md", "## Throttling\n", "## Throttled\n"),
    ("a command that doesn't exist", "docs/operations.md", "put-function-concurrency", "set-function-concurrency"),
    ("an option that doesn't exist", "docs/operations.md", "--parallelization-factor", "--parallelisation-factor"),
    ("a stall that clears the alarm on the age", "template.yaml", "TreatMissingData: ignore", "TreatMissingData: notBreaching"),
    ("no alarm on a disabled mapping", "template.yaml", "  NoTrafficAlarm:\n    Type: String\n    Default: 'true'", "  NoTrafficAlarm:\n    Type: String\n    Default: 'false'"),
    ("partial failures that are no errors", "template.yaml", "MetricName: FailedInvokeEventCount", "MetricName: DroppedEventCount"),
    ("412 counts as an error of S3", "template.yaml", "MetricName: 5xxErrors", "MetricName: 4xxErrors"),
    ("crashes looked for by their level", "template.yaml", "filter type = 'platform.report' and record.status != 'success'", "filter level = 'ERROR'"),
    ("a budget of the whole account", "template.yaml", "        CostFilters: { TagKeyValue:", "        PlannedBudgetLimits: { TagKeyValue:"),
    ("a budget that emails nobody", "template.yaml", "  HasBudget: !And [!Equals [!Ref Budget, 'true'], !Not [!Equals [!Ref AlarmEmail, '']]]", "  HasBudget: !Equals [!Ref Budget, 'true']"),
    ("small files in Glacier", "template.yaml", "            ObjectSizeGreaterThan: 131072\n", ""),
    ("a cap for one table only", "template.yaml", "MaxWriteRequestUnits: !If [CapsWrites, !Ref MaximumWriteUnits, !Ref AWS::NoValue]", "MaxWriteRequestUnits: !If [CapsWrites, !Ref MaximumReadUnits, !Ref AWS::NoValue]"),
    ("a kill switch without its limit", "docs/operations.md", "MaximumRecordAgeSeconds (22 hours by default)", "the retention"),
    ("a call that the role doesn't allow", "src/ledger/table/swap.rs", "transact_write_items()", "delete_item()"),
    ("indicators without their permission", "template.yaml", "                    Action: [dynamodb:GetItem, dynamodb:Query, dynamodb:UpdateItem]\n                    Resource:\n", "                    Action: [dynamodb:GetItem, dynamodb:Query]\n                    Resource:\n"),
    ("every pipeline may write its source", "template.yaml", "    - !Equals [!FindInMap [Pipelines, !Ref Pipeline, Indicators], 'true']\n", "    - !Equals [!FindInMap [Pipelines, !Ref Pipeline, Counts], 'true']\n"),
    ("an output described as another one", "template.yaml", "    Description: Name of the fold function\n", "    Description: Name of the function\n"),
    ("a call for indicators that the role doesn't allow", "src/indicator/table.rs", ".update_item()", ".put_item()"),
    ("an unused permission", "template.yaml", "Action: s3:PutObject\n                Resource: !Sub\n", "Action: [s3:PutObject, s3:GetObject]\n                Resource: !Sub\n"),
    ("a missing permission", "template.yaml", "                    Action: dynamodb:PutItem\n", "                    Action: dynamodb:GetItem\n"),
    ("a fold that can't write states", "template.yaml", "              - Sid: FoldLedger\n                Effect: Allow\n                Action: [dynamodb:PutItem, dynamodb:Query]", "              - Sid: FoldLedger\n                Effect: Allow\n                Action: [dynamodb:Query]"),
    ("append may always fold", "template.yaml", "                  - FoldsAtOnce\n", "                  - Counts\n"),
    ("the filter lets states pass", "template.yaml", '{"prefix":"p#${Pipeline}#"}', '{"exists":true}'),
    ("the filter leaves out pages", "template.yaml", '{"prefix":"p#${Pipeline}#"},', ''),
    ("a fold without a bucket for old notices", "template.yaml", "          FAILURE_BUCKET: !Ref FailureBucket\n", ""),
    ("a fold that can't keep old notices", "template.yaml", "Resource: !Sub '${FailureBucket.Arn}/notices/*'", "Resource: !Sub '${FailureBucket.Arn}/quarantine/*'"),
    ("the ledger's stream has no keys", "template.yaml", "StreamViewType: KEYS_ONLY", "StreamViewType: NEW_IMAGE"),
    ("notices are given up", "template.yaml", "MaximumRetryAttempts: -1", "MaximumRetryAttempts: 10"),
    ("a proof that the function can't read", "template.yaml", '"hours_ago":26', '"hours":26'),
    ("a proof before the last sweep", "template.yaml", '"hours_ago":26', '"hours_ago":24'),
    ("a sweep that the function can't read", "template.yaml", '"minutes_ago":90', '"minutes":90'),
    ("a schedule for pipelines that count nothing", "template.yaml", "  SweepSchedule:\n    Type: AWS::Scheduler::Schedule\n    Condition: Counts\n", "  SweepSchedule:\n    Type: AWS::Scheduler::Schedule\n"),
    ("closing may delete Parquet files", "template.yaml", "                Action: [s3:GetObject, s3:PutObject]\n                Resource: !Sub\n                  - ${ArchiveBucket.Arn}/${Prefix}/parquet/*", "                Action: [s3:DeleteObject, s3:GetObject, s3:PutObject]\n                Resource: !Sub\n                  - ${ArchiveBucket.Arn}/${Prefix}/parquet/*"),
    ("closing can't delete raw files", "template.yaml", "Action: [s3:DeleteObject, s3:GetObject]\n", "Action: [s3:GetObject]\n"),
    ("a schedule without compaction", "template.yaml", "  CompactSchedule:\n    Type: AWS::Scheduler::Schedule\n    Condition: Compacts\n", "  CompactSchedule:\n    Type: AWS::Scheduler::Schedule\n"),
    ("an alarm on a line that closing doesn't log", "template.yaml", '$.message = "unit overdue"', '$.message = "hour overdue"'),
    ("compacted rows that never expire", "template.yaml", "                  - ${Prefix}/parquet/\n", "                  - ${Prefix}/closed/\n"),
    ("a permission on all resources", "template.yaml", "Resource: !GetAtt LedgerTable.Arn", "Resource: '*'"),
    ("metrics in any namespace", "template.yaml", "                        cloudwatch:namespace: ", "                        aws:SourceAccount: "),
    ("a schema changed without its table", "schemas/orders/order.avsc", '"status"', '"state"'),
    ("a table changed without its schema", "template.yaml", '{\"name\":\"unit_price\"', '{\"name\":\"price\"'),
    ("a column changed without its schema", "template.yaml", "- { Name: 'racer_id', Type: 'bigint' }", "- { Name: 'racer_id', Type: 'int' }"),
    ("partitions in the wrong location", "template.yaml", "/avro/demand/partition_date=", "/avro/demand/date="),
    ("a pipeline that can't be selected", "template.yaml", "AllowedValues: [alleycat, api-usage, demand, findings, orders, zae-limiter]", "AllowedValues: [alleycat, api-usage, demand, findings, orders]"),
    ("a key that differs from the pipeline", "template.yaml", "PartitionKey: PK, SortKey: SK", "PartitionKey: pk, SortKey: sk"),
    ("a wrong expiry for the ledger table", "template.yaml", "AttributeName: expires_at, Enabled: true", "AttributeName: ttl, Enabled: true"),
    ("the mapping starts at the latest record", "template.yaml", "StartingPosition: TRIM_HORIZON", "StartingPosition: LATEST"),
    ("the mapping fails whole batches", "template.yaml", "      FunctionResponseTypes: [ReportBatchItemFailures]\n", ""),
    ("the mapping gives up within an hour", "template.yaml", "    Default: 200\n    MinValue: 0\n    MaxValue: 10000\n", "    Default: 10\n    MinValue: 0\n    MaxValue: 10000\n"),
    ("records expire before they fail", "template.yaml", "    Default: 79200\n", "    Default: 86400\n"),
    ("a filter on the mappings of all pipelines", "template.yaml", "          - IsZaeLimiter\n          - Filters:", "          - Counts\n          - Filters:"),
    ("the limiter's filter differs", "schemas/zae-limiter/filters.json", "#BUCKET#", "#BUCKETS#"),
    ("data is deleted with the stack", "template.yaml", "    Condition: Counts\n    DeletionPolicy: Retain\n", "    Condition: Counts\n    DeletionPolicy: Delete\n"),
    ("a name that isn't unique to the stack", "template.yaml", "      Name: !Ref AWS::StackName\n      RecursiveDeleteOption", "      Name: usage\n      RecursiveDeleteOption"),
    ("a name that isn't unique to the Region", "template.yaml", "DashboardName: !Sub '${AWS::StackName}-${AWS::Region}'", "DashboardName: !Ref AWS::StackName"),
    ("concurrency that a new account doesn't have", "template.yaml", "  ReservedConcurrency:\n    Type: String\n    Default: none\n", "  ReservedConcurrency:\n    Type: String\n    Default: 10\n"),
    ("a fold that always reserves", "template.yaml", "!If [ReservesFoldConcurrency, !Ref FoldReservedConcurrency, !Ref AWS::NoValue]", "!Ref FoldReservedConcurrency"),
    ("a consumer that can't be read", "template.yaml", "(/consumer/[A-Za-z0-9_.-]+:[0-9]+)?", ""),
    ("a consumer without its permission", "template.yaml", "[kinesis:DescribeStreamConsumer, kinesis:SubscribeToShard]", "[kinesis:SubscribeToShard]"),
    ("permissions on the consumer instead of the stream", "template.yaml", "Resource: !Select [0, !Split [/consumer/, !Ref SourceArn]]", "Resource: !Ref SourceArn"),
    ("a function that the limiter's client overwrites", "template.yaml", "FunctionName: !If [IsZaeLimiter, !Sub '${AWS::StackName}-append', !Ref AWS::StackName]", "FunctionName: !Ref AWS::StackName"),
    ("a source whose key can't be used", "template.yaml", "                  - HasSourceKey\n", "                  - HasKey\n"),
    ("a key for every service", "template.yaml", "                        kms:ViaService:\n", "                        aws:SourceService:\n"),
    ("a key policy that is too small for logs", "docs/operations.md", '"kms:ReEncrypt*", ', ""),
    ("a role without the boundary", "template.yaml", "      PermissionsBoundary: !If [HasBoundary, !Ref PermissionsBoundaryArn, !Ref AWS::NoValue]\n", ""),
    ("logs are deleted with the stack", "template.yaml", "    Type: AWS::Logs::LogGroup\n    DeletionPolicy: Retain\n", "    Type: AWS::Logs::LogGroup\n    DeletionPolicy: Delete\n"),
    ("a log group that isn't forwarded", "template.yaml", "      LogGroupName: !Ref FoldLogs\n      FilterPattern", "      LogGroupName: !Ref FunctionLogs\n      FilterPattern"),
    ("an operator who can't redrive", "template.yaml", "sqs:ReceiveMessage, ", ""),
    ("an analyst who can delete", "template.yaml", "Action: [dynamodb:DescribeTable, dynamodb:Query, dynamodb:Scan]", "Action: [dynamodb:DeleteItem, dynamodb:DescribeTable, dynamodb:Query, dynamodb:Scan]"),
    ("tests that write everywhere", "template.yaml", "              - ${ArchiveBucket.Arn}/${Prefix}/test/*\n", "              - ${ArchiveBucket.Arn}/${Prefix}/*\n"),
    ("a trail that records writes only", "template.yaml", "ReadWriteType: All", "ReadWriteType: WriteOnly"),
    ("a mapping that bypasses the alias", "template.yaml", "      FunctionName: !If [ShiftsGradually, !Ref Function.Alias, !Ref Function]\n", "      FunctionName: !Ref Function\n"),
    ("a sweep that bypasses the alias", "template.yaml", "        Arn: !If [ShiftsGradually, !Ref FoldFunction.Alias, !GetAtt FoldFunction.Arn]\n", "        Arn: !GetAtt FoldFunction.Arn\n"),
    ("a proof that bypasses the alias", "template.yaml", "        Arn: !If [ShiftsGradually, !Ref FoldFunction.Alias, !GetAtt FoldFunction.Arn]\n        RoleArn: !GetAtt SweepRole.Arn\n        Input: !Sub '{\"prove\"", "        Arn: !GetAtt FoldFunction.Arn\n        RoleArn: !GetAtt SweepRole.Arn\n        Input: !Sub '{\"prove\""),
    ("a shift that nothing undoes", "template.yaml", "!Sub '${AWS::StackName}-ErrorRate', !Sub '${AWS::StackName}-RecordsFailed'", "!Sub '${AWS::StackName}-ErrorRate'"),
    ("a shift that its alarm depends on", "template.yaml", "[!Sub '${AWS::StackName}-ErrorRate', !Sub '${AWS::StackName}-RecordsFailed']", "[!Ref ErrorRate, !Ref RecordsFailed]"),
    ("a shift faster than its alarms", "template.yaml", "[none, Canary10Percent15Minutes,", "[none, Canary10Percent5Minutes,"),
    ("a release that publishes no version", "template.yaml", "      AutoPublishCodeSha256: !Ref Release\n", ""),
    ("an operator who can't invoke the alias", "template.yaml", "              - !Sub '${Function.Arn}:*'\n", ""),
    ("alerts on any bus", "template.yaml", "event-bus/${AlertBusName}'\n              - Fn::If:", "event-bus/*'\n              - Fn::If:"),
    ("a function that doesn't know the bus", "template.yaml", "        ALERT_BUS: !Ref AlertBusName\n", ""),
    ("limits that can't be read", "template.yaml", "                  - ReadsLimits\n", "                  - ReadsLimitsAtOnce\n"),
    ("a rule that matches no alert", "template.yaml", "        detail-type: [Usage alert]\n", "        detail-type: [Alert]\n"),
    ("a rule without an address", "template.yaml", "  AlertRule:\n    Type: AWS::Events::Rule\n    Condition: MailsAlerts\n", "  AlertRule:\n    Type: AWS::Events::Rule\n    Condition: Counts\n"),
    ("a topic key that EventBridge can't use", "template.yaml", "            Principal: { Service: events.amazonaws.com }\n            Action: [kms:Decrypt, kms:GenerateDataKey*]", "            Principal: { Service: cloudwatch.amazonaws.com }\n            Action: [kms:Decrypt, kms:GenerateDataKey*]"),
    ("the filter leaves out alerts", "template.yaml", ',{"prefix":"a#${Pipeline}#"}', ''),
    ("a restatement that nobody hears of", "template.yaml", "            - !If [WatchesFoldMetrics, !Sub 'ALARM(\"${SnapshotsRestated}\")', 'FALSE']\n", ""),
    ("restated snapshots that aren't on the dashboard", "template.yaml", ', ["${Namespace}", "SnapshotsRestated", "Pipeline", "${Pipeline}"]', ""),
    ("a limit of restated snapshots that is ignored", "template.yaml", "      Threshold: !Ref RestatedThreshold\n", "      Threshold: 0\n"),
    ("a compaction whose schedule may stop", "template.yaml", "      Threshold: 1\n      EvaluationPeriods: 2\n      DatapointsToAlarm: 2\n      TreatMissingData: breaching\n", "      Threshold: 1\n      EvaluationPeriods: 2\n      DatapointsToAlarm: 2\n      TreatMissingData: notBreaching\n"),
    ("a stopped compaction that opens no ticket", "template.yaml", "            - !If [WatchesCompaction, !Sub 'ALARM(\"${CompactionStops}\")', 'FALSE']\n", ""),
    ("an archive proof that the function can't read", "template.yaml", '<aws.scheduler.scheduled-time>","hours_ago":26}}\'', '<aws.scheduler.scheduled-time>","hours":26}}\''),
    ("an archive proof before the stream has dropped the day", "template.yaml", '<aws.scheduler.scheduled-time>","hours_ago":26}}\'', '<aws.scheduler.scheduled-time>","hours_ago":2}}\''),
    ("an archive proof that may not read the ledger", "template.yaml", "                    Action: dynamodb:Query\n                    Resource: !GetAtt LedgerTable.Arn\n", "                    Action: dynamodb:GetItem\n                    Resource: !GetAtt LedgerTable.Arn\n"),
    ("an archive proof without the ledger's name", "template.yaml", "          # The proof reads the ledger. It doesn't read the usage table.\n          LEDGER_TABLE: !If [Counts, !Ref LedgerTable, '']\n", "          LEDGER_TABLE: ''\n"),
    ("an archive proof that doesn't know its stream", "template.yaml", "          SOURCE_ARN: !If [MakesSource, !GetAtt SourceTable.StreamArn, !Ref SourceArn]\n", ""),
    ("different values whose hashes anyone can compute", "template.yaml", "        DISTINCT_KEY: !If [HasDistinctKey, !Ref DistinctKey, !Ref AWS::StackId]\n", "        DISTINCT_KEY: ''\n"),
    ("a compaction that may write pages", "template.yaml", "dynamodb:LeadingKeys: ['d#*']", "dynamodb:LeadingKeys: ['*']"),
    ("a difference of the archive that opens no ticket", "template.yaml", "            - !If [WatchesArchiveProof, !Sub 'ALARM(\"${ArchiveDiffers}\")', 'FALSE']\n", ""),
    ("a day that isn't proven and that nobody hears of", "template.yaml", "      Threshold: 24\n      EvaluationPeriods: 2\n      DatapointsToAlarm: 2\n      TreatMissingData: breaching\n", "      Threshold: 24\n      EvaluationPeriods: 2\n      DatapointsToAlarm: 2\n      TreatMissingData: notBreaching\n"),
    ("a parameter without a group", "template.yaml", "MetricsSink, MetricsNamespace]", "MetricsSink]"),
    ("a plain secret in the environment", "template.yaml", "          OTEL_EXPORTER_OTLP_HEADERS: !If [HasOtlpHeaders, !Sub '{{resolve:secretsmanager:${OtlpHeadersSecretArn}:SecretString}}', '']", "          OTEL_EXPORTER_OTLP_HEADERS: !Ref OtlpHeadersSecretArn"),
    ("alarms on metrics that go elsewhere", "template.yaml", ", !Not [!Equals [!Ref MetricsSink, otlp]]]", "]"),
    ("a Kinesis source with a key that can't be used", "template.yaml", "                          - !If [IsKinesis, !Sub 'kinesis.${AWS::Region}.${AWS::URLSuffix}', !Ref AWS::NoValue]\n                          # Of the environment", "                          # Of the environment"),
    ("operators who can't decrypt the source", "template.yaml", "              - HasSourceKey\n              - Sid: DecryptSource", "              - HasKey\n              - Sid: DecryptSource"),
    ("limits that can't be decrypted", "template.yaml", "!Or [!Condition IsZaeLimiter, !Condition ReadsLimits]", "!Condition IsZaeLimiter"),
    ("objects of an earlier key that can't be read", "template.yaml", "Sid: ReadEarlierObjects", "Sid: ReadObjects"),
    ("analysts who can't decrypt the settings", "template.yaml", "\n                      # Of the environment variables.\n                      - !Sub 'lambda.${AWS::Region}.${AWS::URLSuffix}'\n", "\n"),
    ("a budget in the way of its replacement", "template.yaml", "        BudgetType: COST\n", "        BudgetName: !Ref AWS::StackName\n        BudgetType: COST\n"),
    ("a log group in the way of the next one", "template.yaml", "      RetentionInDays: !Ref LogRetentionDays\n", "      LogGroupName: !Sub '/aws/lambda/${AWS::StackName}'\n      RetentionInDays: !Ref LogRetentionDays\n"),
    ("a fold that puts records of the source", "template.yaml", "                Principal: '*'\n                Action: s3:PutObject\n", "                Principal: '*'\n                Action: s3:GetObject\n"),
    ("a failure bucket that a parameter removes", "template.yaml", "  FailureBucket:\n    Type: AWS::S3::Bucket\n", "  FailureBucket:\n    Type: AWS::S3::Bucket\n    Condition: Quarantines\n"),
    ("a schedule that is restored with another rate", "docs/operations.md", "| CompactSchedule | `rate(15 minutes)`", "| CompactSchedule | `rate(5 minutes)`"),
    ("a usage table with the keys of another pipeline", "docs/operations.md", 'Enabled=true,AttributeName="$(key TimeToLive)"', "Enabled=true,AttributeName=expires_at"),
    ("an address for alerts that nobody examines", ".deploy/subscribers.py", '"UsageAlertTopicArn"', '"AlertTopicArn"'),
    ("a parameter without a description", "template.yaml", "    Description: Maximum duration of an invocation, in seconds.\n", ""),
]


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tests = compile_tests(root)
    files = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    survivors = []
    with tempfile.TemporaryDirectory() as tree:
        for file in files:
            os.makedirs(os.path.dirname(os.path.join(tree, file)), exist_ok=True)
            shutil.copy(os.path.join(root, file), os.path.join(tree, file))
        if failed := failures(tests, tree):
            sys.exit(f"the tests fail without any mutant: {failed}")
        for name, file, old, new in MUTANTS:
            path = os.path.join(tree, file)
            with open(path, encoding="utf-8") as opened:
                sound = opened.read()
            if old not in sound:
                said = f"does not apply: {file} has changed"
            else:
                write(path, sound.replace(old, new, 1))
                failed = failures(tests, tree)
                said = f"caught: {', '.join(failed)}" if failed else "SURVIVED"
                write(path, sound)
            survivors += [] if said.startswith("caught") else [name]
            print(f"{name:40} {said}", flush=True)
    sys.exit(len(survivors) > 0)


def compile_tests(root):
    """Compiles the tests and returns the path of the test binary."""
    command = ["cargo", "test", "--test", "it", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    programs = [json.loads(line).get("executable") for line in built.splitlines() if '"executable":"' in line and '"it"' in line]
    return programs[-1]


def failures(tests, tree):
    """Returns the names of the tests that fail on a tree."""
    command = [tests, "template::", "--skip", "template::moto", "--skip", "template::lake"]
    ran = subprocess.run(command, env={**os.environ, "TREE": tree}, capture_output=True, text=True)
    names = [line.split()[1].split("::")[-1] for line in ran.stdout.splitlines() if line.endswith("... FAILED")]
    if ran.returncode and not names:
        sys.exit(ran.stdout + ran.stderr)
    return names


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
