// Runs the job in job.mjs once, and once more for each line of stdin. Prints the number of rows, counters, and bytes each time.
//
// usage: node.mjs WORKLOAD EVENT.json SCHEMA.avsc
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Job } from './job.mjs';

const [workload, event, schema] = process.argv.slice(2);
const body = readFileSync(event, 'utf8');
const job = new Job(workload, schema);

async function run() {
  const { files, counters, bodies } = await job.run(body);
  const sum = (map, length) => [...map.values()].reduce((sum, value) => sum + length(value), 0);
  console.log(`${sum(files, (rows) => rows.length)} ${counters.size} ${sum(bodies, (bytes) => bytes.length)}`);
}

await run();
for await (const _ of createInterface({ input: process.stdin })) await run();
