// Wraps the job in job.mjs in a Lambda function: AWS SDK v3 clients, one UpdateItem per counter, one object per file, and the
// event loop of the Lambda runtime for Node.js.
//
// usage: function.mjs WORKLOAD SCHEMA.avsc; set AWS_LAMBDA_RUNTIME_API and the endpoints in the environment
import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Job } from './job.mjs';

const [workload, schemaPath] = process.argv.slice(2);
const dynamodb = new DynamoDBClient({});
const s3 = new S3Client({ forcePathStyle: true });
const job = new Job(workload, schemaPath);
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;

for (;;) {
  const next = await fetch(`${api}/next`);
  const requestId = next.headers.get('lambda-runtime-aws-request-id');
  const { counters, bodies } = await job.run(await next.text());
  for (const [key, amount] of counters) {
    const [entity, start, measure] = key.split('|');
    await dynamodb.send(new UpdateItemCommand({
      TableName: 'usage',
      Key: { pk: { S: entity }, sk: { S: start } },
      UpdateExpression: 'ADD #measure :amount',
      ExpressionAttributeNames: { '#measure': measure },
      ExpressionAttributeValues: { ':amount': { N: String(amount) } },
    }));
  }
  for (const [date, body] of bodies) {
    await s3.send(new PutObjectCommand({ Bucket: 'archive', Key: `partition_date=${date}/${requestId}.avro`, Body: body }));
  }
  await fetch(`${api}/${requestId}/response`, { method: 'POST', body: JSON.stringify({ batchItemFailures: [] }) });
}
