//! `make bench-stages`: each stage of the job by criterion, which reports the change since the last run. The table that
//! compares the job with others is `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    unreachable_pub
)]

#[allow(dead_code, reason = "the other bench needs more of it")]
#[path = "job/jobs.rs"]
mod jobs;
#[allow(dead_code, reason = "the other bench needs more of it")]
#[path = "job/workloads.rs"]
mod workloads;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use usage_aggregator::archive::Codec;
use workloads::Workload;

const RECORDS: usize = 1_000;
const ENTITIES: usize = 50;

fn stages(criterion: &mut Criterion) {
    for workload in Workload::ALL {
        let (event, pipeline) = (workload.event(RECORDS, ENTITIES), workload.pipeline());
        let (plan, handling) = (jobs::plan(&event, &pipeline), jobs::Handling::new(workload));
        let mut group = criterion.benchmark_group(workload.name());
        group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(20);
        group.bench_function("read", |bencher| bencher.iter(|| jobs::read(black_box(&event))));
        group.bench_function("decode", |bencher| bencher.iter(|| jobs::decode(black_box(&event))));
        group.bench_function("plan", |bencher| bencher.iter(|| jobs::plan(black_box(&event), &pipeline)));
        for (name, codec) in [("encode", Codec::Null), ("compress", Codec::Zstandard)] {
            group.bench_function(name, |bencher| bencher.iter(|| jobs::sealed(black_box(&plan), &pipeline, codec)));
        }
        group.bench_function("handler", |bencher| bencher.iter(|| handling.handle(black_box(&event))));
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
