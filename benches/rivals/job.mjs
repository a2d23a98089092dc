// A typical Node.js implementation: Powertools batch processor, unmarshall from util-dynamodb, avsc, counters in a Map.
import { readFileSync } from 'node:fs';
import { BatchProcessorSync, EventType, processPartialResponseSync } from '@aws-lambda-powertools/batch';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import avro from 'avsc';

// avsc requires a class for each logical type. This one keeps integers as numbers.
class Micros extends avro.types.LogicalType {
  _fromValue(value) { return value; }
  _toValue(value) { return value; }
}

export class Job {
  constructor(workload, schemaPath) {
    const schema = JSON.parse(readFileSync(schemaPath, 'utf8'));
    this.workload = workload;
    this.isKinesis = workload === 'demand-kinesis';
    this.type = avro.Type.forSchema(schema, { logicalTypes: { 'timestamp-micros': Micros }, wrapUnions: false });
    // Pairs of field name and attribute name; some attributes have a different name than their field.
    this.fields = schema.fields.map(({ name }) => [name, /^(rpm|tpm|wcu)_/.test(name) ? `b_${name}` : name]);
    this.processor = new BatchProcessorSync(this.isKinesis ? EventType.KinesisDataStreams : EventType.DynamoDBStreams);
  }

  async run(body) {
    this.files = new Map();
    this.counters = new Map();
    const answer = processPartialResponseSync(JSON.parse(body), (record) => this.handle(record), this.processor);
    if (answer.batchItemFailures.length > 0) throw new Error(JSON.stringify(answer));
    const bodies = new Map();
    for (const [date, rows] of this.files) bodies.set(date, await this.written(rows));
    return { files: this.files, counters: this.counters, bodies };
  }

  handle(given) {
    const record = this.isKinesis ? JSON.parse(Buffer.from(given.kinesis.data, 'base64').toString('utf8')) : given;
    const change = record.dynamodb;
    const old = change.OldImage ? unmarshall(change.OldImage) : undefined;
    const image = record.eventName === 'REMOVE' ? old : unmarshall(change.NewImage);
    const time = change.ApproximateCreationDateTime;
    const createdAt = new Date(time > 1e11 ? time : time * 1000);
    const iso = createdAt.toISOString();
    const [entity, amounts] = this.counted(image);
    const before = record.eventName === 'MODIFY' && old ? this.counted(old)[1] : {};
    for (const start of [iso.slice(0, 13), iso.slice(0, 10)]) {
      for (const [measure, amount] of Object.entries(amounts)) {
        const key = `${entity}|${start}|${measure}`;
        this.counters.set(key, (this.counters.get(key) ?? 0) + amount - (before[measure] ?? 0));
      }
    }
    const row = {};
    for (const [field, attribute] of this.fields) row[field] = image[attribute] ?? null;
    row.record_id = record.eventID ?? given.eventID;
    row.event_name = record.eventName;
    row.sequence_number = change.SequenceNumber ?? '';
    row.created_at = createdAt.getTime() * 1000;
    const date = iso.slice(0, 10);
    if (!this.files.has(date)) this.files.set(date, []);
    this.files.get(date).push(row);
  }

  counted(image) {
    switch (this.workload) {
      case 'bucket': return [`${image.entity_id}#${image.resource}`, { rpm: image.b_rpm_tc, tpm: image.b_tpm_tc }];
      case 'racer': return [image.pk, { metres: image.distance }];
      default: return [image.pk, { changes: 1, amount: image.total }];
    }
  }

  written(rows) {
    return new Promise((resolve, reject) => {
      const encoder = new avro.streams.BlockEncoder(this.type, { codec: 'deflate' });
      const chunks = [];
      encoder.on('data', (chunk) => chunks.push(chunk));
      encoder.on('end', () => resolve(Buffer.concat(chunks))).on('error', reject);
      for (const row of rows) encoder.write(row);
      encoder.end();
    });
  }
}
