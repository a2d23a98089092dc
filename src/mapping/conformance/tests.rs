//! The suite against the streams of this package.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::sources::{MemoryStream, ShardedStream};
use crate::{SourceRecord, StreamKind};

const SHARD: &str = "shard";
const EVERYTHING: Supports = Supports { unknown_shards: true, closing: true, trimming: true, timestamps: true };

/// A stream in memory with one shard.
struct Memory {
    stream: Arc<MemoryStream>,
    written: AtomicU64,
}

impl Memory {
    fn new() -> Memory {
        let stream = MemoryStream::new(StreamKind::DynamoDb, "arn");
        stream.open(SHARD, &[]);
        Memory { stream: Arc::new(stream), written: AtomicU64::new(0) }
    }

    fn push(&self, item: u64, created_at: Timestamp) {
        let number = 98 + self.written.fetch_add(1, Ordering::Relaxed);
        let sequence = SequenceNumber::parse(number.to_string()).unwrap();
        self.stream.push(SHARD, SourceRecord { sequence, item, created_at, json: "{}".to_owned() });
    }
}

#[async_trait::async_trait]
impl Subject for Memory {
    fn source(&self) -> &dyn Source {
        &*self.stream
    }

    fn shard(&self) -> &str {
        SHARD
    }

    fn supports(&self) -> Supports {
        EVERYTHING
    }

    async fn append(&self, created_at: Timestamp) -> anyhow::Result<()> {
        self.push(0, created_at);
        Ok(())
    }

    async fn close(&self) -> anyhow::Result<()> {
        self.stream.close(SHARD);
        Ok(())
    }

    async fn trim(&self) -> anyhow::Result<()> {
        self.stream.trim(SHARD, usize::MAX);
        Ok(())
    }
}

/// One shard of a stream in memory that is shown as several.
struct Sharded {
    memory: Memory,
    stream: ShardedStream,
    shard: String,
}

/// Items of the first and of the last of any number of shards.
const OWN: u64 = 0;
const FOREIGN: u64 = u64::MAX;

impl Sharded {
    /// The only shard of a stream that has not been split.
    async fn whole() -> Sharded {
        let memory = Memory::new();
        let stream = ShardedStream::open(memory.stream.clone(), None, 1).unwrap();
        let shard = stream.shards().await.unwrap().remove(0).id;
        Sharded { memory, stream, shard }
    }

    /// The first of two shards, whose parent had records of the same items.
    async fn child() -> Sharded {
        let whole = Sharded::whole().await;
        for _ in 0..12 {
            whole.memory.push(OWN, time(0).unwrap());
        }
        whole.stream.reshard(2).await.unwrap();
        let shard = whole.stream.shards().await.unwrap().remove(1).id;
        Sharded { shard, ..whole }
    }
}

#[async_trait::async_trait]
impl Subject for Sharded {
    fn source(&self) -> &dyn Source {
        &self.stream
    }

    fn shard(&self) -> &str {
        &self.shard
    }

    fn supports(&self) -> Supports {
        EVERYTHING
    }

    async fn append(&self, created_at: Timestamp) -> anyhow::Result<()> {
        self.memory.push(OWN, created_at);
        if self.stream.shards().await?.len() > 1 {
            self.memory.push(FOREIGN, created_at);
        }
        Ok(())
    }

    async fn close(&self) -> anyhow::Result<()> {
        self.stream.reshard(1).await
    }

    async fn trim(&self) -> anyhow::Result<()> {
        self.memory.trim().await
    }
}

#[tokio::test]
async fn a_stream_in_memory_conforms() {
    run(async || Ok(Memory::new())).await.unwrap();
}

#[tokio::test]
async fn an_unsplit_stream_conforms() {
    run(async || Ok(Sharded::whole().await)).await.unwrap();
}

#[tokio::test]
async fn a_child_of_a_split_shard_conforms() {
    run(async || Ok(Sharded::child().await)).await.unwrap();
}
