// What people write in Node: Powertools' batch processor, util-dynamodb's unmarshall, avsc, counters in a map.
//
// usage: node.mjs WORKLOAD EVENT.json SCHEMA.avsc; does the job for each line of stdin and answers with the rows written
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { BatchProcessorSync, EventType, processPartialResponseSync } from '@aws-lambda-powertools/batch';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import avro from 'avsc';

const [workload, eventPath, schemaPath] = process.argv.slice(2);
const isKinesis = workload === 'demand-kinesis';
const schema = JSON.parse(readFileSync(schemaPath, 'utf8'));
const body = readFileSync(eventPath, 'utf8');

// avsc wants to know how a logical type is written; whole numbers stay numbers.
class Micros extends avro.types.LogicalType {
  _fromValue(value) { return value; }
  _toValue(value) { return value; }
}
const type = avro.Type.forSchema(schema, { logicalTypes: { 'timestamp-micros': Micros }, wrapUnions: false });
// Attributes of a row that have another name than their field.
const fields = schema.fields.map(({ name }) => [name, /^(rpm|tpm|wcu)_/.test(name) ? `b_${name}` : name]);
const processor = new BatchProcessorSync(isKinesis ? EventType.KinesisDataStreams : EventType.DynamoDBStreams);

function counted(image) {
  switch (workload) {
    case 'bucket': return [`${image.entity_id}#${image.resource}`, { rpm: image.b_rpm_tc, tpm: image.b_tpm_tc }];
    case 'racer': return [image.pk, { metres: image.distance }];
    default: return [image.pk, { changes: 1, amount: image.total }];
  }
}

async function job() {
  const files = new Map();
  const counters = new Map();
  const handle = (given) => {
    const record = isKinesis ? JSON.parse(Buffer.from(given.kinesis.data, 'base64').toString('utf8')) : given;
    const change = record.dynamodb;
    const old = change.OldImage ? unmarshall(change.OldImage) : undefined;
    const image = record.eventName === 'REMOVE' ? old : unmarshall(change.NewImage);
    const time = change.ApproximateCreationDateTime;
    const createdAt = new Date(time > 1e11 ? time : time * 1000);
    const iso = createdAt.toISOString();
    const [entity, amounts] = counted(image);
    const before = record.eventName === 'MODIFY' && old ? counted(old)[1] : {};
    for (const start of [iso.slice(0, 13), iso.slice(0, 10)]) {
      for (const [measure, amount] of Object.entries(amounts)) {
        const key = `${entity}|${start}|${measure}`;
        counters.set(key, (counters.get(key) ?? 0) + amount - (before[measure] ?? 0));
      }
    }
    const row = {};
    for (const [field, attribute] of fields) row[field] = image[attribute] ?? null;
    row.record_id = record.eventID ?? given.eventID;
    row.event_name = record.eventName;
    row.sequence_number = change.SequenceNumber ?? '';
    row.created_at = createdAt.getTime() * 1000;
    const date = iso.slice(0, 10);
    if (!files.has(date)) files.set(date, []);
    files.get(date).push(row);
  };
  const answer = processPartialResponseSync(JSON.parse(body), handle, processor);
  if (answer.batchItemFailures.length > 0) throw new Error(JSON.stringify(processor.errors?.[0]?.message ?? answer));
  let rows = 0;
  let size = 0;
  for (const of of files.values()) {
    rows += of.length;
    size += await written(of);
  }
  return `${rows} ${counters.size} ${size}`;
}

function written(rows) {
  return new Promise((resolve, reject) => {
    const encoder = new avro.streams.BlockEncoder(type, { codec: 'deflate' });
    let size = 0;
    encoder.on('data', (chunk) => { size += chunk.length; });
    encoder.on('end', () => resolve(size)).on('error', reject);
    for (const row of rows) encoder.write(row);
    encoder.end();
  });
}

console.log(await job());
for await (const _ of createInterface({ input: process.stdin })) console.log(await job());
