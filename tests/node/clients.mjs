// Talks to the embedded services as Node's SDK does, with the variables that usagectl prints.

import assert from 'node:assert/strict';
import * as cloudwatch from '@aws-sdk/client-cloudwatch';
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as streams from '@aws-sdk/client-dynamodb-streams';
import * as kinesis from '@aws-sdk/client-kinesis';
import * as s3 from '@aws-sdk/client-s3';

const options = { region: 'us-east-1', maxAttempts: 1 };

async function table() {
  const client = new dynamodb.DynamoDBClient(options);
  const created = await client.send(
    new dynamodb.CreateTableCommand({
      TableName: 'abc',
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
    }),
  );
  await client.send(new dynamodb.PutItemCommand({ TableName: 'abc', Item: { pk: { S: 'a' } } }));
  const StreamArn = created.TableDescription.LatestStreamArn;
  const reader = new streams.DynamoDBStreamsClient(options);
  const { StreamDescription } = await reader.send(new streams.DescribeStreamCommand({ StreamArn }));
  const [{ ShardId, SequenceNumberRange }] = StreamDescription.Shards;
  assert.equal(SequenceNumberRange.EndingSequenceNumber, undefined);
  const ShardIteratorType = 'TRIM_HORIZON';
  const { ShardIterator } = await reader.send(
    new streams.GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType }),
  );
  const { Records } = await reader.send(new streams.GetRecordsCommand({ ShardIterator }));
  assert.deepEqual(
    Records.map((record) => [record.awsRegion, record.dynamodb.SizeBytes]),
    [['us-east-1', 6]],
  );
}

async function stream() {
  const client = new kinesis.KinesisClient(options);
  await kinesis.waitUntilStreamNotExists({ client, minDelay: 1, maxWaitTime: 5 }, { StreamName: 'node' });
  await client.send(new kinesis.CreateStreamCommand({ StreamName: 'node', ShardCount: 1 }));
  await kinesis.waitUntilStreamExists({ client, minDelay: 1, maxWaitTime: 5 }, { StreamName: 'node' });
  const Data = new TextEncoder().encode('{}');
  await client.send(new kinesis.PutRecordCommand({ StreamName: 'node', PartitionKey: 'a', Data }));
}

async function metrics() {
  const client = new cloudwatch.CloudWatchClient(options);
  const MetricData = [{ MetricName: 'Count', Values: [1, 2], Counts: [3, 1], Timestamp: new Date() }];
  await client.send(new cloudwatch.PutMetricDataCommand({ Namespace: 'Node', MetricData }));
  const hour = 3_600_000;
  const read = await client.send(
    new cloudwatch.GetMetricDataCommand({
      MetricDataQueries: [
        { Id: 'q0', MetricStat: { Metric: { Namespace: 'Node', MetricName: 'Count' }, Period: 3600, Stat: 'Sum' } },
      ],
      StartTime: new Date(Date.now() - hour),
      EndTime: new Date(Date.now() + hour),
    }),
  );
  assert.deepEqual(read.MetricDataResults[0].Values, [5]);
  assert.ok(read.MetricDataResults[0].Timestamps[0] instanceof Date);
}

async function objects() {
  const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'another' };
  const client = new s3.S3Client({ ...options, credentials, forcePathStyle: true });
  await client.send(new s3.CreateBucketCommand({ Bucket: 'node' }));
  await client.send(new s3.PutObjectCommand({ Bucket: 'node', Key: 'a b', Body: 'hello' }));
  const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: 'node', Key: 'a b' }));
  assert.equal(await Body.transformToString(), 'hello');
}

await table();
await stream();
await metrics();
await objects();
